"""A value set to zeros: the state of a run that begins."""

from __future__ import annotations

from dataclasses import dataclass

from ..graph import Node, Value
from ..plan import Cost
from ..steps import StepRow
from .op import Array, Emitter, Shape


@dataclass(frozen=True)
class Zeros:
    """(x) -> zeros over it."""

    def shapes(self, inputs: tuple[Value, ...]) -> tuple[Shape, ...]:
        return ()

    def reference(self, step: StepRow, inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        inputs[0][...] = 0
        return ()

    def lower(self, node: Node, emit: Emitter) -> None:
        x = node.inputs[0]
        grid = (-(-x.elements // 1024), 1, 1)
        emit.dispatch("zeros", {"ELEMENTS": x.elements}, {"x": x}, grid, node.label, Cost(bytes=x.bytes))
