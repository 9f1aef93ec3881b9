"""Product with a dense matrix: the output head on float activations, and projections that a file does not hold as
trits.

The sum of a row, by definition: in each block of 256 columns four interleaved sums, joined (0 + 1) + (2 + 3); blocks
added in order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..graph import Node, Value
from ..plan import Caps, Cost
from ..steps import StepRow
from ..weights import TILE_ROWS, Weight
from . import exact
from .choice import Choice, chosen, spelled
from .dense_transposed import DenseTransposed
from .matmul import tile_grid, tile_shape
from .op import Array, Emitter, Shape, serves_uniform
from .quantize_norm import padded

if TYPE_CHECKING:
    from ..grad import Tape

HALVES = ("f16", "bf16")
MANY_TOKENS = 32  # from here on tiles of the result pay
ROWS_AT_ONCE = 4096  # of the reference, to bound its memory


@dataclass(frozen=True)
class DenseShape:
    """How a workgroup of few tokens divides a matrix: ``lanes`` neighbouring rows, ``items`` rows of a thread,
    ``slices`` threads that take turns at a row's blocks, ``ahead`` quads of a row in flight.
    """

    lanes: int
    items: int
    slices: int
    ahead: int


def dense_shapes(blocks: int, quads: int, group: int, caps: Caps) -> list[DenseShape]:
    """Shapes that a device can run, the default first. On a processor what a few vectors read together are whole
    neighbouring cache lines, and loads do not overlap; ``group`` neighbouring rows come with one.
    """
    slices = [min(most, blocks) for most in (8, 16, 4, 2)]
    if caps.kind == "cpu":
        sizes = ((16, 8), (8, 8), (16, 4), (8, 16), (8, 4))
        found = [DenseShape(lanes, items, n, 1) for lanes, items in sizes for n in slices if items % group == 0]
    else:
        ahead = [n for n in (8, 16, 4, 2, 1) if quads % n == 0]
        found = [DenseShape(TILE_ROWS, items, n, k) for items in (1, 2, 4) for n in slices for k in ahead]
    threads, storage = caps.limit("maxComputeInvocationsPerWorkgroup"), caps.limit("maxComputeWorkgroupStorageSize")
    return [
        shape
        for shape in dict.fromkeys(found)
        if shape.lanes * shape.slices <= threads and shape.items * shape.lanes * blocks * 4 <= storage
    ]


def dense_dot(x: Array, weight: Array) -> Array:
    """x (M, K) . weight (N, K)^T in the order above -> (M, N)."""
    blocks = []
    for first in range(0, x.shape[1], 256):
        a, b = x[:, first : first + 256], weight[:, first : first + 256]
        sums = np.zeros((x.shape[0], weight.shape[0], 4), np.float32)
        for quad in range(0, a.shape[1], 4):
            sums = sums + a[:, None, quad : quad + 4] * b[None, :, quad : quad + 4]
        blocks.append(exact.sum4(sums))
    return exact.in_order(np.stack(blocks), axis=0)


@dataclass(frozen=True)
class DenseProduct:
    """(x (M, K)) -> (M, N), or from codes: (codes, scale, code sum[, residual]) -> (M, N) in a matrix of ``stride``
    columns.
    """

    weight: Weight
    codes: bool = False
    stride: int | None = None
    column: int = 0

    def shapes(self, inputs: tuple[Value, ...]) -> tuple[Shape, ...]:
        tokens = inputs[1].shape[0] if self.codes else inputs[0].shape[0]
        return (((tokens, self.weight.rows), "f32"),)

    def reference(self, step: StepRow, inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        rows = step.count if self.codes else min(step.count, inputs[0].shape[0])
        x = inputs[0][:rows, : self.weight.cols].astype(np.float32)
        weight = self.weight.host_dense()
        y = np.concatenate(
            [dense_dot(x, weight[i : i + ROWS_AT_ONCE]) for i in range(0, len(weight), ROWS_AT_ONCE)], axis=1
        )
        if self.codes:
            y = y * (self.weight.scales()[None, : self.weight.rows] * inputs[1][:rows, None])
        return (inputs[3][:rows] + y if len(inputs) > 3 else y,)

    def vjp(self, node: Node, gradients: tuple[Value | None, ...], tape: Tape) -> None:
        gradient = gradients[0]
        assert gradient is not None and not self.codes
        if tape.needs(node.inputs[0]):
            tape.add(node.inputs[0], DenseTransposed(self.weight), [gradient], f"{node.label}.grad")

    @property
    def key(self) -> str:
        """What a tuner calls it."""
        return f"{self.weight.kind} {self.weight.rows}x{self.weight.cols}{' of codes' if self.codes else ''}"

    def _shapes(self, caps: Caps) -> list[DenseShape]:
        cols = padded(self.weight.cols) if self.codes else self.weight.cols
        return dense_shapes(self.weight.blocks, cols // 4, self._group(caps), caps)

    def _group(self, caps: Caps) -> int:
        """Rows of a load: on a processor a load of several rows takes no longer than one of a row."""
        return self.weight.group_rows(caps) if caps.kind == "cpu" and self.weight.kind in HALVES else 1

    def choice(self, node: Node, caps: Caps) -> Choice:
        """Its shapes for few tokens; many have tiles, of one shape."""
        return Choice(self.key, () if self._many(node) else tuple(map(spelled, self._shapes(caps))))

    def _many(self, node: Node) -> bool:
        return not self.codes and node.outputs[0].shape[0] >= MANY_TOKENS

    def lower(self, node: Node, emit: Emitter) -> None:
        if self._many(node):
            self._lower_many(node, emit)
        else:
            self._lower_few(node, emit)

    def _lower_many(self, node: Node, emit: Emitter) -> None:
        """Tiles of tokens and rows, so that a weight is unpacked once for many tokens."""
        weight, x, y = self.weight, node.inputs[0], node.outputs[0]
        tokens = y.shape[0]
        tile = tile_shape(tokens, weight.rows, weight.cols, emit.caps)
        constants = {
            "M": tokens,
            "N": weight.rows,
            "K": weight.cols,
            "BLOCKS": weight.blocks,
            **weight.layout(emit.caps),
            "TRANSPOSE_A": False,
            "A_QUADS": True,
            **tile,
        }
        for first, tiles, window in emit.tile_ranges(weight, 1):
            rows = tiles * TILE_ROWS
            emit.dispatch(
                "dense_matmul",
                constants,
                {**window, "a": x, "y": y},
                tile_grid(tokens, rows, tile["LANES"]),
                f"{node.label}@{first}" if first else node.label,
                Cost(
                    bytes=tiles * weight.tile_bytes + tokens * (weight.cols + rows) * 4,
                    operations=2 * tokens * rows * weight.cols,
                ),
                {"dense": f"lib/dense_{weight.kind}.wgsl"},
            )

    def _lower_few(self, node: Node, emit: Emitter) -> None:
        weight, tokens = self.weight, node.outputs[0].shape[0]
        shape, group = chosen(self.key, self._shapes(emit.caps), emit.caps), self._group(emit.caps)
        constants = {
            "QUADS": padded(weight.cols) // 4 if self.codes else weight.cols // 4,
            "BLOCKS": weight.blocks,
            **weight.layout(emit.caps),
            "ROWS": weight.rows,
            "STRIDE": self.stride or weight.rows,
            "COLUMN": self.column,
            "CODES": self.codes,
            "RESIDUAL": len(node.inputs) > 3,
            "WG": shape.lanes * shape.slices,
            "LANES": shape.lanes,
            "ITEMS": shape.items,
            "GROUPED": group > 1,
            "GROUP": group,
            "ROW_GROUPS": shape.items // group,
            "AHEAD": shape.ahead,
            "UNIFORM": not self.codes and serves_uniform(emit.caps, node.inputs[0]),
            "M": tokens,
        }
        buffers: dict[str, object] = {"x": node.inputs[0]}
        if self.codes:
            buffers = {"q": node.inputs[0], "act_scale": node.inputs[1], "row_scale": emit.scales(weight)}
        if len(node.inputs) > 3:
            buffers["residual"] = node.inputs[3]
        for first, tiles, window in emit.tile_ranges(weight, 1):
            cost = Cost(
                bytes=tiles * weight.tile_bytes + tokens * (weight.cols + tiles * 32) * 4,
                operations=2 * tokens * tiles * 32 * weight.cols,
            )
            emit.dispatch(
                "dense_product",
                constants,
                {**window, **buffers, "y": node.outputs[0]},
                (-(-tiles * TILE_ROWS // (shape.lanes * shape.items)), "count" if tokens > 1 else 1, 1),
                f"{node.label}@{first}" if first else node.label,
                cost,
                {"dense": f"lib/{'quad' if group > 1 else 'dense'}_{weight.kind}.wgsl"},
            )
