"""Where two gradients meet that were both complete: their sum, in place. Of activations and of weights alike."""

from __future__ import annotations

from dataclasses import dataclass

from ..graph import Node, Value
from ..plan import Cost
from ..steps import StepRow
from .fill import CHUNK, grid_of
from .op import Array, Emitter, Shape


@dataclass(frozen=True)
class Add:
    """(x, total) of one shape -> total + x, every element, written over ``total``."""

    def shapes(self, inputs: tuple[Value, ...]) -> tuple[Shape, ...]:
        return ((inputs[1].shape, "f32"),)

    def reference(self, step: StepRow, inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        return (inputs[1] + inputs[0],)

    def lower(self, node: Node, emit: Emitter) -> None:
        x, total = node.inputs
        grid = grid_of(total.elements)
        emit.dispatch(
            "add",
            {"ELEMENTS": total.elements, "CHUNK": CHUNK, "WIDTH": grid[0]},
            {"x": x, "y": total},
            grid,
            node.label,
            Cost(bytes=total.bytes * 3, operations=total.elements),
        )
