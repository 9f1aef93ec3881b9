"""`tritmark finetune`: a LoRA adapter from a model and data."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .model import SHIPPED_MODEL, ModelOption
from .output import TIMEOUT_S, Activation, AsJson, Device, Timeout, emit, listed

if TYPE_CHECKING:
    from tritmark.bench.lesson import Outcome
    from tritmark.engine.data.dataset import Shape


Data = Annotated[
    str,
    typer.Option(
        help="A text file, a folder of them, JSON lines (text, prompt, messages), or what ships: instructions, python."
    ),
]
Out = Annotated[Path, typer.Option(help="The adapter to write, a GGUF that llama.cpp loads with --lora.")]
Context = Annotated[int, typer.Option(help="Most tokens of a document.")]
Batch = Annotated[int | None, typer.Option(help="Tokens of a micro-batch; by default the context.")]
Accumulate = Annotated[int, typer.Option(help="Micro-batches of an optimiser step.", min=1)]
Epochs = Annotated[int, typer.Option(help="How often everything is learnt from.", min=1)]
LoraRank = Annotated[int, typer.Option(help="Rank of the adapter.")]
LoraAlpha = Annotated[float, typer.Option(help="The adapter is multiplied by alpha / rank.")]
LoraModules = Annotated[
    list[str] | None,
    typer.Option(help="attn_q attn_k attn_v attn_o ffn_gate ffn_up ffn_down output all; by default all."),
]
LoraDropout = Annotated[float, typer.Option(help="Part of the adapter's inputs that each step leaves out.")]
LearningRate = Annotated[float, typer.Option(help="At its highest.")]
LrMin = Annotated[float, typer.Option(help="Where cosine and linear end.")]
LrScheduler = Annotated[str, typer.Option(help="constant, cosine or linear.")]
Warmup = Annotated[float, typer.Option(help="Steps of warm-up, or below 1 a part of all.")]
WeightDecay = Annotated[float, typer.Option(help="Of AdamW, decoupled.")]
Clip = Annotated[float, typer.Option(help="Largest norm of the gradients; 0 does not clip.")]
Loss = Annotated[str, typer.Option(help="Learn from the answers of chats and prompts, or from all.")]
Pack = Annotated[bool, typer.Option(help="Several documents in a micro-batch, or each padded.")]
Long = Annotated[str, typer.Option(help="Documents beyond the context: split or refuse.")]
Validation = Annotated[float, typer.Option(help="Part of the documents that is held out.")]
EvaluateSteps = Annotated[int | None, typer.Option(help="Steps between evaluations; by default an epoch.")]
Patience = Annotated[
    int | None, typer.Option(help="End after so many evaluations without a better one, and keep the best.", min=1)
]
Seed = Annotated[int, typer.Option(help="Of order, first numbers and dropout.")]
Activations = Annotated[str, typer.Option(help="int8, as inference has them, or fine: 22 bits.")]
Recompute = Annotated[
    int | None, typer.Option(help="Layers computed again to save memory; by default all but the last.", min=0)
]
CheckpointDir = Annotated[
    Path | None, typer.Option(help="Folder of checkpoints; by default one beside the adapter until it is done.")
]
CheckpointSteps = Annotated[int, typer.Option(help="Steps between checkpoints; 0 for none.", min=0)]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the newest checkpoint, bit for bit.")]
FormatOption = Annotated[str | None, typer.Option(help="Held as tq1_0 or tq2_0; by default the file's own.")]


def finetune(
    out: Out,
    model: ModelOption = SHIPPED_MODEL,
    data: Data = "instructions",
    context: Context = 128,
    batch: Batch = None,
    accumulate: Accumulate = 1,
    epochs: Epochs = 1,
    lora_rank: LoraRank = 8,
    lora_alpha: LoraAlpha = 16.0,
    lora_modules: LoraModules = None,
    lora_dropout: LoraDropout = 0.0,
    learning_rate: LearningRate = 1e-4,
    lr_min: LrMin = 0.0,
    lr_scheduler: LrScheduler = "cosine",
    warmup: Warmup = 0.1,
    weight_decay: WeightDecay = 0.01,
    clip: Clip = 1.0,
    loss: Loss = "answers",
    pack: Pack = True,
    long: Long = "split",
    validation: Validation = 0.05,
    evaluate_steps: EvaluateSteps = None,
    patience: Patience = None,
    seed: Seed = 42,
    activations: Activations = "int8",
    recompute: Recompute = None,
    checkpoint_dir: CheckpointDir = None,
    checkpoint_steps: CheckpointSteps = 100,
    resume: Resume = False,
    format: FormatOption = None,
    device: Device = "host",
    activation: Activation = None,
    timeout_s: Timeout = TIMEOUT_S,
    as_json: AsJson = False,
) -> None:
    """Fine-tune a LoRA adapter on a frozen ternary model.

    The same data, seed and settings give the same adapter, byte for byte, on every exact device."""
    from tritmark.bench import finetune as tuning
    from tritmark.bench.learning import watching
    from tritmark.devices.registry import open_device
    from tritmark.engine.models.lora import Lora
    from tritmark.engine.training import Optimiser

    modules = tuple(part for text in listed(lora_modules) or ["all"] for part in text.split())
    request = tuning.Request(
        model=model, data=data, out=out, format=format, epochs=epochs, accumulation=accumulate,
        shape=_shape(context, batch, pack, long, loss, validation, seed),
        lora=Lora(lora_rank, lora_alpha, modules, lora_dropout, seed), optimiser=Optimiser(clip=clip or None),
        schedule=lr_scheduler, rate=learning_rate, rate_min=lr_min, decay=weight_decay, warmup=warmup,
        evaluate_steps=evaluate_steps, patience=patience,
        fine=_one_of("--activations", activations, "int8", "fine") == 1,
        recomputed=recompute, activation=activation, checkpoint_dir=checkpoint_dir, checkpoint_steps=checkpoint_steps,
        resume=resume,
    )  # fmt: skip
    with watching() as watch, stopping() as stops:
        outcome = tuning.finetune(open_device(device, timeout_s=timeout_s), request, watch, stops)
    emit(outcome_json(outcome)) if as_json else print(outcome)


def _shape(context: int, batch: int | None, packs: bool, long: str, loss: str, held_out: float, seed: int) -> Shape:
    from tritmark.engine.data.dataset import Shape

    return Shape(
        context, batch or context, packs, _one_of("--long", long, "refuse", "split") == 1,
        _one_of("--loss", loss, "all", "answers") == 1, held_out, seed,
    )  # fmt: skip


def _one_of(option: str, value: str, *known: str) -> int:
    """Which of the ``known`` values it is; a usage error for any other."""
    from tritmark.bench.case import CaseError

    if value not in known:
        raise CaseError(f"{option} {value!r} is unknown; use {' or '.join(known)}")
    return known.index(value)


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


def outcome_json(outcome: Outcome) -> dict[str, Any]:
    return {name: str(value) if isinstance(value, Path) else value for name, value in vars(outcome).items()}
