"""RMSNorm (Zhang and Sennrich 2019, arXiv 1910.07467) with float output: in front of the output head."""

from __future__ import annotations

from dataclasses import dataclass

from ..graph import Node, Value
from ..plan import Cost
from ..steps import StepRow
from .op import Array, Emitter, Shape
from .quantize_norm import norm_constants, norm_factors


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
