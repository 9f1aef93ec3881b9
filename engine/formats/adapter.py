"""LoRA adapters as GGUF files, as llama.cpp writes and loads them (``--lora``).

Tensors are named after the base tensor: ``blk.0.attn_q.weight.lora_a`` (rank, in) and ``.lora_b`` (out, rank).
Metadata: ``general.type`` "adapter", ``adapter.type`` "lora", ``adapter.lora.alpha``; the architecture is the base's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGUFWriter

from ..errors import FormatError
from .gguf_file import GgufFile
from .model import Model
from .whole_file import written_whole

Pair = tuple[str, int, int, int]  # base tensor, out, in, rank


@dataclass(frozen=True)
class Adapter:
    """An adapter file, checked against nothing yet. ``alpha`` 0 means that B A is added as it is."""

    file: GgufFile
    alpha: float
    pairs: tuple[Pair, ...]

    def scale(self, rank: int) -> float:
        """What B A is multiplied by."""
        return self.alpha / rank if self.alpha else 1.0

    def check(self, base: Model) -> None:
        """FormatError where it was made for another model than ``base``."""
        ours, theirs = (model.metadata.get("general.architecture") for model in (base, self.file))
        if ours != theirs:
            raise FormatError(f"{self.file.path}: made for the architecture {theirs!r}; {base.name} is {ours!r}")
        for name, rows, cols, _ in self.pairs:
            info = base.tensors.get(name)
            if info is None or info.shape != (rows, cols):
                found = "none" if info is None else f"one of {info.shape}"
                raise FormatError(f"{self.file.path}: adapts {name} of shape {(rows, cols)}; {base.name} has {found}")


def read_adapter(path: Path) -> Adapter:
    """The adapter at ``path``, without pairs of norms, which one trainer writes. FormatError for anything else."""
    file = GgufFile(path)
    kind = file.metadata.get("general.type"), file.metadata.get("adapter.type")
    if kind != ("adapter", "lora"):
        raise FormatError(f"{path} is no LoRA adapter; its general.type and adapter.type are {kind}")
    if any(name.rpartition(".lora_")[2] not in ("a", "b") for name in file.tensors):
        raise FormatError(f"{path}: a tensor is neither .lora_a nor .lora_b")
    names = dict.fromkeys(name.rpartition(".lora_")[0] for name in file.tensors)
    pairs = tuple(_pair(file, name) for name in names if not name.endswith("_norm.weight"))
    return Adapter(file, float(file.metadata.get("adapter.lora.alpha", 0.0)), pairs)


def _pair(file: GgufFile, name: str) -> Pair:
    halves = [file.tensors.get(f"{name}.lora_{half}") for half in "ab"]
    a, b = halves
    if a is None or b is None:
        raise FormatError(f"{file.path}: {name} has only one of .lora_a and .lora_b")
    if len(a.shape) != 2 or len(b.shape) != 2 or a.shape[0] != b.shape[1]:
        raise FormatError(f"{file.path}: {name} has halves of shapes {a.shape} and {b.shape}, which do not multiply")
    if a.type not in ("f32", "f16", "bf16") or b.type not in ("f32", "f16", "bf16"):
        raise FormatError(f"{file.path}: {name} has halves of types {a.type} and {b.type}; use f32, f16 or bf16")
    return name, b.shape[0], a.shape[1], a.shape[0]


def write_adapter(
    path: Path, base: Model, alpha: float, tensors: Mapping[str, np.ndarray[Any, Any]], about: Mapping[str, Any]
) -> Path:
    """Write ``tensors`` (f32, by their names in the file) as an adapter of ``base``, whole or not at all.

    ``about``: further metadata, strings and numbers: the same adapter is the same bytes.
    """

    def write(partial: Path) -> None:
        writer = GGUFWriter(partial, str(base.metadata.get("general.architecture", "bitnet")))
        try:
            writer.add_type("adapter")
            writer.add_string("adapter.type", "lora")
            writer.add_float32("adapter.lora.alpha", alpha)
            for key, value in about.items():
                add: Any = {str: writer.add_string, int: writer.add_int64, float: writer.add_float64}[type(value)]
                add(key, value)
            for name, array in tensors.items():
                writer.add_tensor(name, np.ascontiguousarray(array, np.float32))
            writer.write_header_to_file()
            writer.write_kv_data_to_file()
            writer.write_tensors_to_file()
        finally:
            writer.close()

    return written_whole(path, write)
