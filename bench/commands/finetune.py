"""`tritmark finetune`: a LoRA adapter from a model and data."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .output import TIMEOUT_S, Activation, AsJson, Device, Timeout, emit, listed

if TYPE_CHECKING:
    from tritmark.bench.finetune import Outcome


def finetune(
    model: Annotated[str, typer.Option(help="The model to adapt: file.gguf.")],
    data: Annotated[Path, typer.Option(help="A text file, a folder of them, or JSON lines (text, prompt, messages).")],
    out: Annotated[Path, typer.Option(help="The adapter to write, a GGUF that llama.cpp loads with --lora.")],
    context: Annotated[int, typer.Option(help="Most tokens of a document.")] = 128,
    batch: Annotated[int | None, typer.Option(help="Tokens of a micro-batch; by default the context.")] = None,
    accumulate: Annotated[int, typer.Option(help="Micro-batches of an optimiser step.", min=1)] = 1,
    epochs: Annotated[int, typer.Option(help="How often everything is learnt from.", min=1)] = 1,
    lora_rank: Annotated[int, typer.Option(help="Rank of the adapter.")] = 8,
    lora_alpha: Annotated[float, typer.Option(help="The adapter is multiplied by alpha / rank.")] = 16.0,
    lora_modules: Annotated[
        list[str] | None,
        typer.Option(help="attn_q attn_k attn_v attn_o ffn_gate ffn_up ffn_down output all; by default all."),
    ] = None,
    lora_dropout: Annotated[float, typer.Option(help="Part of the adapter's inputs that each step leaves out.")] = 0.0,
    learning_rate: Annotated[float, typer.Option(help="At its highest.")] = 1e-4,
    lr_min: Annotated[float, typer.Option(help="Where cosine and linear end.")] = 0.0,
    lr_scheduler: Annotated[str, typer.Option(help="constant, cosine or linear.")] = "cosine",
    warmup: Annotated[float, typer.Option(help="Steps of warm-up, or below 1 a part of all.")] = 0.1,
    weight_decay: Annotated[float, typer.Option(help="Of AdamW, decoupled.")] = 0.01,
    clip: Annotated[float, typer.Option(help="Largest norm of the gradients; 0 does not clip.")] = 1.0,
    loss: Annotated[str, typer.Option(help="Learn from the answers of chats and prompts, or from all.")] = "answers",
    pack: Annotated[bool, typer.Option(help="Several documents in a micro-batch, or each padded.")] = True,
    long: Annotated[str, typer.Option(help="Documents beyond the context: split or refuse.")] = "split",
    validation: Annotated[float, typer.Option(help="Part of the documents that is held out.")] = 0.05,
    evaluate_steps: Annotated[int | None, typer.Option(help="Steps between evaluations; by default an epoch.")] = None,
    patience: Annotated[
        int | None, typer.Option(help="End after so many evaluations without a better one, and keep the best.", min=1)
    ] = None,
    seed: Annotated[int, typer.Option(help="Of order, first numbers and dropout.")] = 42,
    activations: Annotated[str, typer.Option(help="int8, as inference has them, or fine: 22 bits.")] = "int8",
    recompute: Annotated[
        int | None, typer.Option(help="Layers that are computed again to save memory; by default all.", min=0)
    ] = None,
    checkpoint_dir: Annotated[
        Path | None, typer.Option(help="Folder of checkpoints; by default one beside the adapter until it is done.")
    ] = None,
    checkpoint_steps: Annotated[int, typer.Option(help="Steps between checkpoints; 0 for none.", min=0)] = 100,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the newest checkpoint, bit for bit.")] = False,
    format: Annotated[str | None, typer.Option(help="Held as tq1_0 or tq2_0; by default the file's own.")] = None,
    device: Device = "host",
    activation: Activation = None,
    timeout_s: Timeout = TIMEOUT_S,
    as_json: AsJson = False,
) -> None:
    """Fine-tune a LoRA adapter on a frozen ternary model.

    The same data, seed and settings give the same adapter, byte for byte, on every exact device."""
    from tritmark.bench.case import CaseError
    from tritmark.bench.finetune import Request
    from tritmark.bench.finetune import finetune as run
    from tritmark.bench.learning import watching
    from tritmark.devices.registry import open_device
    from tritmark.engine.data.dataset import Shape
    from tritmark.engine.models.lora import Lora
    from tritmark.engine.training import Optimiser

    _one_of(CaseError, "--loss", loss, "answers", "all")
    _one_of(CaseError, "--long", long, "split", "refuse")
    _one_of(CaseError, "--activations", activations, "int8", "fine")
    shape = Shape(
        context=context, size=batch or context, packs=pack, splits=long == "split", answers_only=loss == "answers",
        held_out=validation, seed=seed,
    )  # fmt: skip
    modules = tuple(part for text in listed(lora_modules) or ["all"] for part in text.split())
    request = Request(
        model=model, data=data, out=out, shape=shape, format=format, epochs=epochs, accumulation=accumulate,
        lora=Lora(lora_rank, lora_alpha, modules, lora_dropout, seed), optimiser=Optimiser(clip=clip or None),
        schedule=lr_scheduler, rate=learning_rate, rate_min=lr_min, decay=weight_decay, warmup=warmup,
        evaluate_steps=evaluate_steps, patience=patience, fine=activations == "fine", recomputed=recompute,
        activation=activation, checkpoint_dir=checkpoint_dir, checkpoint_steps=checkpoint_steps, resume=resume,
    )  # fmt: skip
    with watching() as watch, stopping() as stops:
        outcome = run(open_device(device, timeout_s=timeout_s), request, watch, stops)
    emit(_json(outcome)) if as_json else print(_text(outcome))


def _one_of(error: type[Exception], option: str, value: str, *known: str) -> None:
    if value not in known:
        raise error(f"{option} {value!r} is unknown; use {' or '.join(known)}")


@contextmanager
def stopping() -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C was pressed or the process was told to end; a second time ends it at once."""
    told: list[int] = []

    def tell(number: int, frame: Any) -> None:
        told.append(number)
        signal.signal(number, before[signal.Signals(number)])

    before = {number: signal.signal(number, tell) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(told)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _json(outcome: Outcome) -> dict[str, Any]:
    return {name: str(value) if isinstance(value, Path) else value for name, value in vars(outcome).items()}


def _text(outcome: Outcome) -> str:
    lines = [f"{outcome.adapter}  sha256 {outcome.sha256}", f"{outcome.steps:,} steps, last loss {outcome.loss:.4f}"]
    if outcome.held_out_before is not None and outcome.held_out_after is not None:
        change = 1 - outcome.held_out_after / outcome.held_out_before
        lines.append(
            f"held-out loss {outcome.held_out_before:.4f} -> {outcome.held_out_after:.4f} ({-change:+.1%})"
        )
    return "\n".join([*lines, f"metrics: {outcome.metrics} and its .svg"])
