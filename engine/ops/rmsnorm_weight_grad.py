"""The gradient of a norm's weight: a sum over the step's tokens, column by column.

In each block of 256 tokens four interleaved sums, joined (0 + 1) + (2 + 3); blocks added in order, as in matmul.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..graph import Node, Value
from ..plan import Cost
from ..steps import StepRow
from . import exact
from .matmul import BLOCK
from .op import Array, Emitter, Shape
from .quantize_norm import norm_constants, norm_factors

COLUMNS = 64  # of a workgroup, which has four threads for each: one an interleaved sum
UNROLLED = 4  # tokens of a thread that are on their way at once


def token_sums(x: Array) -> Array:
    """Sum over the tokens of x (M, K) -> (K)."""
    blocks = np.zeros((-(-len(x) // BLOCK), BLOCK // 4, 4, x.shape[1]), np.float32)
    blocks.reshape(-1, x.shape[1])[: len(x)] = x
    sums = exact.in_order(blocks, axis=1)
    joined = (sums[:, 0] + sums[:, 1]) + (sums[:, 2] + sums[:, 3])
    return np.zeros(x.shape[1], np.float32) + exact.in_order(joined, axis=0)


@dataclass(frozen=True)
class RmsNormWeightGrad:
    """(x (M, K), dy (M, K)[, total (K)]) -> [total +] the sum over the step's tokens of dy (x f), f the norm's factor.

    x f comes first: it is about 1, so that no product is denormal that need not be.
    """

    eps: float

    def shapes(self, inputs: tuple[Value, ...]) -> tuple[Shape, ...]:
        return ((inputs[0].shape[1:], "f32"),)

    def reference(self, step: StepRow, inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        x, dy = inputs[0][: step.count], inputs[1][: step.count]
        sums = token_sums(x * norm_factors(x, self.eps)[:, None] * dy)
        return (inputs[2] + sums if len(inputs) > 2 else sums,)

    def lower(self, node: Node, emit: Emitter) -> None:
        x, dy = node.inputs[:2]
        dw = node.outputs[0]
        tokens, cols = x.shape
        factors = Value(f"{dw.id}.{dy.id}.factors", (tokens,))
        sums = Value(f"{dw.id}.{dy.id}.sums", (-(-tokens // BLOCK), cols))
        emit.dispatch(
            "rmsnorm_factors",
            norm_constants(cols, self.eps),
            {"x": x, "factors": factors},
            ("count", 1, 1),
            f"{node.label}.factors",
            Cost(bytes=x.bytes, operations=2 * x.elements),
        )
        emit.dispatch(
            "rmsnorm_weight_sums",
            {"K": cols, "BLOCK": BLOCK, "COLUMNS": COLUMNS, "UNROLLED": UNROLLED},
            {"x": x, "dy": dy, "factors": factors, "sums": sums},
            (-(-cols // COLUMNS), sums.shape[0], 1),
            f"{node.label}.sums",
            Cost(bytes=2 * x.bytes, operations=3 * x.elements),
        )
        emit.dispatch(
            "rmsnorm_weight_grad",
            {"K": cols, "BLOCK": BLOCK, "ADDS": len(node.inputs) > 2},
            {"sums": sums, "dw": dw},
            (-(-cols // 64), 1, 1),
            node.label,
            Cost(bytes=sums.bytes + 2 * dw.bytes, operations=sums.elements),
        )
