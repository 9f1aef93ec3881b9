"""AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101) over many parameters at once, and clipping by their global norm.

m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g^2;
w = w (1 - rate decay) - rate (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps).

What depends on t comes with the step row. A gradient that is not finite changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..graph import Node, Value
from ..plan import Cost
from ..steps import StepRow
from . import exact, fill
from .op import Array, Emitter, Shape
from .quantize_norm import lane_sums

CHUNK = 1 << 15  # elements whose squares one workgroup adds
TINY = exact.f32(1e-30)  # moments below become zero before they are denormal


@dataclass(frozen=True)
class GradientNorm:
    """(gradients (P), log (steps)) -> (2): the global norm, and what clipping it to ``most`` multiplies gradients by.

    The factor is 0 where the norm is not finite. The norm also goes to the log, at the step's draw.
    """

    most: float

    def shapes(self, inputs: tuple[Value, ...]) -> tuple[Shape, ...]:
        return (((2,), "f32"),)

    def reference(self, step: StepRow, inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        gradients, log = inputs
        chunks = np.zeros((-(-gradients.size // CHUNK), CHUNK), np.float32)
        chunks.reshape(-1)[: gradients.size] = gradients * gradients
        total = lane_sums(lane_sums(chunks)[None, :])
        finite = bool(np.isfinite(total[0]))
        norm = total * exact.inverse_sqrt(total) if finite and total[0] >= TINY else total
        log[step.draw] = norm[0]
        factor = exact.f32(1.0 if finite else 0.0)
        if finite and norm[0] > exact.f32(self.most):
            factor = (exact.f32(self.most) * exact.reciprocal(norm))[0]
        return (np.array([norm[0], factor], np.float32),)

    def lower(self, node: Node, emit: Emitter) -> None:
        gradients, log = node.inputs
        parts = Value(f"{node.outputs[0].id}.parts", (-(-gradients.elements // CHUNK),))
        emit.dispatch(
            "square_sums",
            {"ELEMENTS": gradients.elements, "CHUNK": CHUNK},
            {"x": gradients, "sums": parts},
            (parts.elements, 1, 1),
            f"{node.label}.squares",
            Cost(bytes=gradients.bytes, operations=2 * gradients.elements),
        )
        emit.dispatch(
            "gradient_norm",
            {"PARTS": parts.elements, "MOST": self.most},
            {"sums": parts, "norm_log": log, "norm": node.outputs[0]},
            (1, 1, 1),
            node.label,
            Cost(bytes=parts.bytes),
        )


@dataclass(frozen=True)
class AdamW:
    """(parameters, gradients, first and second moments, all (P), norm (2)): updates them in place, gradients to zero.

    ``decays``: whether weights shrink by the step's ``keep``.
    """

    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    decays: bool = True

    def shapes(self, inputs: tuple[Value, ...]) -> tuple[Shape, ...]:
        return ()

    def reference(self, step: StepRow, inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        weights, gradients, first, second, norm = inputs
        if norm[1] > 0:
            g = gradients * norm[1]
            m = first * exact.f32(self.beta1) + g * exact.f32(1 - self.beta1)
            v = second * exact.f32(self.beta2) + g * g * exact.f32(1 - self.beta2)
            first[...] = np.where(np.abs(m) < TINY, exact.f32(0), m)
            second[...] = np.where(v < TINY, exact.f32(0), v)
            spread = second * exact.f32(step.unbias2)
            root = np.where(spread < TINY, exact.f32(0), spread * exact.inverse_sqrt(np.maximum(spread, TINY)))
            move = exact.f32(step.rate) * (first * exact.f32(step.unbias1))
            kept = weights * exact.f32(step.keep) if self.decays else weights
            weights[...] = kept - move * exact.reciprocal(root + exact.f32(self.eps))
        gradients[...] = 0
        return ()

    def lower(self, node: Node, emit: Emitter) -> None:
        weights, gradients, first, second, norm = node.inputs
        grid = fill.grid_of(weights.elements)
        emit.dispatch(
            "adamw",
            {
                "ELEMENTS": weights.elements,
                "BETA1": self.beta1,
                "REST1": 1 - self.beta1,
                "BETA2": self.beta2,
                "REST2": 1 - self.beta2,
                "EPS": self.eps,
                "DECAYS": self.decays,
                "CHUNK": fill.CHUNK,
                "WIDTH": grid[0],
            },
            {"weights": weights, "gradients": gradients, "first": first, "second": second, "norm": norm},
            grid,
            node.label,
            Cost(bytes=weights.bytes * 7, operations=weights.elements * 30),
        )
