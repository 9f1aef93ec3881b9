"""RMSNorm (Zhang and Sennrich 2019, arXiv 1910.07467) with float output: in front of the output head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..graph import Node, Value
from ..plan import Cost
from ..steps import StepRow
from . import exact
from .op import Array, Emitter, Shape
from .quantize_norm import lane_sums, norm_constants, norm_factors
from .rmsnorm_weight_grad import RmsNormWeightGrad

if TYPE_CHECKING:
    from ..grad import Tape


@dataclass(frozen=True)
class RmsNorm:
    """(x (M, K), weight (K)) -> (M, K), or with ``last`` only the step's last token -> (1, K)."""

    eps: float
    last: bool = False

    def shapes(self, inputs: tuple[Value, ...]) -> tuple[Shape, ...]:
        tokens, cols = inputs[0].shape
        return (((1 if self.last else tokens, cols), "f32"),)

    def reference(self, step: StepRow, inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        x = inputs[0][step.count - 1 : step.count] if self.last else inputs[0][: step.count]
        return (x * norm_factors(x, self.eps)[:, None] * inputs[1],)

    def vjp(self, node: Node, gradients: tuple[Value | None, ...], tape: Tape) -> None:
        assert gradients[0] is not None and not self.last
        x, weight = node.inputs
        if tape.needs(x):
            tape.add(x, RmsNormGrad(self.eps), [x, weight, gradients[0]], f"{node.label}.grad")
        if tape.needs(weight):
            tape.add(weight, RmsNormWeightGrad(self.eps), [x, gradients[0]], f"{node.label}.weight_grad")

    def lower(self, node: Node, emit: Emitter) -> None:
        x, weight = node.inputs
        y = node.outputs[0]
        emit.dispatch(
            "rmsnorm",
            {**norm_constants(x.shape[1], self.eps), "WG": 256, "LAST": self.last},
            {"x": x, "norm_weight": weight, "y": y},
            (1 if self.last else "count", 1, 1),
            node.label,
            Cost(bytes=y.bytes * 3, operations=y.elements * 4),
        )


@dataclass(frozen=True)
class RmsNormGrad:
    """(x (M, K), weight (K), dy (M, K)[, total (M, K)]) -> [total +] the gradient of x.

    With f the norm's factor it is f w dy - x f^3 mean(x w dy).
    """

    eps: float

    def shapes(self, inputs: tuple[Value, ...]) -> tuple[Shape, ...]:
        return ((inputs[0].shape, "f32"),)

    def reference(self, step: StepRow, inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        x, weight, dy = inputs[0][: step.count], inputs[1], inputs[2][: step.count]
        factor = norm_factors(x, self.eps)
        scaled = dy * weight
        pull = lane_sums(scaled * x) * exact.f32(1.0 / x.shape[1]) * (factor * factor * factor)
        dx = scaled * factor[:, None] - x * pull[:, None]
        return (inputs[3][: step.count] + dx if len(inputs) > 3 else dx,)

    def lower(self, node: Node, emit: Emitter) -> None:
        x, weight, dy = node.inputs[:3]
        emit.dispatch(
            "rmsnorm_grad",
            {**norm_constants(x.shape[1], self.eps), "WG": 256, "ADDS": len(node.inputs) > 3},
            {"x": x, "norm_weight": weight, "dy": dy, "dx": node.outputs[0]},
            ("count", 1, 1),
            node.label,
            Cost(bytes=x.bytes * 4, operations=x.elements * 12),
        )
