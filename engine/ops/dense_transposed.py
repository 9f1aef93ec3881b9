"""The gradient that passes back through a frozen dense matrix, the output head: g W, from the forward product's tiles.

The sum over the rows of W, by definition: in each block of 256 rows four interleaved sums (row mod 4), joined (0 + 1) +
(2 + 3); the blocks are added one after the other to the total, or to zero where there is none. So a weight above the
binding limit is summed by one launch after another, each from where the last one ended.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..graph import Node, Value
from ..plan import Cost
from ..steps import StepRow
from ..weights import TILE_ROWS, Weight
from .matmul import BLOCK, block_sums, tile_grid, tile_shape
from .op import Array, Emitter, Shape


@dataclass(frozen=True)
class DenseTransposed:
    """(g (M, V)[, total (M, K)]) -> [total +] g W, (M, K), W (V, K) the dense ``weight``."""

    weight: Weight

    def shapes(self, inputs: tuple[Value, ...]) -> tuple[Shape, ...]:
        return (((inputs[0].shape[0], self.weight.cols), "f32"),)

    def reference(self, step: StepRow, inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        g = inputs[0][: step.count]
        y = inputs[1][: len(g)].copy() if len(inputs) > 1 else np.zeros((len(g), self.weight.cols), np.float32)
        for block in block_sums(g, self.weight.host_dense()):
            y = y + block
        return (y,)

    def lower(self, node: Node, emit: Emitter) -> None:
        weight, y = self.weight, node.outputs[0]
        tokens = y.shape[0]
        tile = tile_shape(tokens, weight.cols, weight.rows, emit.caps)
        constants = {
            "M": tokens,
            "N": weight.cols,
            "K": weight.rows,
            "BLOCKS": weight.blocks,
            **weight.layout(emit.caps),
            "TRANSPOSE_A": False,
            "A_QUADS": weight.rows % 4 == 0,
            **tile,
        }
        for first, tiles, window in emit.tile_ranges(weight, BLOCK // TILE_ROWS):
            rows = tiles * TILE_ROWS
            emit.dispatch(
                "dense_transposed",
                {**constants, "ADDS": first > 0 or len(node.inputs) > 1},
                {**window, "a": node.inputs[0], "y": y},
                tile_grid(tokens, weight.cols, tile["LANES"]),
                f"{node.label}@{first}" if first else node.label,
                Cost(
                    bytes=tiles * weight.tile_bytes + tokens * (rows + 2 * weight.cols) * 4,
                    operations=2 * tokens * rows * weight.cols,
                ),
                {"dense": f"lib/dense_{weight.kind}.wgsl"},
            )
