"""The gradient of a ternary layer's weights, dW = dy^T x, from the codes that the layer's input was rounded to.

A token's scale goes to dy, whose columns are then rounded to three int8 limbs with a scale each. What is left is an
integer product, exact in any order: workgroups may divide the tokens among them as suits the device. The sum of a
result's digits is rounded to f32 once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..errors import PlanError
from ..graph import Node, Value
from ..plan import Caps, Cost
from ..steps import StepRow
from . import exact
from .op import Array, Emitter, Shape
from .quantize import FINE, LARGEST_CODE
from .quantize_norm import TOKEN_TILE, TOP_FLOOR, padded
from .ternary_product import DOT_FEATURE

SIDE = 64  # rows and columns of a workgroup's tile
CHUNK_TOKENS = 64  # tokens that a workgroup holds at a time
RUN = 256  # tokens of which a workgroup finds the columns' largest, or rounds them
FILLING_TILES, CPU_FILLING_TILES = 264, 4  # workgroups that give a device enough work
MOST_TOKENS = 130_000  # whose sums of products of digits stay below 2^31, carries included


class _Parts(NamedTuple):
    """Values between the dispatches."""

    tops: Value  # (runs, N)
    words: Value  # (limbs, token quads, pitch)
    scale: Value  # (pitch)
    sums: Value  # (x limbs, slices, limbs, N, K)


@dataclass(frozen=True)
class WeightGrad:
    """(dy (M, N), codes and scale of x (M, K) as Quantize(limbs) makes them[, total (N, K)]) -> [total +] dy^T x."""

    rows: int
    cols: int
    limbs: int = 1

    def shapes(self, inputs: tuple[Value, ...]) -> tuple[Shape, ...]:
        return (((self.rows, self.cols), "f32"),)

    def reference(self, step: StepRow, inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        codes, scale = rounded_columns(inputs[0][: step.count] * inputs[2][: step.count, None])
        q = inputs[1].reshape(self.limbs, -1, inputs[1].shape[1])[:, : step.count, : self.cols]
        total = np.zeros((self.rows, self.cols), np.float32)
        for limb in q:
            exact_sums = codes.T.astype(np.float64) @ limb.astype(np.float64) + 0.0  # integers below 2^53; -0 becomes 0
            total = total * exact.f32(256) + exact_sums.astype(np.float32)
        y = total * scale[:, None]
        return (inputs[3] + y if len(inputs) > 3 else y,)

    def lower(self, node: Node, emit: Emitter) -> None:
        if node.inputs[0].shape[0] > MOST_TOKENS:
            raise PlanError(f"{node.label}: a weight's gradient adds up at most {MOST_TOKENS:,} tokens in a step")
        parts = self._parts(node, emit.caps)
        self._lower_rounding(node, parts, emit)
        self._lower_product(node, parts, emit)
        if not self._whole(parts):
            self._lower_join(node, parts, emit)

    def _parts(self, node: Node, caps: Caps) -> _Parts:
        tokens, pitch = node.inputs[0].shape[0], -(-self.rows // SIDE) * SIDE
        name = ".".join(value.id for value in (node.outputs[0], *node.inputs[:2]))
        return _Parts(
            Value(f"{name}.tops", (-(-tokens // RUN), self.rows)),
            Value(f"{name}.words", (FINE, -(-tokens // 4), pitch), "u32"),
            Value(f"{name}.scale", (pitch,)),
            Value(f"{name}.sums", (self.limbs, self._slices(tokens, caps), FINE, self.rows, self.cols), "i32"),
        )

    def _slices(self, tokens: int, caps: Caps) -> int:
        """Workgroups that share the tokens of a tile, where there are few tiles."""
        filling = CPU_FILLING_TILES if caps.kind == "cpu" else FILLING_TILES
        tiles = -(-self.rows // SIDE) * -(-self.cols // SIDE)
        return max(1, min(filling // tiles, -(-tokens // CHUNK_TOKENS)))

    def _whole(self, parts: _Parts) -> bool:
        """Whether a workgroup has all the sums of its tile, and so may finish them."""
        return parts.sums.shape[:2] == (1, 1)

    def _lower_rounding(self, node: Node, parts: _Parts, emit: Emitter) -> None:
        dy, _, act_scale = node.inputs[:3]
        tokens, (_, quads, pitch) = dy.shape[0], parts.words.shape
        emit.dispatch(
            "column_tops",
            {"N": self.rows, "RUN": RUN},
            {"dy": dy, "act_scale": act_scale, "tops": parts.tops},
            (-(-self.rows // 32), -(-tokens // RUN), 1),
            f"{node.label}.tops",
            Cost(bytes=dy.bytes + parts.tops.bytes, operations=2 * dy.elements),
        )
        emit.dispatch(
            "quantize_columns",
            {
                "N": self.rows,
                "PITCH": pitch,
                "QUADS": quads,
                "RUN": RUN,
                "LIMBS": FINE,
                "LARGEST_CODE": LARGEST_CODE[FINE],
                "INVERSE_CODE": 1 / LARGEST_CODE[FINE],
            },
            {
                "dy": dy,
                "act_scale": act_scale,
                "tops": parts.tops,
                "words": parts.words,
                "column_scale": parts.scale,
            },
            (pitch // 32, -(-tokens // RUN), 1),
            f"{node.label}.quantize",
            Cost(bytes=dy.bytes + parts.words.bytes, operations=dy.elements * (2 + 6 * FINE)),
        )

    def _lower_product(self, node: Node, parts: _Parts, emit: Emitter) -> None:
        (tokens, rows), codes, whole = node.inputs[0].shape, node.inputs[1], self._whole(parts)
        finish: dict[str, object] = {"column_scale": parts.scale, "y": node.outputs[0]}
        emit.dispatch(
            "weight_grad",
            {
                **self._result(node),
                "PITCH": parts.words.shape[2],
                "QUADS": parts.words.shape[1],
                "PADDED_QUADS": padded(self.cols) // 4,
                "GROUPS": -(-tokens // TOKEN_TILE),
                "SLICES": parts.sums.shape[1],
                "LIMBS": FINE,
                "ITEMS": 4,
                "SUMS": FINE * 4,
                "WHOLE": whole,
                "DOT4": DOT_FEATURE in emit.caps.language_features,
            },
            {"words": parts.words, "q": codes, **(finish if whole else {"parts": parts.sums})},
            (-(-self.cols // SIDE), -(-rows // SIDE), self.limbs * parts.sums.shape[1]),
            node.label,
            Cost(
                bytes=parts.words.bytes + codes.bytes + (node.outputs[0] if whole else parts.sums).bytes,
                operations=2 * FINE * self.limbs * tokens * self.rows * self.cols,
            ),
        )

    def _lower_join(self, node: Node, parts: _Parts, emit: Emitter) -> None:
        emit.dispatch(
            "weight_grad_join",
            {**self._result(node), "X_LIMBS": self.limbs, "SLICES": parts.sums.shape[1]},
            {"parts": parts.sums, "column_scale": parts.scale, "y": node.outputs[0]},
            (-(-self.cols // 256), self.rows, 1),
            f"{node.label}.join",
            Cost(bytes=parts.sums.bytes + node.outputs[0].bytes, operations=parts.sums.elements),
        )

    def _result(self, node: Node) -> dict[str, int | float | bool]:
        """Constants of lib/weight_total.wgsl."""
        return {"N": self.rows, "COLUMN_QUADS": self.cols // 4, "ADDS": len(node.inputs) > 3}


def rounded_columns(x: Array) -> tuple[Array, Array]:
    """x (M, N) as codes int32 that share a scale along each column, and the scales (N)."""
    top = np.maximum(np.abs(x).max(axis=0), TOP_FLOOR)
    largest = exact.f32(LARGEST_CODE[FINE])
    return exact.nearest(x * (largest * exact.reciprocal(top))), top * exact.f32(1 / LARGEST_CODE[FINE])
