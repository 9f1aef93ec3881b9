"""Inquire: one model asked one thing on one device: its logits, or a continuation of a text."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tritmark.devices.base import Bundle, Device, Session, finished
from tritmark.engine import inference
from tritmark.engine.formats.model import Model, open_model
from tritmark.engine.models.adapters import open_adapters
from tritmark.engine.ops.sample import Sampling
from tritmark.engine.tokenizers import load_tokenizer

BURST_NS = 100_000_000  # how long the tokens of one play may be held back
READ_BYTES = 16 << 20  # of one answer of the player


def own_format(model: Model) -> str:
    """The ternary type that most of the model's tensors have; tq2_0 where none has."""
    types = [info.type for info in model.tensors.values() if info.type in ("tq1_0", "tq2_0")]
    return max(sorted(set(types), reverse=True), key=types.count, default="tq2_0")


def logits(
    device: Device,
    spec: str,
    format: str | None,
    tokens: Sequence[int],
    out: Path | None,
    activation: str | None,
    loras: Sequence[str] = (),
) -> dict[str, Any]:
    """``digest`` (SHA-256 of float32 (positions, vocabulary), little endian) and, with ``out``, that array as .npy."""
    if out is not None and not out.parent.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "no such folder", str(out.parent))
    model = open_model(spec)
    fmt, adapters = inference.parse_format(format or own_format(model)), open_adapters(loras, model)
    with device.session() as session:
        compiled = inference.compile_logits(model, tokens, fmt, session.caps, activation=activation, adapters=adapters)
        session.load(Bundle(plan=compiled.plan, model=spec, format=str(fmt), files=adapters.files))
        trace = finished(session.play(0, len(compiled.plan.steps)))
        probe = next(probe for probe in compiled.plan.probes if probe.name == "logits")
        vocabulary = probe.bytes // 4 // len(tokens)
        if out is not None:
            save(out, np.frombuffer(read(session, probe.slot, probe.bytes), "<f4").reshape(len(tokens), vocabulary))
    return {
        "digest": trace.digests["logits"], "positions": len(tokens), "vocabulary": vocabulary, "format": str(fmt),
        "out": str(out) if out else None, "plan_hash": compiled.plan.hash, "model_sha256": model.sha256,
    }  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to continue, a text or token ids, and by how many tokens at most. ``chat``: the text is a user's message.

    ``loras``: adapters, as engine/models/adapters.py reads them.
    """

    model: str
    format: str | None
    prompt: str | Sequence[int]
    tokens: int
    sampling: Sampling
    chat: bool = False
    activation: str | None = None
    loras: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Part of a continuation: its token ids and, of a text, what they spell."""

    tokens: list[int]
    text: str = ""


def generate(device: Device, request: Request) -> Iterator[Piece]:
    """The continuation as it becomes known, up to the token by which the model ends a text (left out)."""
    model = open_model(request.model)
    if not isinstance(request.prompt, str):
        for ids in generate_ids(device, model, request, request.prompt, stop_tokens(model)):
            yield Piece(tokens=ids)
        return
    tokenizer = load_tokenizer(model.metadata)
    message = [{"role": "user", "content": request.prompt}]
    prompt = tokenizer.encode_chat(message) if request.chat else tokenizer.encode(request.prompt)
    stream = tokenizer.stream()
    for ids in generate_ids(device, model, request, prompt, frozenset(tokenizer.eos_ids)):
        yield Piece(tokens=ids, text="".join(map(stream.push, ids)))
    yield Piece(tokens=[], text=stream.flush())


def generate_ids(
    device: Device, model: Model, request: Request, prompt: Sequence[int], stops: frozenset[int]
) -> Iterator[list[int]]:
    """Token ids after ``prompt``, a few at a time, until one of ``stops`` or as many as requested."""
    fmt = inference.parse_format(request.format or own_format(model))
    adapters = open_adapters(request.loras, model)
    with device.session() as session:
        compiled = inference.compile_generation(
            model, fmt, prompt, request.tokens - 1, session.caps,
            activation=request.activation, sampling=request.sampling, adapters=adapters,
        )  # fmt: skip
        session.load(Bundle(plan=compiled.plan, model=request.model, format=str(fmt), files=adapters.files))
        position = len(prompt)
        for count in bursts(session, compiled.first_decode, len(compiled.plan.steps)):
            ids = np.frombuffer(session.read("tokens", 4 * position, 4 * count), "<u4").tolist()
            position += count
            end = next((at for at, token in enumerate(ids) if token in stops), count)
            yield ids[:end]
            if end < count:
                return


def bursts(session: Session, first_decode: int, last: int) -> Iterator[int]:
    """Play everything and tell after each play how many tokens it made: few enough that nobody waits for them."""
    finished(session.play(0, first_decode))
    yield 1
    step, count = first_decode, 1
    while step < last:
        count = min(count, last - step)
        wall_ns = finished(session.play(step, step + count)).wall_ns
        yield count
        step += count
        count = max(1, min(2 * count, round(count * BURST_NS / max(wall_ns, 1))))


def stop_tokens(model: Model) -> frozenset[int]:
    """The ids that end a text, as the metadata of a model names them even where it has no tokenizer."""
    found = (model.metadata.get(f"tokenizer.ggml.{name}_token_id") for name in ("eos", "eot"))
    return frozenset(token for token in found if isinstance(token, int))


def read(session: Session, slot: str, size: int) -> bytes:
    """The first ``size`` bytes of a slot, in answers of bounded length."""
    pieces = range(0, size, READ_BYTES)
    return b"".join(session.read(slot, offset, min(READ_BYTES, size - offset)) for offset in pieces)


def save(path: Path, array: np.ndarray[Any, Any]) -> None:
    """Write ``array`` as .npy under exactly this name, whole or not at all."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            np.save(file, array)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
