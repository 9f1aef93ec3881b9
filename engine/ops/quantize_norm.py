"""RMSNorm with int8 absmax quantisation of each token (W1.58A8: Ma et al. 2024, arXiv 2402.17764, section 2).

``q = round(127 x w / max|x w|)`` and ``scale = max|x w| / (127 rms(x))``: the norm's factor is positive and common to
the token, so it cancels in the codes and multiplies the scale.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..graph import Node, Value
from ..plan import Cost
from ..steps import StepRow
from . import exact
from .op import Array, Emitter, Shape

LANES = 256
TOP_FLOOR = exact.f32(1e-20)
TOKEN_TILE = 8  # tokens whose codes lie side by side in the buffer


def padded(cols: int) -> int:
    return -(-cols // 256) * 256


def norm_constants(cols: int, eps: float) -> dict[str, int | float | bool]:
    """Constants of lib/norm_lanes.wgsl and lib/quantize.wgsl."""
    return {
        "QUADS": cols // 4,
        "PADDED_QUADS": padded(cols) // 4,
        "INVERSE_K": 1.0 / cols,
        "EPS": eps,
        "INVERSE_127": 1.0 / 127,
    }


def lane_sums(x: Array) -> Array:
    """Sum of each row of x (M, K), in the lane order of lib/norm_lanes.wgsl."""
    lanes = np.zeros((x.shape[0], -(-x.shape[1] // (4 * LANES)), LANES * 4), np.float32)
    lanes.reshape(x.shape[0], -1)[:, : x.shape[1]] = x
    quads = exact.in_order(lanes, axis=1).reshape(x.shape[0], LANES, 4)
    groups = exact.in_order(exact.sum4(quads).reshape(-1, 16, 16), axis=2)
    return exact.in_order(groups, axis=1)


def norm_factors(x: Array, eps: float) -> Array:
    """1/sqrt(mean square + eps) of each row of x (M, K) -> (M)."""
    return exact.inverse_sqrt(lane_sums(x * x) * exact.f32(1.0 / x.shape[1]) + exact.f32(eps))


@dataclass(frozen=True)
class QuantizeNorm:
    """(x (M, K), norm weight (K)) -> codes (M, K) int8, scale (M), sum of codes (M)."""

    eps: float

    def shapes(self, inputs: tuple[Value, ...]) -> tuple[Shape, ...]:
        tokens, cols = inputs[0].shape
        tiled = -(-tokens // TOKEN_TILE) * TOKEN_TILE
        return ((tiled, padded(cols)), "i8"), ((tokens,), "f32"), ((tokens,), "i32")

    def reference(self, step: StepRow, inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        x, weight = inputs[0][: step.count], inputs[1]
        normed = x * weight
        top = np.maximum(np.abs(normed).max(axis=1), TOP_FLOOR)
        codes = exact.nearest(normed * (exact.f32(127) * exact.reciprocal(top))[:, None])
        scale = top * norm_factors(x, self.eps) * exact.f32(1.0 / 127)
        q = np.zeros((x.shape[0], padded(x.shape[1])), np.int8)
        q[:, : x.shape[1]] = codes
        return q, scale, codes.sum(axis=1, dtype=np.int32)

    def lower(self, node: Node, emit: Emitter) -> None:
        x, weight = node.inputs
        q, scale, code_sum = node.outputs
        tokens, cols = x.shape
        emit.dispatch(
            "quantize_norm",
            {**norm_constants(cols, self.eps), "WG": 256},
            {"x": x, "norm_weight": weight, "q": q, "act_scale": scale, "act_sum": code_sum},
            ("count", 1, 1),
            node.label,
            Cost(bytes=tokens * cols * 5, operations=tokens * cols * 6),
        )
