"""Checkpoints of a training run: everything that goes on from one optimiser step to the next, as one GGUF file a step.

A file appears under its name only when whole, so an interrupted or refused write leaves the one before it. What the run
was told (``settings``) lies in it: a run that was told anything else does not go on from there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGUFWriter

from tritmark.engine.errors import EngineError, FormatError
from tritmark.engine.formats.gguf_file import GgufFile
from tritmark.engine.formats.whole_file import written_whole

from .case import CaseError

KIND = "training state"
KEPT = 2  # newest checkpoints; older ones are removed
_NAME = re.compile(r"step-(\d{8})\.gguf")


@dataclass(frozen=True)
class Checkpoint:
    """A file, the optimiser steps done in it, what the run was told, and what it remembers beside its state."""

    path: Path
    step: int
    settings: Mapping[str, Any]
    memory: Mapping[str, Any]
    sha256: str

    def vector(self, name: str) -> np.ndarray[Any, Any]:
        """A tensor of the state, f32."""
        return GgufFile(self.path).packed(name).view("<f4").reshape(-1)


def save(
    folder: Path,
    step: int,
    settings: Mapping[str, Any],
    state: Mapping[str, np.ndarray[Any, Any]],
    memory: Mapping[str, Any] | None = None,
) -> Path:
    """Write ``state`` (f32 vectors by slot name) as the checkpoint of ``step`` and remove all but the newest ones."""
    folder.mkdir(parents=True, exist_ok=True)

    def write(partial: Path) -> None:
        writer = GGUFWriter(partial, "tritmark")
        try:
            writer.add_type(KIND)
            writer.add_uint32("training.step", step)
            writer.add_string("training.settings", json.dumps(settings, sort_keys=True))
            writer.add_string("training.memory", json.dumps(memory or {}, sort_keys=True))
            for name, array in state.items():
                writer.add_tensor(name, array.astype("<f4", copy=False))
            writer.write_header_to_file()
            writer.write_kv_data_to_file()
            writer.write_tensors_to_file()
        finally:
            writer.close()

    path = written_whole(folder / f"step-{step:08d}.gguf", write)
    for old in _files(folder)[:-KEPT]:
        old.unlink(missing_ok=True)
    return path


def newest(folder: Path) -> Checkpoint:
    """The checkpoint of the latest step in ``folder`` that can be read; CaseError where there is none."""
    reasons = []
    for path in reversed(_files(folder)):
        try:
            return read(path)
        except EngineError as error:
            reasons.append(str(error))
    raise CaseError(reasons[0] if reasons else f"{folder} holds no checkpoint; leave out --resume to begin anew")


def read(path: Path) -> Checkpoint:
    """The checkpoint at ``path``; FormatError where it is none, or damaged."""
    file = GgufFile(path)
    if file.metadata.get("general.type") != KIND:
        raise FormatError(f"{path} is no checkpoint of a training run")
    for name in file.tensors:
        file.packed(name)  # refuses what is cut short or not finite
    step, settings = file.metadata.get("training.step"), file.metadata.get("training.settings")
    if not isinstance(step, int) or not isinstance(settings, str):
        raise FormatError(f"{path} does not say which step it is of; it is damaged")
    memory = json.loads(str(file.metadata.get("training.memory", "{}")))
    return Checkpoint(path, step, json.loads(settings), memory, file.sha256)


def check(checkpoint: Checkpoint, settings: Mapping[str, Any]) -> None:
    """CaseError, naming what differs, where ``checkpoint`` is of a run that was told something else."""
    then, now = _flat(checkpoint.settings), _flat(settings)
    for name in {**now, **then}:
        if now.get(name) != then.get(name):
            raise CaseError(
                f"{checkpoint.path} is of another run: {name} was {then.get(name)!r} there and is {now.get(name)!r} "
                "now; use the same, or another --checkpoint-dir"
            )


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Settings within settings by their path: "lora.rank"."""
    found: dict[str, Any] = {}
    for name, value in settings.items():
        found |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return found


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("step-*.gguf") if _NAME.fullmatch(path.name))
