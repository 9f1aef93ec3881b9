"""Absmax quantisation of each token to integer codes, so that products with trits are integer sums.

One limb is W1.58A8's int8 (Ma et al. 2024, arXiv 2402.17764). Three limbs, digits to the base 256, hold 22 bits and a
sign: a fixed-point number as fine as an f32's mantissa at the token's largest value. Sums of such digits are exact in
any order, so that gradients, and forward passes without activation quantisation, need no order at all, and no float
arithmetic but the last two additions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..graph import Node, Value
from ..plan import Cost
from ..steps import StepRow
from ..weights import Weight
from . import exact
from .op import Array, Emitter, Shape
from .quantize_norm import TOKEN_TILE, TOP_FLOOR, padded

if TYPE_CHECKING:
    from ..grad import Tape

LARGEST_CODE = {1: 127.0, 3: 4190000.0}  # with three limbs below 2^22, the limit of exact.nearest
FINE = 3


@dataclass(frozen=True)
class Quantize:
    """(x (M, K)[, factors (K or more)]) -> codes (variants * limbs * M rounded up to 8, K padded) int8, scale (variants
    * M), sums of codes (variants * limbs * M rounded up).

    With ``weight`` its row scales are multiplied in first: x is then a gradient of its output. Where blocks of a row
    differ in scale there is a variant of the codes for each block of its columns. Factors of a layer whose weights a
    step makes come as a value instead.
    """

    limbs: int = 1
    weight: Weight | None = None

    @property
    def variants(self) -> int:
        return self.weight.blocks if self.weight is not None and self.weight.scaling == "block" else 1

    def shapes(self, inputs: tuple[Value, ...]) -> tuple[Shape, ...]:
        tokens, cols = inputs[0].shape
        rows = self.variants * self.limbs * _tiled(tokens)
        return ((rows, padded(cols)), "i8"), ((self.variants * tokens,), "f32"), ((rows,), "i32")

    def reference(self, step: StepRow, inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        x = inputs[0]
        tokens, tiled = len(x), _tiled(len(x))
        q = np.zeros((self.variants, self.limbs, tiled, padded(x.shape[1])), np.int8)
        scale = np.zeros((self.variants, tokens), np.float32)
        for i in range(self.variants):
            factors = self._factors(i, inputs[1:])
            value = x[: step.count] if factors is None else x[: step.count] * factors[: x.shape[1]]
            top = np.maximum(np.abs(value).max(axis=1), TOP_FLOOR)
            largest = exact.f32(LARGEST_CODE[self.limbs])
            rest = exact.nearest(value * (largest * exact.reciprocal(top))[:, None])
            for limb in reversed(range(self.limbs)):
                digit = ((rest + 128) & 255) - 128
                q[i, limb, : step.count, : x.shape[1]] = digit
                rest = (rest - digit) >> 8
            scale[i, : step.count] = top * exact.f32(1 / LARGEST_CODE[self.limbs])
        rows = q.reshape(-1, q.shape[-1])
        return rows, scale.reshape(-1), rows.sum(axis=1, dtype=np.int32)

    def _factors(self, block: int, given: tuple[Array, ...]) -> Array | None:
        """Those given, or row scales of the weight, or those of a block of its columns."""
        if self.weight is None:
            return given[0] if given else None
        scales = self.weight.scales()
        return scales if self.weight.scaling == "row" else scales[:, block].reshape(-1)

    def vjp(self, node: Node, gradients: tuple[Value | None, ...], tape: Tape) -> None:
        """Straight through: the gradient of the codes' values is that of x; absmax clips nothing."""
        if gradients[0] is not None and tape.needs(node.inputs[0]):
            tape.pass_on(node.inputs[0], gradients[0], f"{node.label}.grad")

    def lower(self, node: Node, emit: Emitter) -> None:
        x = node.inputs[0]
        q, scale, code_sum = node.outputs
        tokens, cols = x.shape
        buffers: dict[str, object] = {"x": x, "q": q, "act_scale": scale, "act_sum": code_sum}
        if self.weight is not None:
            buffers["factors"] = emit.scales(self.weight)
        elif len(node.inputs) > 1:
            buffers["factors"] = node.inputs[1]
        emit.dispatch(
            "quantize",
            {
                "COLS": cols,
                "PADDED_QUADS": padded(cols) // 4,
                "LIMBS": self.limbs,
                "VARIANTS": self.variants,
                "GROUPS": _tiled(tokens) // TOKEN_TILE,
                "TOKENS": tokens,
                "LARGEST_CODE": LARGEST_CODE[self.limbs],
                "INVERSE_CODE": 1 / LARGEST_CODE[self.limbs],
                "FACTORS": "factors" in buffers,
            },
            buffers,
            ("count", self.variants, 1),
            node.label,
            Cost(bytes=x.bytes + q.bytes, operations=self.variants * x.elements * (2 + 6 * self.limbs)),
        )


def _tiled(tokens: int) -> int:
    return -(-tokens // TOKEN_TILE) * TOKEN_TILE


def joined_limbs(limbs: Array) -> Array:
    """int32 sums of each digit, highest first (limbs, ...), to f32: Horner's rule to the base 256."""
    total: Array = limbs[0].astype(np.float32)
    for limb in limbs[1:]:
        total = total * exact.f32(256) + limb.astype(np.float32)
    return total
