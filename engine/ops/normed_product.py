"""Norm, quantisation and ternary product of one token in one launch: QuantizeNorm and TernaryProduct with the same
bits.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..formats import resident
from ..graph import Node, Value
from ..plan import Caps
from ..steps import StepRow
from ..weights import TILE_ROWS, Weight, loads_wide
from .choice import Choice, chosen, spelled
from .op import Array, Emitter, Shape, serves_uniform
from .quantize_norm import QuantizeNorm, norm_constants
from .ternary_product import TernaryProduct, part_label

CPU_LANES, CPU_ROWS, CPU_SLICES = 8, 32, 2  # on a processor: lanes, most rows of a lane, threads of a row
MOST_SLICES = 16
CODE_SUMS = 32  # threads that add up the codes
LANE_BYTES = 256 * 8 + 16 * 8 + 16 + CODE_SUMS * 4


@dataclass(frozen=True)
class Matvec:
    """How a workgroup divides a matrix: ``lanes`` neighbouring rows, ``slices`` threads a row, ``tiles`` rows of a
    thread that share its activations, ``turns`` of them one after the other.
    """

    lanes: int
    slices: int
    tiles: int
    turns: int = 1

    @property
    def rows(self) -> int:
        """Rows of a workgroup."""
        return self.lanes * self.tiles * self.turns

    @property
    def threads(self) -> int:
        return self.lanes * self.slices

    def storage_bytes(self, weight: Weight) -> int:
        """Workgroup memory: codes, every thread's sums, the norm."""
        return weight.blocks * 256 + (self.rows // self.lanes + 1) * self.threads * 4 + LANE_BYTES


@dataclass(frozen=True)
class NormedProduct:
    """QuantizeNorm and TernaryProduct of one token in one launch: (x (1, K), norm weight (K)[, residual]) -> (1, N)."""

    norm: QuantizeNorm
    product: TernaryProduct

    def shapes(self, inputs: tuple[Value, ...]) -> tuple[Shape, ...]:
        return (((1, self.product.columns), "f32"),)

    def reference(self, step: StepRow, inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        return self.product.reference(step, (*self.norm.reference(step, inputs[:2]), *inputs[2:]))

    def choice(self, node: Node, caps: Caps) -> Choice:
        """Its shapes on a device."""
        return Choice(self.product.key, tuple(map(spelled, matvec_shapes(self.product, caps))))

    def lower(self, node: Node, emit: Emitter) -> None:
        x, norm_weight = node.inputs[:2]
        weight, cpu = self.product.weight, emit.caps.kind == "cpu"
        parts = 2 if self.product.activation else 1
        shape = chosen(self.product.key, matvec_shapes(self.product, emit.caps), emit.caps)
        constants = {
            **self.product.constants(emit.caps),
            **norm_constants(weight.cols, self.norm.eps),
            **self._shape_constants(shape, emit.caps),
            "RESIDUAL": len(node.inputs) > 2,
            "OUT_ROWS": shape.rows // parts,
        }
        if cpu:
            constants["UNIFORM"] = serves_uniform(emit.caps, x, norm_weight)
        includes = {"trits": f"lib/trits_{weight.kind}.wgsl"}
        for first, tiles, buffers in emit.tile_ranges(weight, parts):
            emit.dispatch(
                "ternary_matvec_cpu" if cpu else "ternary_matvec",
                constants,
                {
                    **buffers,
                    **self.product.buffers(node.inputs[2:], node.outputs[0], emit),
                    "x": x,
                    "norm_weight": norm_weight,
                },
                (-(-tiles * TILE_ROWS // shape.rows), 1, 1),
                part_label(node.label, first),
                self.product.cost(1, tiles),
                includes,
            )

    def _shape_constants(self, shape: Matvec, caps: Caps) -> dict[str, int | float | bool]:
        constants: dict[str, int | float | bool] = {
            "LANES": shape.lanes,
            "SLICES": shape.slices,
            "TILES": shape.tiles,
        }
        weight = self.product.weight
        words = resident.KINDS[weight.kind].words
        constants |= {"FOUR": 4, "WORD_FOURS": words // 4, "LONE_WORD": words % 4 == 1}
        if caps.kind == "cpu":
            group = weight.group_rows(caps)
            return {
                **constants,
                "WIDE": loads_wide(caps),
                "GROUP": group,
                "ROW_GROUPS": shape.tiles // group,
                "ROW_PAIRS": shape.tiles // 2,
                "FOUR_LOADS": 4 // resident.KINDS[weight.kind].parts,
            }
        return {
            **constants,
            "TURNS": shape.turns,
            "CODE_SUMS": min(CODE_SUMS, shape.threads),
            "WORDS": words,
        }


def matvec_shapes(product: TernaryProduct, caps: Caps) -> list[Matvec]:
    """Shapes that a device can run, the default first; none where workgroup memory is too small for any."""
    shapes = cpu_shapes(product, caps) if caps.kind == "cpu" else gpu_shapes(product)
    limits = (caps.limit("maxComputeInvocationsPerWorkgroup"), caps.limit("maxComputeWorkgroupStorageSize"))
    return [s for s in shapes if s.threads <= limits[0] and s.storage_bytes(product.weight) <= limits[1]]


def gpu_shapes(product: TernaryProduct) -> list[Matvec]:
    """Shapes for a GPU. Block scales add up in order, in one thread; every result must have a thread of its own."""
    weight, pair = product.weight, 2 if product.activation else 1
    most = 1 if weight.scaling == "block" else min(MOST_SLICES, weight.blocks)
    slices = [most, *(n for n in (16, 12, 8, 6, 4, 2, 1) if n < most)]
    return [
        Matvec(lanes, threads, tiles, turns)
        for threads in slices
        for turns in (1, 2, 4)
        for tiles in (1, 2, 4)
        for lanes in (32, 16)
        if tiles * turns * lanes % (TILE_ROWS * pair) == 0 and tiles * turns <= threads * pair
    ]


def cpu_shapes(product: TernaryProduct, caps: Caps) -> list[Matvec]:
    """Shapes for a processor. It has few cores, so many rows share a norm, and narrow groups, so that what a few
    vectors read together are whole neighbouring cache lines.
    """
    weight = product.weight
    step = max(weight.group_rows(caps), (2 if product.activation else 1) * TILE_ROWS // CPU_LANES)
    rows = weight.tiles * TILE_ROWS // CPU_LANES
    most = max(step, min(CPU_ROWS, rows // 2) // step * step)
    choices = range(most, (most + 1) // 2 - 1, -step)
    least_idle = min(choices, key=lambda items: -(-rows // (2 * items)) * items)  # part of pairs of groups
    slices = 1 if weight.scaling == "block" else min(CPU_SLICES, weight.blocks)
    items = [least_idle, *(i for i in range(step, CPU_ROWS + 1, step) if i != least_idle)]
    return [Matvec(CPU_LANES, threads, i) for i in items for threads in range(slices, 0, -1)]


def fits_matvec(product: TernaryProduct, caps: Caps) -> bool:
    """Whether the fused kernel can run this product on the device."""
    return bool(matvec_shapes(product, caps))
