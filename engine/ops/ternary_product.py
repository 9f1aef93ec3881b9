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
from .op import Array, Emitter, Shape, serves_uniform
from .quantize import FINE, Quantize, joined_limbs
from .quantize_norm import TOKEN_TILE, QuantizeNorm, norm_constants, padded

if TYPE_CHECKING:
    from ..grad import Tape

CPU_TILES = 8  # rows a thread on a processor: there a load costs more than a dot, so each activation serves many rows
CPU_LANES, CPU_ROWS = 8, 32  # of the fused kernel on a processor: lanes, and most rows of a lane
WORD_QUADS = {"tq1_0": 5, "tq2_0": 4}  # runs of four trits in a word
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
        q, scale, code_sum = node.inputs[:3]
        tokens, cpu = scale.shape[0], emit.caps.kind == "cpu"
        step = 2 if self.activation else 1
        tiles = cpu_tiles(self.weight, CPU_TILES, step) if cpu else 1
        span = max(tiles, step)
        shape = {
            "WG": 32 if cpu else 128,
            "LANES": TILE_ROWS,
            "TILES": tiles,
            "SPAN": span,
            "TILE_STEP": step,
            "OUT_TILES": span // step,
            "TWO_PASSES": span > tiles,
            "TOKENS": 1 if cpu else TOKEN_TILE,
            "RESIDUAL": len(node.inputs) > 3,
            "UNIFORM": serves_uniform(emit.caps, q),
            "M": q.shape[0],
            "LIMBED": self.limbs > 1,
            "LIMBS": self.limbs,
            "GROUPS": -(-tokens // TOKEN_TILE),
        }
        codes = {"q": q, "act_scale": scale, "act_sum": code_sum}
        buffers = {**self.buffers(node.inputs[3:], node.outputs[0], emit), **codes}
        for first, count, window in emit.tile_ranges(self.weight, step):
            emit.dispatch(
                "ternary_matmul",
                {**self.constants(emit.caps), **shape},
                {**window, **buffers},
                (-(-count * TILE_ROWS // (shape["WG"] * span)), -(-tokens // TOKEN_TILE), 1),
                _part_label(node.label, first),
                self.cost(tokens, count),
                self.includes(),
            )

    def constants(self, caps: Caps) -> dict[str, int | float | bool]:
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
        tokens, parts = y.shape[0], resident.KINDS[weight.kind].parts
        windows = emit.tile_ranges(weight, 1)
        if len(windows) > 1:
            raise PlanError(f"{weight.id} exceeds the binding limit, and its gradient must be one sum")
        emit.dispatch(
            "ternary_transposed",
            {
                "COLS": weight.cols,
                "BLOCKS": weight.blocks,
                **weight.layout(emit.caps),
                "PARTS": parts,
                "ROW_QUADS": weight.tiles * TILE_ROWS // 4,
                "PADDED_QUADS": padded(weight.rows) // 4,
                "BLOCK_SCALES": weight.scaling == "block",
                "GROUPS": -(-tokens // TOKEN_TILE),
                "TOKENS": tokens,
                "LIMBS": FINE,
                "COLUMNS": 4,
                "SUMS": FINE * 8,
                "LANES": 16,
                "SLICES": 2 if cpu else 8,
                "ADDS": len(node.inputs) > 3,
                "DOT4": DOT_FEATURE in emit.caps.language_features,
            },
            {"weights": windows[0][2]["weights"], "q": q, "act_scale": scale, "act_sum": code_sum, "y": y},
            (weight.blocks * 4, -(-tokens // TOKEN_TILE), 1),
            node.label,
            Cost(
                bytes=weight.bytes + FINE * tokens * weight.rows + y.bytes,
                operations=2 * FINE * tokens * weight.rows * weight.cols,
            ),
            {"unpack": f"lib/unpack_{weight.kind}.wgsl"},
        )


@dataclass(frozen=True)
class NormedProduct:
    """QuantizeNorm and TernaryProduct of one token in one launch: (x (1, K), norm weight (K)[, residual]) -> (1, N)."""

    norm: QuantizeNorm
    product: TernaryProduct

    def shapes(self, inputs: tuple[Value, ...]) -> tuple[Shape, ...]:
        return (((1, self.product.columns), "f32"),)

    def reference(self, step: StepRow, inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        return self.product.reference(step, (*self.norm.reference(step, inputs[:2]), *inputs[2:]))

    def lower(self, node: Node, emit: Emitter) -> None:
        x, norm_weight = node.inputs[:2]
        weight = self.product.weight
        lanes, items = matvec_shape(weight, self.product.activation, emit.caps)
        constants = {
            **self.product.constants(emit.caps),
            **norm_constants(weight.cols, self.norm.eps),
            "UNIFORM": serves_uniform(emit.caps, x, norm_weight),
            "SLICES": slices(weight, emit.caps),
            "LANES": lanes,
            "TILES": items,
            "RESIDUAL": len(node.inputs) > 2,
            "OUT_ROWS": lanes * items // (2 if self.product.activation else 1),
        }
        for first, tiles, buffers in emit.tile_ranges(weight, 2 if self.product.activation else 1):
            emit.dispatch(
                "ternary_matvec",
                constants,
                {
                    **buffers,
                    **self.product.buffers(node.inputs[2:], node.outputs[0], emit),
                    "x": x,
                    "norm_weight": norm_weight,
                },
                (-(-tiles * TILE_ROWS // (lanes * items)), 1, 1),
                _part_label(node.label, first),
                self.product.cost(1, tiles),
                self.product.includes(),
            )


def batch(weight: Weight, caps: Caps) -> int:
    """Loads of a row that are in flight together: a block's on a GPU, one on a processor, whose loads do not
    overlap.
    """
    return 1 if caps.kind == "cpu" else resident.KINDS[weight.kind].words // resident.KINDS[weight.kind].parts


def slices(weight: Weight, caps: Caps) -> int:
    """Threads that share a row; block scales add up in order, in one thread."""
    most = 2 if caps.kind == "cpu" else caps.limit("maxComputeInvocationsPerWorkgroup") // 32
    return 1 if weight.scaling == "block" else min(most, 16, weight.blocks)


def cpu_tiles(weight: Weight, most: int, step: int) -> int:
    """Tiles a thread on a processor, in multiples of ``step``: at most half of all, so that two cores have work."""
    return max(step, min(most, weight.tiles // 2) // step * step)


def matvec_shape(weight: Weight, activation: str | None, caps: Caps) -> tuple[int, int]:
    """Lanes of the fused kernel and rows of a lane; together whole tiles, pairs of them for a gate.

    A processor has few cores, so many rows share a norm, and narrow groups, so that what a few vectors read together
    are whole neighbouring cache lines.
    """
    step = 2 if activation else 1
    if caps.kind != "cpu":
        return TILE_ROWS, step
    step *= TILE_ROWS // CPU_LANES
    rows = weight.tiles * TILE_ROWS // CPU_LANES
    most = max(step, min(CPU_ROWS, rows // 2) // step * step)
    choices = range(most, (most + 1) // 2 - 1, -step)
    items = min(choices, key=lambda items: -(-rows // (2 * items)) * items)  # least idle part of pairs of groups
    return CPU_LANES, items


def matvec_storage_bytes(weight: Weight, activation: str | None, caps: Caps) -> int:
    """Workgroup memory that the fused kernel needs."""
    lanes, items = matvec_shape(weight, activation, caps)
    return weight.blocks * 256 + lanes * items * slices(weight, caps) * 4 + LANE_BYTES


LANE_BYTES = 256 * 8 + 16 * 8 + 16


def fits_matvec(op: TernaryProduct, caps: Caps) -> bool:
    """Whether the fused kernel can run this product on the device."""
    limit = caps.limit("maxComputeWorkgroupStorageSize")
    return matvec_storage_bytes(op.weight, op.activation, caps) <= limit


def _part_label(label: str, first_tile: int) -> str:
    return f"{label}@{first_tile}" if first_tile else label
