"""act(gate) * up of two projections that were not fused: files with dense feed-forward weights."""

from __future__ import annotations

from dataclasses import dataclass

from ..graph import Node, Value
from ..plan import Cost
from ..steps import StepRow
from .op import Array, Emitter, Shape
from .ternary_product import gate


@dataclass(frozen=True)
class Gate:
    """(parts (M, 2 N), gate first) -> (M, N); activation "silu" or "relu2"."""

    activation: str

    def shapes(self, inputs: tuple[Value, ...]) -> tuple[Shape, ...]:
        tokens, both = inputs[0].shape
        return (((tokens, both // 2), "f32"),)

    def reference(self, step: StepRow, inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        parts = inputs[0][: step.count]
        half = parts.shape[1] // 2
        return (gate(self.activation, parts[:, :half], parts[:, half:]),)

    def lower(self, node: Node, emit: Emitter) -> None:
        y = node.outputs[0]
        emit.dispatch(
            "gate",
            {"ROWS": y.shape[1], "RELU2": self.activation == "relu2"},
            {"parts": node.inputs[0], "y": y},
            (-(-y.shape[1] // 64), "count", 1),
            node.label,
            Cost(bytes=y.bytes * 3, operations=y.elements * 20),
        )
