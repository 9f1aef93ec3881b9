"""One op, or a few, as a program of its own: played on the GPU and by its reference, on data that a test chooses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from engine_runs import Array, read_value, same_bits
from made_models import MadeModel, add_ternary, dense_rows

from tritmark.engine.compile import Compiler
from tritmark.engine.graph import Graph, Value
from tritmark.engine.plan import Slot
from tritmark.engine.players.wgpu_player import Session, load
from tritmark.engine.reference import DTYPES, Reference
from tritmark.engine.steps import StepRow
from tritmark.engine.weights import Image, Piece, Weight, as_bytes

KINDS = ("normal", "zeros", "huge", "tiny", "single", "ties", "mixed")


def drawn(random: np.random.Generator, kind: str, shape: tuple[int, ...], largest: float = 1e12) -> Array:
    """f32 data of one kind. None is so small that its square is denormal: devices may flush those."""
    values = random.normal(0, 1, shape)
    if kind == "zeros":
        values *= 0
    elif kind == "huge":
        values *= largest
    elif kind == "tiny":
        values *= 1e-15
    elif kind == "single":
        values *= random.random(shape) < 1 / values.size
    elif kind == "ties":
        values = np.rint(values * 4) / 2
    elif kind == "mixed":
        values *= np.exp2(random.integers(-12, 12, shape))
    return values.astype(np.float32)


def halves(random: np.random.Generator, kind: str, shape: tuple[int, ...]) -> Array:
    """fp16 data as the cache holds it: no subnormals, no infinities."""
    found = drawn(random, kind, shape, 1e4).astype(np.float16)
    return np.where(np.abs(found) < 2**-14, np.float16(0), found)


def ternary_weight(shape: tuple[int, int], kind: str, scales: str, pair: bool) -> Weight:
    model, random = MadeModel("op"), np.random.default_rng(shape[0])
    names = ("gate", "up") if pair else ("w",)
    for name in names:
        add_ternary(model, random, name, shape, scales)
    scaling = "block" if scales == "block" else "row"
    return Weight("w", model, tuple(f"{n}.weight" for n in names), kind, shape[0] * len(names), shape[1], pair, scaling)


def dense_weight(shape: tuple[int, int], type_: str) -> Weight:
    model = MadeModel("op")
    model.add("w.weight", shape, type_, dense_rows(np.random.default_rng(shape[1]), shape, type_))
    return Weight("w", model, ("w.weight",), type_, *shape, scaling="none")


@dataclass
class OpRun:
    """A graph loaded with one step for each of ``rows``; its program must be called "op"."""

    gpu: Any
    graph: Graph
    rows: Sequence[StepRow]
    weights: Mapping[str, Weight] = field(default_factory=dict)

    def __post_init__(self) -> None:
        compiler = Compiler(self.gpu.caps, Image(MadeModel("op"), "op"))
        program = compiler.program(self.graph)
        self.session: Session = load(self.gpu, compiler.plan({"op": program}, self.rows, []), self)

    def pieces(self, slot: Slot) -> Sequence[Piece]:
        """The content of a weight slot."""
        weight = self.weights[slot.id.removesuffix(".scales")]
        if not slot.id.endswith(".scales"):
            return weight.pieces()
        return [Piece(weight.scale_bytes, lambda: as_bytes(weight.scales()))]

    def differing(self, step: int, data: Mapping[str, Array]) -> list[str]:
        """Play ``step`` on ``data`` (zeros where a value has none): values that then differ in any bit."""
        reference = Reference({"op": self.graph}, {})
        values = {v.id: v for node in self.graph.nodes for v in (*node.inputs, *node.outputs) if v.role != "scratch"}
        for value in values.values():
            array = data.get(value.id, np.zeros(1, DTYPES[value.dtype]))
            reference.arrays[value.id] = np.array(np.broadcast_to(array, value.shape), DTYPES[value.dtype])
            raw = reference.arrays[value.id].tobytes()
            self.session.write(value.id, raw + bytes(value.bytes - len(raw)))
        with np.errstate(all="ignore"):
            reference.play([self.rows[step]])
        self.session.play(step, step + 1)
        return [v.id for v in values.values() if not same_bits(read_value(self.session, v), reference.arrays[v.id])]


def given(name: str, *shape: int, dtype: str = "f32") -> Value:
    return Value(name, shape, dtype, "input")


def result(name: str, *shape: int, dtype: str = "f32") -> Value:
    return Value(name, shape, dtype, "output")
