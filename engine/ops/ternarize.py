"""Latent weights made ternary by their mean magnitude (Ma et al. 2024, arXiv 2402.17764), in the layout of resident
TQ2_0.

s = max(mean |W|, 1e-5) over the whole tensor; trits round(W / s), at most 1. The mean is a sum in a fixed order: chunks
in the lane order of a norm, then their sums in the same order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..errors import PlanError
from ..formats import resident, ternary
from ..graph import Node, Value
from ..plan import Cost
from ..steps import StepRow
from . import exact
from .op import Array, Emitter, Shape
from .quantize_norm import lane_sums

if TYPE_CHECKING:
    from ..grad import Tape

KIND = "tq2_0"
CHUNK = 1 << 15  # elements whose magnitudes one workgroup adds
LEAST_SCALE = 1e-5


def ternarized(latent: Array) -> tuple[Array, np.float32]:
    """Trits (N, K) int8 of latent weights (N, K) f32, and their scale."""
    chunks = np.zeros((-(-latent.size // CHUNK), CHUNK), np.float32)
    chunks.reshape(-1)[: latent.size] = np.abs(latent).reshape(-1)
    total = lane_sums(lane_sums(chunks)[None, :])
    scale = np.maximum(total * exact.f32(1.0 / latent.size), exact.f32(LEAST_SCALE))
    ratio = np.clip(latent * exact.reciprocal(scale), exact.f32(-1), exact.f32(1))
    return exact.nearest(ratio).astype(np.int8), np.float32(scale[0])


def ternary_words(trits: Array) -> Array:
    """Trits (N, K) as the resident words of TQ2_0: u32 (tiles, blocks, 8, 32, 2), padded by trits of 0."""
    rows, cols = trits.shape
    blocks = resident.block_count(cols)
    padded = np.zeros((rows, blocks * ternary.BLOCK), np.int8)
    padded[:, :cols] = trits
    packed = ternary.pack(padded, np.zeros((rows, blocks), np.float16), KIND)
    return resident.tiled(packed, KIND, rows, cols)


@dataclass(frozen=True)
class Ternarize:
    """(latent weights (N, K)) -> resident TQ2_0 words u32 (tiles, blocks, 8, 32, 2), the scale of each row (tiles *
    32), 0 for padding rows.

    By convention the gradient of the words is that of the trits they hold, times the scale: f32 (N, K).
    """

    rows: int
    cols: int

    def __post_init__(self) -> None:
        if self.cols % 4:
            raise PlanError(f"latent weights have rows of whole runs of four, not of {self.cols} columns")

    @property
    def tiles(self) -> int:
        return resident.tile_count(self.rows)

    @property
    def blocks(self) -> int:
        return resident.block_count(self.cols)

    def shapes(self, inputs: tuple[Value, ...]) -> tuple[Shape, ...]:
        parts = resident.KINDS[KIND].parts
        words = (self.tiles, self.blocks, resident.KINDS[KIND].words // parts, resident.TILE_ROWS, parts)
        return (words, "u32"), ((self.tiles * resident.TILE_ROWS,), "f32")

    def reference(self, step: StepRow, inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        trits, scale = ternarized(inputs[0])
        scales = np.zeros(self.tiles * resident.TILE_ROWS, np.float32)
        scales[: self.rows] = scale
        return ternary_words(trits), scales

    def vjp(self, node: Node, gradients: tuple[Value | None, ...], tape: Tape) -> None:
        """Straight through: the gradient of what the trits stand for is that of the latent weights."""
        if gradients[0] is not None and tape.needs(node.inputs[0]):
            tape.pass_on(node.inputs[0], gradients[0], f"{node.label}.grad")

    def lower(self, node: Node, emit: Emitter) -> None:
        latent = node.inputs[0]
        words, scales = node.outputs
        sums = Value(f"{words.id}.sums", (-(-latent.elements // CHUNK),))
        emit.dispatch(
            "abs_sums",
            {"QUADS": latent.elements // 4, "CHUNK": CHUNK},
            {"x": latent, "sums": sums},
            (sums.elements, 1, 1),
            f"{node.label}.magnitudes",
            Cost(bytes=latent.bytes, operations=2 * latent.elements),
        )
        emit.dispatch(
            "ternarize",
            {
                "ROWS": self.rows,
                "QUADS": self.cols // 4,
                "BLOCKS": self.blocks,
                "CHUNKS": sums.elements,
                "INVERSE_ELEMENTS": 1.0 / latent.elements,
                "LEAST_SCALE": LEAST_SCALE,
            },
            {"latent": latent, "sums": sums, "words": words, "scales": scales},
            (self.blocks, self.tiles, 1),
            node.label,
            Cost(bytes=latent.bytes + words.bytes + scales.bytes, operations=4 * latent.elements),
        )
