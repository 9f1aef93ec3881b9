"""`tritmark merge` and `perplexity`: adapters made part of a model, and what that or a format costs in likelihood."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .model import SHIPPED_MODEL, FormatOption, ModelOption
from .output import LORA, TIMEOUT_S, Activation, AsJson, Device, Loras, Timeout, emit, sized

if TYPE_CHECKING:
    from tritmark.bench.perplexity import Score

Context = Annotated[
    int | None,
    typer.Option(help="Tokens of a window of the text; by default 512, or the model's context if shorter.", min=2),
]


def merge(
    lora: Annotated[list[str], LORA],
    out: Annotated[Path, typer.Option(help="The .gguf file to write.")],
    model: ModelOption = SHIPPED_MODEL,
    type: Annotated[
        str, typer.Option(help="Of adapted matrices: dense (F16, exact), or ternary again: tq1_0, tq2_0.")
    ] = "dense",
    data: Annotated[
        str | None, typer.Option(help="Texts to measure on: perplexity before, with the adapter, and merged.")
    ] = None,
    context: Context = None,
    device: Device = "host",
    activation: Activation = None,
    timeout_s: Timeout = TIMEOUT_S,
    as_json: AsJson = False,
) -> None:
    """Make LoRA adapters part of their model.

    Ternary again is smaller, and a loss that --data measures."""
    from tritmark.bench.perplexity import perplexity, read_texts
    from tritmark.devices.registry import open_device
    from tritmark.engine.formats.merge import merge as write
    from tritmark.engine.formats.model import open_model
    from tritmark.engine.models.adapters import open_adapters

    base = open_model(model)
    adapters = open_adapters(lora, base)
    texts = None if data is None else read_texts(base, data)
    for text in texts or ():
        text.windows(context or 2)  # what is wrong with it shows before the work
    written = write(base, adapters.used, out, type)
    result: dict[str, Any] = {"path": str(written), "type": type, "bytes": written.stat().st_size,
                              "sha256": open_model(str(written)).sha256}  # fmt: skip
    if not as_json:
        print(f"wrote {written} ({sized(result['bytes'])}, {type}, SHA-256 {result['sha256']})")
    if texts is not None:
        target = open_device(device, timeout_s=timeout_s)
        cases: dict[str, tuple[str, list[str]]] = {
            "base": (model, []), "adapted": (model, lora), "merged": (str(written), [])
        }  # fmt: skip
        result["perplexity"] = {}
        for name, (spec, loras) in cases.items():
            score = perplexity(target, spec, texts, loras=loras, context=context, activation=activation)
            result["perplexity"][name] = score.to_json()
            if not as_json:
                print(_line(name, score))
    if as_json:
        emit(result)


def perplexity(
    data: Annotated[
        str, typer.Option(help="A text file, a folder, JSON lines; or what python or instructions hold out.")
    ],
    model: ModelOption = SHIPPED_MODEL,
    lora: Loras = None,
    context: Context = None,
    format: FormatOption = None,
    device: Device = "host",
    activation: Activation = None,
    timeout_s: Timeout = TIMEOUT_S,
    as_json: AsJson = False,
) -> None:
    """How well a model predicts a text.

    Mean negative log likelihood and perplexity."""
    from tritmark.bench.perplexity import perplexity as measure
    from tritmark.bench.perplexity import read_texts
    from tritmark.devices.registry import open_device
    from tritmark.engine.formats.model import open_model

    texts = read_texts(open_model(model), data)
    score = measure(open_device(device, timeout_s=timeout_s), model, texts, loras=lora or (), context=context,
                    format=format, activation=activation)  # fmt: skip
    emit(score.to_json()) if as_json else print(_line("perplexity", score))


def _line(name: str, score: Score) -> str:
    return (
        f"{name:<10} {score.perplexity:,.4f} ({score.nll:.6f} nats a token, {score.tokens:,} tokens in"
        f" {score.windows:,} windows of {score.context})"
    )
