"""Where two gradients meet that were both complete: their sum, in place."""

from __future__ import annotations

from dataclasses import dataclass

from ..graph import Node, Value
from ..plan import Cost
from ..steps import StepRow
from .op import Array, Emitter, Shape


@dataclass(frozen=True)
class Add:
    """(x (M, K), total (M, K)) -> total + x, written over ``total``."""

    def shapes(self, inputs: tuple[Value, ...]) -> tuple[Shape, ...]:
        return ((inputs[1].shape, "f32"),)

    def reference(self, step: StepRow, inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        return (inputs[1][: step.count] + inputs[0][: step.count],)

    def lower(self, node: Node, emit: Emitter) -> None:
        x, total = node.inputs
        cols = total.elements // total.shape[0]
        emit.dispatch(
            "add",
            {"COLS": cols},
            {"x": x, "y": total},
            (-(-cols // 256), "count", 1),
            node.label,
            Cost(bytes=total.bytes * 3, operations=total.elements),
        )
