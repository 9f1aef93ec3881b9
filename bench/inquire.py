"""Inquire: one model asked one thing on one device: its logits, or a continuation of a text."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tritmark.devices.base import Bundle, Device, Session, finished
from tritmark.engine import inference
from tritmark.engine.formats.model import Model, open_model

READ_BYTES = 16 << 20  # of one answer of the player


def own_format(model: Model) -> str:
    """The ternary type that most of the model's tensors have; tq2_0 where none has."""
    types = [info.type for info in model.tensors.values() if info.type in ("tq1_0", "tq2_0")]
    return max(sorted(set(types), reverse=True), key=types.count, default="tq2_0")


def logits(
    device: Device, spec: str, format: str | None, tokens: Sequence[int], out: Path | None, activation: str | None
) -> dict[str, Any]:
    """``digest`` (SHA-256 of float32 (positions, vocabulary), little endian) and, with ``out``, that array as .npy."""
    if out is not None and not out.parent.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "no such folder", str(out.parent))
    model = open_model(spec)
    fmt = inference.parse_format(format or own_format(model))
    with device.session() as session:
        compiled = inference.compile_logits(model, tokens, fmt, session.caps, activation=activation)
        session.load(Bundle(plan=compiled.plan, model=spec, format=str(fmt)))
        trace = finished(session.play(0, len(compiled.plan.steps)))
        probe = next(probe for probe in compiled.plan.probes if probe.name == "logits")
        vocabulary = probe.bytes // 4 // len(tokens)
        if out is not None:
            save(out, np.frombuffer(read(session, probe.slot, probe.bytes), "<f4").reshape(len(tokens), vocabulary))
    return {
        "digest": trace.digests["logits"], "positions": len(tokens), "vocabulary": vocabulary, "format": str(fmt),
        "out": str(out) if out else None, "plan_hash": compiled.plan.hash, "model_sha256": model.sha256,
    }  # fmt: skip


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
