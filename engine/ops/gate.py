"""act(gate) * up, where it was not fused with the product: dense projections, and training, which needs both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..graph import Node, Value
from ..plan import Cost
from ..steps import StepRow
from . import exact
from .op import Array, Emitter, Shape
from .ternary_product import gate

if TYPE_CHECKING:
    from ..grad import Tape


@dataclass(frozen=True)
class Gate:
    """(gate (M, N), up (M, N)) -> (M, N); activation "silu" or "relu2"."""

    activation: str

    def shapes(self, inputs: tuple[Value, ...]) -> tuple[Shape, ...]:
        return ((inputs[0].shape, "f32"),)

    def reference(self, step: StepRow, inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        return (gate(self.activation, inputs[0][: step.count], inputs[1][: step.count]),)

    def vjp(self, node: Node, gradients: tuple[Value | None, ...], tape: Tape) -> None:
        assert gradients[0] is not None
        label = f"{node.label}.grad"
        found = tape.graph.add(GateGrad(self.activation), [*node.inputs, gradients[0]], label)
        for value, gradient in zip(node.inputs, found, strict=True):
            if tape.needs(value):
                tape.pass_on(value, gradient, label)

    def lower(self, node: Node, emit: Emitter) -> None:
        y = node.outputs[0]
        emit.dispatch(
            "gate",
            {"COLS": y.shape[1], "RELU2": self.activation == "relu2"},
            {"gate": node.inputs[0], "up": node.inputs[1], "y": y},
            (-(-y.shape[1] // 64), "count", 1),
            node.label,
            Cost(bytes=y.bytes * 3, operations=y.elements * 20),
        )


@dataclass(frozen=True)
class GateGrad:
    """(gate, up, gradient of the result, all (M, N)) -> gradients of gate and up.

    With s the logistic function: d silu(g) = s + g s (1 - s); d relu(g)^2 = 2 relu(g).
    """

    activation: str

    def shapes(self, inputs: tuple[Value, ...]) -> tuple[Shape, ...]:
        return ((inputs[0].shape, "f32"), (inputs[1].shape, "f32"))

    def reference(self, step: StepRow, inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        g, u, dy = (x[: step.count] for x in inputs)
        if self.activation == "relu2":
            positive = np.maximum(g, exact.f32(0))
            value, slope = positive * positive, positive * exact.f32(2)
        else:
            s = exact.reciprocal(exact.f32(1) + exact.exponential(-g))
            value = g * s
            slope = s + value * (exact.f32(1) - s)
        return dy * u * slope, dy * value

    def lower(self, node: Node, emit: Emitter) -> None:
        g, u, dy = node.inputs
        emit.dispatch(
            "gate_grad",
            {"COLS": g.shape[1], "RELU2": self.activation == "relu2"},
            {"gate": g, "up": u, "dy": dy, "gate_gradient": node.outputs[0], "up_gradient": node.outputs[1]},
            (-(-g.shape[1] // 64), "count", 1),
            node.label,
            Cost(bytes=g.bytes * 5, operations=g.elements * 25),
        )
