"""The W1.58A8 product: int8 activations, ternary weights, int32 sums, one scale; then a residual or a gate.

Integer sums are exact in any order, so kernels may slice K as they like. Weights are held as codes (trit + 1); the
token's sum of activation codes is taken off at the end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..errors import PlanError
from ..formats import resident
from ..graph import Node, Value
from ..plan import Caps, Cost
from ..steps import StepRow
from ..weights import TILE_ROWS, Weight
from . import exact
from .choice import Choice, chosen, spelled
from .op import Array, Emitter, Shape, serves_uniform
from .quantize import FINE, Quantize, joined_limbs
from .quantize_norm import TOKEN_TILE, padded
from .tiles import WORD_QUADS, ColumnTile, Tile, column_tiles, tiles

if TYPE_CHECKING:
    from ..grad import Tape

Constants = dict[str, int | float | bool]

CPU_TILES = 8  # rows a thread on a processor: there a load costs more than a dot, so each activation serves many rows
DOT_FEATURE = "packed_4x8_integer_dot_product"


def gate(activation: str, g: Array, u: Array) -> Array:
    """act(g) * u; activation "silu" or "relu2"."""
    if activation == "relu2":
        positive = np.maximum(g, exact.f32(0))
        return positive * positive * u
    return g * exact.reciprocal(exact.f32(1) + exact.exponential(-g)) * u


@dataclass(frozen=True)
class TernaryProduct:
    """(codes, scale, code sum[, residual (M, N)]) -> (M, N); with ``activation`` the weight pairs gate and up -> (M, N
    / 2).

    ``stride`` and ``column`` place the result in a wider matrix (outputs are then given by the caller). ``limbs`` as in
    Quantize.
    """

    weight: Weight
    activation: str | None = None
    stride: int | None = None
    column: int = 0
    limbs: int = 1

    @property
    def columns(self) -> int:
        """Columns of the result."""
        return self.weight.rows // 2 if self.activation else self.weight.rows

    @property
    def key(self) -> str:
        """What a tuner calls it: products with the same key have the same shapes and speed."""
        gated = " gated" if self.activation else ""
        return f"{self.weight.kind} {self.weight.rows}x{self.weight.cols}{gated}"

    def shapes(self, inputs: tuple[Value, ...]) -> tuple[Shape, ...]:
        return (((inputs[1].shape[0], self.columns), "f32"),)

    def reference(self, step: StepRow, inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        q, scale = inputs[0].reshape(self.limbs, -1, inputs[0].shape[1])[:, : step.count], inputs[1][: step.count]
        values = self._rows(q.astype(np.float64), scale).reshape(step.count, -1, TILE_ROWS)
        if self.activation:
            values = gate(self.activation, values[:, 0::2], values[:, 1::2])
        y = values.reshape(step.count, -1)[:, : self.columns]
        return (inputs[3][: step.count] + y if len(inputs) > 3 else y,)

    def _rows(self, q: Array, scale: Array) -> Array:
        """Scaled sums (M, padded rows) of q (limbs, M, K); int32 sums are exact in float64."""
        trits, scales = self.weight.host_trits().astype(np.float64), self.weight.scales()
        if self.weight.scaling == "row":
            return joined_limbs(q @ trits.T) * (scales[None, :] * scale[:, None])
        parts = [
            (q[..., b * 256 : b * 256 + 256] @ trits[:, b * 256 : b * 256 + 256].T).astype(np.float32)
            * scales[:, b].reshape(-1)
            for b in range(self.weight.blocks)
        ]
        return joined_limbs(exact.in_order(np.stack([np.zeros_like(parts[0]), *parts]), axis=0)) * scale[:, None]

    def vjp(self, node: Node, gradients: tuple[Value | None, ...], tape: Tape) -> None:
        """The gradient of the values that the codes stand for, W^T dy; and of the residual, dy itself."""
        gradient = gradients[0]
        assert gradient is not None and self.activation is None and self.stride is None
        if tape.needs(node.inputs[0]):
            label = f"{node.label}.grad"
            codes = tape.graph.add(Quantize(FINE, self.weight), [gradient], f"{label}.quantize")
            tape.add(node.inputs[0], TransposedProduct(self.weight), codes, label)
        for residual in filter(tape.needs, node.inputs[3:]):
            tape.pass_on(residual, gradient, f"{node.label}.residual")

    def lower(self, node: Node, emit: Emitter) -> None:
        """A GPU works in tiles; a thread of a processor multiplies its rows with eight tokens, whatever others do."""
        q, scale, code_sum = node.inputs[:3]
        tokens = scale.shape[0]
        tiled = bool(self._tiles(emit.caps, tokens))
        kernel = "ternary_tiled" if tiled else "ternary_matmul"
        shape, rows, grid_tokens = self._tiled_shape(emit.caps, tokens) if tiled else self._rows_shape(emit.caps, q)
        shape |= {"RESIDUAL": len(node.inputs) > 3, "LIMBED": self.limbs > 1, "LIMBS": self.limbs,
                  "GROUPS": -(-tokens // TOKEN_TILE), "TILE_STEP": self._step}  # fmt: skip
        codes = {"q": q, "act_scale": scale, "act_sum": code_sum}
        buffers = {**self.buffers(node.inputs[3:], node.outputs[0], emit), **codes}
        for first, count, window in emit.tile_ranges(self.weight, self._step):
            emit.dispatch(
                kernel,
                {**self.constants(emit.caps), **shape},
                {**window, **buffers},
                (-(-count * TILE_ROWS // rows), -(-tokens // grid_tokens), 1),
                part_label(node.label, first),
                self.cost(tokens, count),
                self.includes(),
            )

    def _rows_shape(self, caps: Caps, q: Value) -> tuple[Constants, int, int]:
        """Constants of ternary_matmul.wgsl, and rows and tokens of a workgroup."""
        rows = cpu_tiles(self.weight, CPU_TILES, self._step)
        span = max(rows, self._step)
        shape: Constants = {
            "WG": TILE_ROWS,
            "LANES": TILE_ROWS,
            "TILES": rows,
            "SPAN": span,
            "OUT_TILES": span // self._step,
            "TWO_PASSES": span > rows,
            "TOKENS": 1,
            "UNIFORM": serves_uniform(caps, q),
            "M": q.shape[0],
        }
        return shape, TILE_ROWS * span, TOKEN_TILE

    def _tiled_shape(self, caps: Caps, tokens: int) -> tuple[Constants, int, int]:
        """Constants of ternary_tiled.wgsl, and rows and tokens of a workgroup."""
        tile = chosen(self._tiled_key(tokens), self._tiles(caps, tokens), caps)
        by_four = all(n % 4 == 0 for n in (self.columns, self.stride or 0, self.column))
        floats: Constants = {"BY_FOUR": by_four, "FLOATS": self._floats}
        return {**tile.constants(WORD_QUADS[self.weight.kind], self._step), **floats}, tile.rows, tile.tokens

    def _tiled_key(self, tokens: int) -> str:
        return f"{self.key} for {tokens} tokens" + (" as floats" if self._floats else "")

    def _tiles(self, caps: Caps, tokens: int) -> list[Tile]:
        """Those for a GPU; none for a processor, or where workgroup memory is too small for any."""
        if caps.kind == "cpu":
            return []
        return tiles(self.weight.tiles * TILE_ROWS, tokens, self.weight.kind, self._step, self._floats, caps)

    @property
    def _step(self) -> int:
        """Tiles of the weight that make one of the result."""
        return 2 if self.activation else 1

    @property
    def _floats(self) -> bool:
        """Whether a sum of floats follows that of integers."""
        return self.limbs > 1 or self.weight.scaling == "block"

    def choice(self, node: Node, caps: Caps) -> Choice:
        """Its shapes on a GPU; a processor has one."""
        tokens = node.inputs[1].shape[0]
        return Choice(self._tiled_key(tokens), tuple(map(spelled, self._tiles(caps, tokens))))

    def constants(self, caps: Caps) -> Constants:
        return {
            "ROWS": self.columns,
            "STRIDE": self.stride or self.columns,
            "COLUMN": self.column,
            "BLOCKS": self.weight.blocks,
            **self.weight.layout(caps),
            "GATED": self.activation is not None,
            "RELU2": self.activation == "relu2",
            "BLOCK_SCALES": self.weight.scaling == "block",
            "DOT4": DOT_FEATURE in caps.language_features,
            "WORD_QUADS": WORD_QUADS[self.weight.kind],
            "BATCH": batch(self.weight, caps),
            "UNROLLED": 1 if caps.kind == "cpu" else WORD_QUADS[self.weight.kind],
        }

    def includes(self) -> dict[str, str]:
        return {"unpack": f"lib/unpack_{self.weight.kind}.wgsl"}

    def cost(self, tokens: int, tiles: int) -> Cost:
        """Weights once, activations and results once; two operations a weight and token."""
        weight, rows = self.weight, tiles * TILE_ROWS
        moved = tiles * weight.tile_bytes + rows * 4 + tokens * (weight.cols + rows * 4)
        return Cost(bytes=moved, operations=2 * tokens * rows * weight.cols)

    def buffers(self, residual: tuple[Value, ...], y: Value, emit: Emitter) -> dict[str, object]:
        extra: dict[str, object] = {"residual": residual[0]} if residual else {}
        return {"scales": emit.scales(self.weight), "y": y, **extra}


@dataclass(frozen=True)
class TransposedProduct:
    """(codes, scale, code sums of gradients, as Quantize(3, weight) makes them[, total (M, K)]) -> [total +] W^T g, (M,
    K).

    The gradient that passes back through a frozen ternary layer, from the same packed weights as the forward product.
    """

    weight: Weight

    def shapes(self, inputs: tuple[Value, ...]) -> tuple[Shape, ...]:
        tokens = inputs[1].shape[0] // Quantize(FINE, self.weight).variants
        return (((tokens, self.weight.cols), "f32"),)

    def reference(self, step: StepRow, inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        weight, variants = self.weight, Quantize(FINE, self.weight).variants
        trits = weight.host_trits().astype(np.float64)
        codes = inputs[0].reshape(variants, FINE, -1, inputs[0].shape[1])
        q = codes[:, :, : step.count, : len(trits)].astype(np.float64)
        scale = inputs[1].reshape(variants, -1)[:, : step.count]
        columns = np.array_split(trits, weight.blocks, axis=1) if variants > 1 else [trits]
        parts = [joined_limbs(q[i] @ columns[i]) * scale[i][:, None] for i in range(variants)]
        y = np.concatenate(parts, axis=1)[:, : weight.cols]
        return (inputs[3][: step.count] + y if len(inputs) > 3 else y,)

    def lower(self, node: Node, emit: Emitter) -> None:
        q, scale, code_sum = node.inputs[:3]
        weight, y, cpu = self.weight, node.outputs[0], emit.caps.kind == "cpu"
        tokens = y.shape[0]
        windows = emit.tile_ranges(weight, 1)
        if len(windows) > 1:
            raise PlanError(f"{weight.id} exceeds the binding limit, and its gradient must be one sum")
        shape, columns, grid_tokens = self._quads_shape() if cpu else self._tiled_shape(emit.caps, tokens)
        emit.dispatch(
            "ternary_transposed" if cpu else "transposed_tiled",
            {
                **shape,
                **weight.layout(emit.caps),
                "COLS": weight.cols,
                "BLOCKS": weight.blocks,
                "ROW_QUADS": weight.tiles * TILE_ROWS // 4,
                "PADDED_QUADS": padded(weight.rows) // 4,
                "BLOCK_SCALES": weight.scaling == "block",
                "GROUPS": -(-tokens // TOKEN_TILE),
                "TOKENS": tokens,
                "LIMBS": FINE,
                "ADDS": len(node.inputs) > 3,
                "DOT4": DOT_FEATURE in emit.caps.language_features,
            },
            {"weights": windows[0][2]["weights"], "q": q, "act_scale": scale, "act_sum": code_sum, "y": y},
            (weight.blocks * 256 // columns, -(-tokens // grid_tokens), 1),
            node.label,
            Cost(
                bytes=weight.bytes + FINE * tokens * weight.rows + y.bytes,
                operations=2 * FINE * tokens * weight.rows * weight.cols,
            ),
            {"unpack": f"lib/unpack_{weight.kind}.wgsl"},
        )

    def _quads_shape(self) -> tuple[Constants, int, int]:
        """Constants of ternary_transposed.wgsl, and columns and tokens of a workgroup."""
        shape: Constants = {"PARTS": resident.KINDS[self.weight.kind].parts, "COLUMNS": 4, "SUMS": FINE * 8,
                            "LANES": 16, "SLICES": 2}  # fmt: skip
        return shape, 64, TOKEN_TILE

    def _tiled_shape(self, caps: Caps, tokens: int) -> tuple[Constants, int, int]:
        """Constants of transposed_tiled.wgsl, and columns and tokens of a workgroup."""
        tile = chosen(self._key(tokens), self._tiles(caps, tokens), caps)
        shape: Constants = {**tile.constants(FINE), "BY_FOUR": self.weight.cols % 4 == 0}
        return shape, 4 * tile.column_lanes, 4 * tile.token_lanes

    def _key(self, tokens: int) -> str:
        return f"{self.weight.kind} {self.weight.rows}x{self.weight.cols} transposed for {tokens} tokens"

    def _tiles(self, caps: Caps, tokens: int) -> list[ColumnTile]:
        return column_tiles(self.weight.blocks, tokens, FINE, caps)

    def choice(self, node: Node, caps: Caps) -> Choice:
        """Its shapes on a GPU; a processor has one."""
        tokens = node.outputs[0].shape[0]
        shapes = [] if caps.kind == "cpu" else self._tiles(caps, tokens)
        return Choice(self._key(tokens), tuple(map(spelled, shapes)))


def batch(weight: Weight, caps: Caps) -> int:
    """Loads of a row that are in flight together: a block's on a GPU, one on a processor, whose loads do not
    overlap.
    """
    return 1 if caps.kind == "cpu" else resident.KINDS[weight.kind].words // resident.KINDS[weight.kind].parts


def cpu_tiles(weight: Weight, most: int, step: int) -> int:
    """Tiles a thread on a processor, in multiples of ``step``: at most half of all, so that two cores have work."""
    return max(step, min(most, weight.tiles // 2) // step * step)


def part_label(label: str, first_tile: int) -> str:
    return f"{label}@{first_tile}" if first_tile else label
