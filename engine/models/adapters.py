"""LoRA adapters at inference: which files with which weights, and what they add to a projection in place.

y += weight * scale * B (A x), where x are the float values that the projection's int8 codes stand for: training's own
arithmetic (trainable.py), so that a model answers with an adapter as it did when the adapter was made. Several add up,
in the order given.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from ..errors import FormatError
from ..formats.adapter import Adapter, read_adapter
from ..formats.model import Model
from ..graph import Graph, Value
from ..ops.matmul import MatMul
from .lora import MODULES

PREFIX = "adapter"  # of slots: "adapter.0/blk.0.attn_q.weight.lora_a" is that tensor of the first file


@dataclass(frozen=True)
class LowRank:
    """The halves of one adapter for one projection: A (rank, in), B (out, rank), and what B A counts."""

    name: str
    a: Value
    b: Value
    scale: float

    def add_to(self, graph: Graph, y: Value, column: int, x: Value, tokens: str) -> None:
        """y[:, column:] += scale B (A x), for x (M, in). ``tokens`` as in MatMul."""
        (low,) = graph.add(MatMul(transpose_b=True, tokens=tokens), [x, self.a], f"{self.name}.lora_a")
        add = MatMul(transpose_b=True, scale=self.scale, tokens=tokens, stride=y.shape[1], column=column)
        graph.add(add, [low, self.b, y], f"{self.name}.lora_b", [y])


@dataclass(frozen=True)
class Adapters:
    """Adapter files and their weights, in order; none by default."""

    used: tuple[tuple[Adapter, float], ...] = field(default=())

    @property
    def files(self) -> dict[str, str]:
        """Paths by the prefix of the slots that they fill (``Bundle.files``)."""
        return {f"{PREFIX}.{i}": str(adapter.file.path) for i, (adapter, _) in enumerate(self.used)}

    @property
    def models(self) -> dict[str, Model]:
        """The files themselves, as models/source.py takes them."""
        return {f"{PREFIX}.{i}": adapter.file for i, (adapter, _) in enumerate(self.used)}

    @property
    def layout(self) -> str:
        """What they add to the identity of a weight file. Weights are no part of it: they are in the shaders."""
        return "".join(f"/{adapter.file.sha256}" for adapter, _ in self.used)

    def of(self, name: str) -> Sequence[LowRank]:
        """What they add to the projection ``name`` (without ".weight")."""
        return self._parts.get(name, ())

    @cached_property
    def _parts(self) -> Mapping[str, Sequence[LowRank]]:
        parts: dict[str, list[LowRank]] = {}
        for i, (adapter, weight) in enumerate(self.used):
            for tensor, rows, cols, rank in adapter.pairs:
                a = Value(f"{PREFIX}.{i}/{tensor}.lora_a", (rank, cols), role="weight")
                b = Value(f"{PREFIX}.{i}/{tensor}.lora_b", (rows, rank), role="weight")
                name = tensor.removesuffix(".weight")
                label = f"{name}.{PREFIX}.{i}"
                parts.setdefault(name, []).append(LowRank(label, a, b, weight * adapter.scale(rank)))
        return parts


def parse_weighted(spec: str) -> tuple[Path, float]:
    """``A.gguf`` (weight 1) or ``A.gguf=0.5``. A name that ends in "=" and no number is a name."""
    path, equals, number = spec.rpartition("=")
    try:
        weight = float(number) if equals else 1.0
    except ValueError:
        return Path(spec), 1.0
    if not math.isfinite(weight):
        raise FormatError(f"{spec}: the weight of an adapter is a finite number")
    return (Path(path), weight) if equals else (Path(spec), 1.0)


def open_adapters(specs: Sequence[str], base: Model) -> Adapters:
    """The adapters of ``specs`` (see parse_weighted), checked against ``base``. FormatError where one does not fit."""
    return Adapters(tuple((_opened(path, base), weight) for path, weight in map(parse_weighted, specs)))


def _opened(path: Path, base: Model) -> Adapter:
    adapter = read_adapter(path)
    adapter.check(base)
    if not adapter.pairs:
        raise FormatError(f"{path}: holds no pair of .lora_a and .lora_b, so that it would change nothing")
    for tensor, _, _, rank in adapter.pairs:
        if tensor.removesuffix(".weight").rpartition(".")[2] not in MODULES.values():
            raise FormatError(f"{path}: adapts {tensor}; only {' '.join(MODULES)} can be adapted")
        if not math.isfinite(adapter.scale(rank)):
            raise FormatError(f"{path}: adapter.lora.alpha is {adapter.alpha}; it must be a finite number")
    return adapter
