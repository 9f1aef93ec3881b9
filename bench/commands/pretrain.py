"""`tritmark pretrain`: a ternary model from text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .finetune import Accumulate, CheckpointDir, CheckpointSteps, Clip, Epochs, Resume, Seed, outcome_json, stopping
from .output import TIMEOUT_S, AsJson, Device, Timeout, emit

Data = Annotated[str, typer.Option(help="Text: a file, a folder, JSON lines, or python: what every Python carries.")]
Out = Annotated[Path, typer.Option(help="The model to write, a GGUF.")]
Start = Annotated[Path | None, typer.Option(help="A model to go on from: its shape, tokenizer and weights.")]
Tokenizer = Annotated[str, typer.Option(help="Tokens to learn from the text, shipped, or a model to take it from.")]
Embedding = Annotated[int, typer.Option(help="Width of the residual stream.", min=32)]
FeedForward = Annotated[int, typer.Option(help="Width of the feed-forward layers.", min=32)]
Layers = Annotated[int, typer.Option(min=1)]
Heads = Annotated[int, typer.Option(help="Heads of attention.", min=1)]
KvHeads = Annotated[int | None, typer.Option(help="Heads of keys and values; by default as many.", min=1)]
Gate = Annotated[str, typer.Option("--activation", help="silu or relu2.")]
Context = Annotated[int, typer.Option(help="Most tokens of a document.", min=2)]
Batch = Annotated[int, typer.Option(help="Tokens of a micro-batch.", min=2)]
Rate = Annotated[float, typer.Option("--learning-rate", help="At its highest.")]
RateSecond = Annotated[float | None, typer.Option(help="Where the second stage starts; by default two thirds.")]
Scheduler = Annotated[str, typer.Option("--lr-scheduler", help="two_stage, cosine, linear or constant.")]
Decay = Annotated[float, typer.Option("--weight-decay", help="Of AdamW; nothing in the second of two stages.")]
Warmup = Annotated[float, typer.Option(help="Steps of warm-up, or below 1 a part of all.")]
Dropout = Annotated[float, typer.Option(help="Of embedded tokens and of what blocks add to them.", min=0, max=0.9)]
Validation = Annotated[float, typer.Option(help="Part of the documents that is held out; python has its own.")]
EvaluateSteps = Annotated[int | None, typer.Option(help="Steps between evaluations; by default an epoch.")]
Type = Annotated[str, typer.Option(help="tq1_0 or tq2_0.")]


def pretrain(
    data: Data,
    out: Out,
    start: Start = None,
    tokenizer: Tokenizer = "2048",
    embedding: Embedding = 512,
    feed_forward: FeedForward = 1280,
    layers: Layers = 4,
    heads: Heads = 8,
    kv_heads: KvHeads = None,
    activation: Gate = "silu",
    context: Context = 256,
    batch: Batch = 8192,
    accumulate: Accumulate = 1,
    epochs: Epochs = 10,
    learning_rate: Rate = 1.5e-3,
    rate_second: RateSecond = None,
    lr_scheduler: Scheduler = "two_stage",
    weight_decay: Decay = 0.1,
    warmup: Warmup = 0.05,
    clip: Clip = 1.0,
    dropout: Dropout = 0.0,
    validation: Validation = 0.05,
    evaluate_steps: EvaluateSteps = None,
    seed: Seed = 42,
    type: Type = "tq1_0",
    checkpoint_dir: CheckpointDir = None,
    checkpoint_steps: CheckpointSteps = 500,
    resume: Resume = False,
    device: Device = "host",
    timeout_s: Timeout = TIMEOUT_S,
    as_json: AsJson = False,
) -> None:
    """Train a ternary model from scratch, tokenizer and weights.

    The same text, seed and settings give the same model, byte for byte, on every exact device."""
    from tritmark.bench import pretrain as pretraining
    from tritmark.bench.learning import watching
    from tritmark.devices.registry import open_device
    from tritmark.engine.data.dataset import Shape

    request = pretraining.Request(
        data=data, out=out, shape=Shape(context, batch, answers_only=False, held_out=validation, seed=seed),
        start=start, tokenizer=tokenizer, embedding=embedding, feed_forward=feed_forward, layers=layers, heads=heads,
        kv_heads=kv_heads or heads, activation=activation, type=type, epochs=epochs, accumulation=accumulate,
        schedule=lr_scheduler, rate=learning_rate, rate_second=rate_second, decay=weight_decay, warmup=warmup,
        clip=clip or None, dropout=dropout, evaluate_steps=evaluate_steps, checkpoint_dir=checkpoint_dir,
        checkpoint_steps=checkpoint_steps, resume=resume,
    )  # fmt: skip
    with watching() as watch, stopping() as stops:
        outcome = pretraining.pretrain(open_device(device, timeout_s=timeout_s), request, watch, stops)
    emit(outcome_json(outcome)) if as_json else print(outcome)
