"""Product of two f32 matrices that training makes and changes: LoRA's factors, and gradients of them.

A sum over K, by definition as in dense_product.py: in each block of 256 terms four interleaved sums, joined (0 + 1) +
(2 + 3); blocks added in order. Two kernels do it, by shape: what workgroups and threads divide among them are tiles of
the result or, where that is small, blocks of the terms. The bits are the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..errors import PlanError
from ..graph import Node, Value
from ..plan import Caps, Cost
from ..steps import StepRow
from . import exact
from .op import Array, Emitter, Shape

if TYPE_CHECKING:
    from ..grad import Tape

BLOCK = 256
LANES, ITEMS = 8, 4  # of a tile: threads along a side, and results of a thread along a side
SLICES, CPU_SLICES = 16, 2  # most blocks that a workgroup of matmul_rows adds up at once
STAGED_QUADS = 8  # of lib/product_tile.wgsl: quads of terms in workgroup memory
MANY_TILES, WIDE_LANES = 1024, 16  # from here on a GPU takes tiles of more threads
TILE_SLICES = 2  # blocks of terms that a workgroup sums at once where there are fewer
FILLING_TILES, CPU_FILLING_TILES = 128, 4  # tiles of a result that give a device enough work


def block_sums(a: Array, b: Array) -> Iterator[Array]:
    """The sums (M, N) of each block of terms of a (M, K) b (K, N), in order."""
    for first in range(0, a.shape[1], BLOCK):
        left, right = a[:, first : first + BLOCK].T, b[first : first + BLOCK]
        sums = np.zeros((4, a.shape[0], b.shape[1]), np.float32)
        for quad in range(0, len(left), 4):
            products = left[quad : quad + 4, :, None] * right[quad : quad + 4, None, :]
            sums[: len(products)] += products
        yield (sums[0] + sums[1]) + (sums[2] + sums[3])


@dataclass(frozen=True)
class MatMul:
    """(a, b[, total (M, N)]) -> [total +] scale op(a) op(b), (M, N), where op(a) is (M, K) and op(b) (K, N).

    op(a) is ``a``, or with ``transpose_a`` its transpose. ``tokens`` names the dimension of which only the step's
    tokens exist: "m" (rows of the result), "k" (terms of the sums) or "" (neither). ``stride`` and ``column`` place the
    result, and the total, in a wider matrix, which the caller gives.
    """

    transpose_a: bool = False
    transpose_b: bool = False
    scale: float = 1.0
    tokens: str = ""
    stride: int | None = None
    column: int = 0

    def __post_init__(self) -> None:
        if self.tokens not in ("m", "k", ""):
            raise PlanError(f"tokens of a MatMul are its dimension m, k or none, not {self.tokens!r}")

    def sides(self, inputs: tuple[Value, ...]) -> tuple[int, int, int]:
        """M, N and K."""
        (rows, terms), (depth, columns) = inputs[0].shape, inputs[1].shape
        rows, terms = (terms, rows) if self.transpose_a else (rows, terms)
        depth, columns = (columns, depth) if self.transpose_b else (depth, columns)
        if terms != depth:
            raise PlanError(f"a product of {rows} x {terms} and {depth} x {columns} does not exist")
        return rows, columns, terms

    def shapes(self, inputs: tuple[Value, ...]) -> tuple[Shape, ...]:
        rows, columns, _ = self.sides(inputs)
        return (((rows, columns), "f32"),)

    def reference(self, step: StepRow, inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        a = inputs[0].T if self.transpose_a else inputs[0]
        b = inputs[1].T if self.transpose_b else inputs[1]
        if self.tokens == "m":
            a = a[: step.count]
        elif self.tokens == "k":
            a, b = a[:, : step.count], b[: step.count]
        total = np.zeros((a.shape[0], b.shape[1]), np.float32)
        for block in block_sums(a, b):
            total = total + block
        y = total * exact.f32(self.scale)
        return (inputs[2][: len(y), self.column : self.column + y.shape[1]] + y if len(inputs) > 2 else y,)

    def vjp(self, node: Node, gradients: tuple[Value | None, ...], tape: Tape) -> None:
        """Of op(a) it is scale g op(b)^T, of op(b) scale op(a)^T g. The total's is g itself, its own value."""
        g = gradients[0]
        assert g is not None and self.stride is None
        a, b = node.inputs[:2]
        if tape.needs(a):
            if self.transpose_a:
                op, factors = MatMul(self.transpose_b, True, self.scale, self._tokens("k", "n")), [b, g]
            else:
                op, factors = MatMul(False, not self.transpose_b, self.scale, self._tokens("m", "n")), [g, b]
            tape.add(a, op, factors, f"{node.label}.grad_a")
        if tape.needs(b):
            if self.transpose_b:
                op, factors = MatMul(True, self.transpose_a, self.scale, self._tokens("n", "m")), [g, a]
            else:
                op, factors = MatMul(not self.transpose_a, False, self.scale, self._tokens("k", "m")), [a, g]
            tape.add(b, op, factors, f"{node.label}.grad_b")

    def _tokens(self, rows: str, terms: str) -> str:
        """``tokens`` of a product whose rows and terms are these dimensions of this one."""
        return {rows: "m", terms: "k"}.get(self.tokens, "")

    def lower(self, node: Node, emit: Emitter) -> None:
        rows, columns, terms = self.sides(node.inputs)
        a, b = node.inputs[:2]
        whole_quads = terms % 4 == 0 and self.tokens != "k"
        constants: dict[str, int | float | bool] = {
            "M": rows,
            "N": columns,
            "K": terms,
            "STRIDE": self.stride or columns,
            "COLUMN": self.column,
            "SCALE": float(self.scale),
            "TRANSPOSE_A": self.transpose_a,
            "TRANSPOSE_B": self.transpose_b,
            "A_QUADS": whole_quads and not self.transpose_a,
            "B_QUADS": whole_quads and self.transpose_b,
            "TOKEN_ROWS": self.tokens == "m",
            "TOKEN_TERMS": self.tokens == "k",
            "ADDS": len(node.inputs) > 2,
        }
        kernel, shape, grid = self._shape(rows, columns, terms, emit.caps)
        emit.dispatch(
            kernel,
            {**constants, **shape},
            {"a": a, "b": b, "y": node.outputs[0]},
            grid,
            node.label,
            Cost(bytes=a.bytes + b.bytes + node.outputs[0].bytes, operations=2 * rows * columns * terms),
        )

    def _shape(
        self, rows: int, columns: int, terms: int, caps: Caps
    ) -> tuple[str, dict[str, int | float | bool], tuple[int, int, int]]:
        """The kernel, its shape and its grid."""
        cpu = caps.kind == "cpu"
        tiles = tile_grid(rows, columns)
        if tiles[0] * tiles[1] >= (CPU_FILLING_TILES if cpu else FILLING_TILES):
            tile = tile_shape(rows, columns, terms, caps)
            return "matmul_tiled", {**tile}, tile_grid(rows, columns, tile["LANES"])
        side, slices, ahead = (self._cpu_rows if cpu else self._gpu_rows)(columns, terms)
        shape: dict[str, int | float | bool] = {"ROWS": side[0], "COLUMNS": side[1], "SLICES": slices, "AHEAD": ahead}
        return "matmul_rows", shape, (-(-columns // side[1]), -(-rows // side[0]), 1)

    def _cpu_rows(self, columns: int, terms: int) -> tuple[tuple[int, int], int, int]:
        """Of matmul_rows: results of a workgroup, blocks that it adds up and quads that a thread loads at once."""
        side = (4, 8) if self.transpose_b or columns < 32 else (1, 32)  # what 32 threads read together is contiguous
        return side, min(CPU_SLICES, -(-terms // BLOCK)), 1

    def _gpu_rows(self, columns: int, terms: int) -> tuple[tuple[int, int], int, int]:
        """The same for a GPU: few results of many terms a workgroup, so that all cores have some."""
        ahead = next(quads for quads in (8, 4, 2, 1) if quads * 4 <= terms or quads == 1)
        blocks = -(-terms // BLOCK)
        if blocks > 1 and columns < 32:
            return (1, 4), min(SLICES, blocks), ahead
        side = (4, 8) if self.transpose_b or columns < 32 else (1, 32)
        return side, min(SLICES // 2, blocks), ahead


def tile_shape(rows: int, columns: int, terms: int, caps: Caps) -> dict[str, int]:
    """Constants of lib/product_tile.wgsl. A GPU with many tiles to do takes larger ones, which share more loads; with
    few it lets teams of threads share the terms of a tile."""
    lanes, slices = LANES, 1
    if caps.kind != "cpu":
        many = tile_grid(rows, columns)[0] * tile_grid(rows, columns)[1] >= MANY_TILES
        if many and rows >= WIDE_LANES * ITEMS and _fits(WIDE_LANES, 1, caps):
            lanes = WIDE_LANES
        elif not many and terms >= TILE_SLICES * BLOCK and _fits(LANES, TILE_SLICES, caps):
            slices = TILE_SLICES
    return {"LANES": lanes, "ITEMS": ITEMS, "RESULTS": ITEMS * ITEMS, "SLICES": slices, "SLICED": slices > 1}


def _fits(lanes: int, slices: int, caps: Caps) -> bool:
    """Whether a device has the threads and the workgroup memory: both factors of each team, and one team's results."""
    side = lanes * ITEMS
    memory = slices * 2 * 16 * STAGED_QUADS * (side + 1) + (4 * side**2 if slices > 1 else 0)
    threads = slices * lanes**2
    return (
        caps.limit("maxComputeWorkgroupStorageSize") >= memory
        and caps.limit("maxComputeInvocationsPerWorkgroup") >= threads
    )


def tile_grid(rows: int, columns: int, lanes: int | None = None) -> tuple[int, int, int]:
    """Workgroups of lib/product_tile.wgsl that cover a result."""
    side = (lanes or LANES) * ITEMS
    return -(-columns // side), -(-rows // side), 1
