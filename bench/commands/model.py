"""`tritmark plan`, `logits` and `generate`: one model on one device."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .output import TIMEOUT_S, Activation, AsJson, Device, Loras, Timeout, emit, listed, sized

if TYPE_CHECKING:
    from collections.abc import Mapping

ModelOption = Annotated[
    str, typer.Option("--model", help="file.gguf, synthetic:125M, or python: the small one that ships.")
]
SHIPPED_MODEL = "python"
FormatOption = Annotated[
    str | None, typer.Option("--format", help="tq1_0, tq2_0, tq1_0>tq2_0; by default the file's own.")
]


def plan(
    model: Annotated[list[str], typer.Option(help="Models: file.gguf or synthetic:125M, with commas or repeated.")],
    format: Annotated[list[str] | None, typer.Option(help="Formats; by default both.")] = None,
    workload: Annotated[
        list[str] | None, typer.Option(help="Workloads; by default prefill:512 and decode:128.")
    ] = None,
    device: Device = "host",
    activation: Activation = None,
    bandwidth: Annotated[
        float | None, typer.Option(help="GB/s for the roofline, as `tritmark devices` measures.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Predict buffers, peak GPU bytes, fit and roofline of cases.

    Nothing runs: only the limits of the device are read. Where tritmark tune has measured it, also the speed."""
    from tritmark.bench.case import expand, overridden
    from tritmark.bench.forecast import forecast
    from tritmark.bench.tuning import paces, tuned
    from tritmark.bench.workload import listed_workloads
    from tritmark.devices.registry import open_device

    target = open_device(device)
    with target.session() as session:
        caps = tuned(session.caps)
    workloads = listed_workloads(workload)
    axes = {"model": listed(model), "format": listed(format), "workload": workloads, "device": [device]}
    for case in expand(overridden({}, axes, {"activation": activation} if activation else {})):
        result = forecast(case, caps, target.memory_bytes(caps), bandwidth and bandwidth * 1e9, paces(caps))
        emit(result) if as_json else print(_plan_text(result))


def logits(
    tokens: Annotated[str, typer.Option(help="Token ids with commas between them.")],
    model: ModelOption = SHIPPED_MODEL,
    out: Annotated[
        Path | None, typer.Option(help="Write float32 logits (positions, vocabulary) to this .npy file.")
    ] = None,
    lora: Loras = None,
    format: FormatOption = None,
    device: Device = "host",
    activation: Activation = None,
    timeout_s: Timeout = TIMEOUT_S,
    as_json: AsJson = False,
) -> None:
    """Logits of every position of a prompt, and their SHA-256."""
    from tritmark.bench.inquire import logits as ask
    from tritmark.devices.registry import open_device

    target = open_device(device, timeout_s=timeout_s)
    found = ask(target, model, format, parse_tokens(tokens), out, activation, lora or ())
    if as_json:
        emit(found)
    else:
        written = f", written to {out}" if out else ""
        print(f"{found['positions']} positions of {found['vocabulary']} logits{written}\ndigest {found['digest']}")


def generate(
    model: ModelOption = SHIPPED_MODEL,
    prompt: Annotated[str | None, typer.Option(help="The text to continue.")] = None,
    prompt_tokens: Annotated[str | None, typer.Option(help="Token ids to continue instead, as in 1,2,3.")] = None,
    chat: Annotated[bool, typer.Option("--chat", help="The prompt is a message in the model's chat format.")] = False,
    tokens: Annotated[int, typer.Option(help="Generate at most this many tokens.", min=1)] = 128,
    temperature: Annotated[float, typer.Option(help="0 is greedy.")] = 0.0,
    top_k: Annotated[int, typer.Option(help="0 keeps every token.")] = 0,
    top_p: Annotated[float, typer.Option(help="1 keeps every token.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Of the sampler.")] = 0,
    lora: Loras = None,
    format: FormatOption = None,
    device: Device = "host",
    activation: Activation = None,
    timeout_s: Timeout = TIMEOUT_S,
    as_json: AsJson = False,
) -> None:
    """Continue a text, token by token, as it is generated."""
    if (prompt is None) == (prompt_tokens is None):
        raise typer.BadParameter("give either a text or token ids", param_hint="--prompt / --prompt-tokens")
    from tritmark.bench.inquire import Request
    from tritmark.bench.inquire import generate as ask
    from tritmark.devices.registry import open_device
    from tritmark.engine.ops.sample import Sampling

    sampling = Sampling(temperature=temperature, top_k=top_k, top_p=top_p, seed=seed)
    given = parse_tokens(prompt_tokens) if prompt is None else prompt
    request = Request(model=model, format=format, prompt=given, tokens=tokens, sampling=sampling, chat=chat,
                      activation=activation, loras=lora or ())  # fmt: skip
    ids: list[int] = []
    text = ""
    for piece in ask(open_device(device, timeout_s=timeout_s), request):
        ids, text = ids + piece.tokens, text + piece.text
        if as_json:
            emit(vars(piece))
        elif prompt is None:
            print(*piece.tokens, end=" ", flush=True)
        else:
            print(piece.text, end="", flush=True)
    emit({"text": text, "tokens": ids, "count": len(ids)}) if as_json else print()


def parse_tokens(text: str | None) -> list[int]:
    """Token ids from ``1,2,3``; a usage error for anything else."""
    try:
        return [int(part) for part in (text or "").split(",")]
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no list of token ids such as 1,2,3", param_hint="--tokens") from None


def _plan_text(result: Mapping[str, Any]) -> str:
    title = f"{result['model']} {result['format']} {result['workload']} on {result['device']}"
    if result["peak_gpu_bytes"] is None:
        return f"{title}\n  does not fit: {result['reason']}"
    buffers = ", ".join(f"{role} {sized(size)}" for role, size in result["buffers"].items() if size)
    lines = [
        title,
        f"  {'fits' if result['fits'] else 'does not fit: ' + result['reason']}",
        f"  peak {sized(result['peak_gpu_bytes'])} of GPU memory: {buffers}",
        f"  {result['dispatches']} dispatches a step, {sized(result['bytes_per_token'])} and"
        f" {result['operations_per_token'] / 1e6:,.1f} M operations a token",
    ]
    if result["roofline_tps"]:
        lines.append(f"  at most {result['roofline_tps']:,.1f} tok/s by memory traffic alone")
    if result["predicted_tps"]:
        lines.append(f"  about {result['predicted_tps']:,.1f} tok/s by what tune measured of each kernel")
    return "\n".join(lines)
