"""Merging LoRA adapters into their model: every adapted matrix becomes W + sum(weight * scale * B A).

"dense" keeps that sum, as F16. "tq1_0" and "tq2_0" make it ternary again by BitNet's absmean rule, with one scale a
tensor: smaller, as fast as before, and another model, whose loss must be measured. What was not ternary (an output
head) becomes F16 in either case; what is not adapted stays as it is. A ``.scale`` tensor goes into its merged matrix.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import FormatError
from .adapter import Adapter, Pair
from .blocks import TERNARY, dense, row_chunks
from .gguf_writer import Progress, write_gguf
from .model import Model, TensorInfo
from .resident import is_ternary, outer_scale
from .ternary import BLOCK, pack

DENSE = "dense"
TYPES = (DENSE, *TERNARY)
MERGED_KEY = "tritmark.merged"  # our own metadata key: "SHA-256=weight" of each adapter that was merged
LEAST_SCALE = np.float32(1e-5)

F32 = npt.NDArray[np.float32]
Used = Sequence[tuple[Adapter, float]]


def merge(base: Model, adapters: Used, out: Path, type_: str, progress: Progress | None = None) -> Path:
    """Write ``base`` with ``adapters`` (each with its weight) merged into it; FormatError leaves no file behind."""
    if type_ not in TYPES:
        raise FormatError(f"cannot merge into {type_}; choose one of {', '.join(TYPES)}")
    if not adapters:
        raise FormatError("there is no adapter to merge; give at least one")
    merged = MergedModel(base, adapters, type_)
    return write_gguf(merged, out, "f16" if type_ == DENSE else type_, progress)


@dataclass(frozen=True)
class MergedModel:
    """A Model whose adapted matrices are made when they are read; adapters were checked against ``base``."""

    base: Model
    adapters: Used
    type: str

    path = None

    @property
    def name(self) -> str:
        return self.base.name

    @property
    def sha256(self) -> str:
        raise FormatError(f"{self.name} is not written yet")

    @property
    def metadata(self) -> Mapping[str, Any]:
        merged = [f"{adapter.file.sha256}={weight:g}" for adapter, weight in self.adapters]
        return {**self.base.metadata, MERGED_KEY: [*self.base.metadata.get(MERGED_KEY, []), *merged]}

    @property
    def value_types(self) -> Mapping[str, Any]:
        return getattr(self.base, "value_types", {})

    @cached_property
    def tensors(self) -> Mapping[str, TensorInfo]:
        scales = {name.removesuffix(".weight") + ".scale" for name in self._changes}
        return {name: self._info(info) for name, info in self.base.tensors.items() if name not in scales}

    def known_scale(self, name: str) -> None:
        """Only reading tells."""

    def packed(self, name: str) -> np.ndarray:
        if name not in self._changes:
            return self.base.packed(name)
        info = self.tensors[name]
        values = self._values(name)
        if is_ternary(self.base, name) and self.type in TERNARY:
            trits, scale = absmean(values, name)
            if info.type in TERNARY:
                return pack(trits, np.full((info.rows, info.cols // BLOCK), scale), info.type)
            return (trits * scale).astype("<f2").view(np.uint8)  # rows that no block divides, as converters store them
        with np.errstate(over="ignore"):
            halves = values.astype("<f2")
        if not np.isfinite(halves).all():
            raise FormatError(f"{self.name}: {name} has values above 65,504 with the adapter, which F16 cannot hold")
        return halves.view(np.uint8)

    @cached_property
    def _changes(self) -> Mapping[str, list[tuple[Adapter, Pair, float]]]:
        found: dict[str, list[tuple[Adapter, Pair, float]]] = {}
        for adapter, weight in self.adapters:
            for pair in adapter.pairs:
                found.setdefault(pair[0], []).append((adapter, pair, weight * adapter.scale(pair[3])))
        return found

    def _info(self, info: TensorInfo) -> TensorInfo:
        if info.name not in self._changes:
            return info
        again = self.type in TERNARY and info.cols % BLOCK == 0 and is_ternary(self.base, info.name)
        return TensorInfo(info.name, info.shape, self.type if again else "f16")

    def _values(self, name: str) -> F32:
        """W + sum(weight * scale * B A), summed in float64: the same bits wherever it is done, but for rare ties."""
        info, outer = self.base.tensors[name], float(outer_scale(self.base, name))
        packed = self.base.packed(name)
        out = np.empty(info.shape, np.float32)
        halves = [(self._half(adapter, f"{name}.lora_b") * scale, self._half(adapter, f"{name}.lora_a"))
                  for adapter, _, scale in self._changes[name]]  # fmt: skip
        for rows in row_chunks(info.rows, info.cols * 8):
            total = dense(packed[rows], info.type, info.cols) * outer
            for b, a in halves:
                total = total + b[rows] @ a
            out[rows] = total
        return out

    def _half(self, adapter: Adapter, tensor: str) -> npt.NDArray[np.float64]:
        info = adapter.file.tensors[tensor]
        return dense(adapter.file.packed(tensor), info.type, info.cols).astype(np.float64)


def absmean(weights: F32, name: str) -> tuple[npt.NDArray[np.int8], np.float16]:
    """Trits and their scale: s = mean |W|, t = W / s rounded to the nearest (ties to even) and clipped to -1..1."""
    scale = np.maximum(np.float32(np.abs(weights).mean(dtype=np.float64)), LEAST_SCALE)
    with np.errstate(over="ignore"):
        stored = np.float16(scale)
    if not np.isfinite(stored):
        raise FormatError(f"the scale {scale} of {name} does not fit fp16, which TQ blocks need")
    return np.clip(np.rint(weights / scale), -1, 1).astype(np.int8), stored
