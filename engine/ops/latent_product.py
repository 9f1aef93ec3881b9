"""Products with ternary words that the step itself makes, from latent weights: the layers of full training.

Arithmetic and kernels are those of frozen layers (ternary_product.py); only where words and scales are bound differs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..errors import PlanError
from ..formats import resident
from ..formats.blank import BlankModel
from ..graph import Node, Value
from ..plan import Caps, Cost
from ..steps import StepRow
from ..weights import Weight
from .op import Array, Emitter, Shape
from .quantize import FINE, Quantize
from .ternarize import KIND
from .ternary_product import TernaryProduct, TransposedProduct
from .weight_grad import WeightGrad

if TYPE_CHECKING:
    from ..grad import Tape


@dataclass(frozen=True, eq=False)
class MadeWeight(Weight):
    """What ops of frozen layers ask of a weight, for one that no model holds. ``held``: its words and scales, in the
    reference.
    """

    held: tuple[Array, ...] = ()

    @property
    def tiles(self) -> int:
        return resident.tile_count(self.rows)

    def words(self) -> Iterator[npt.NDArray[np.uint32]]:
        yield self.held[0]

    def scales(self) -> npt.NDArray[np.float32]:
        return self.held[1]


def made_weight(rows: int, cols: int, *held: Array) -> MadeWeight:
    """(rows, cols) as Ternarize makes it; with the arrays of its words and scales for a reference."""
    return MadeWeight("made", BlankModel(), (), KIND, rows, cols, held=held)


@dataclass
class _Bound:
    """An Emitter that binds values of the graph where an op asks for its weight."""

    emit: Emitter
    caps: Caps
    words: Value
    row_scales: Value | None = None

    def dispatch(
        self,
        kernel: str,
        constants: Mapping[str, int | float | bool],
        buffers: Mapping[str, object],
        grid: tuple[int | str, int | str, int | str],
        label: str,
        cost: Cost,
        includes: Mapping[str, str] | None = None,
    ) -> None:
        self.emit.dispatch(kernel, constants, buffers, grid, label, cost, includes)

    def tile_ranges(self, weight: Weight, multiple: int) -> Sequence[tuple[int, int, dict[str, object]]]:
        """All tiles at once: a value is bound whole."""
        limit = self.caps.limit("maxStorageBufferBindingSize")
        if weight.bytes > limit:
            raise PlanError(f"ternary words of {weight.bytes:,} bytes exceed the binding limit {limit:,}")
        return [(0, weight.tiles, {"weights": self.words, "range": _tile_range(weight.tiles)})]

    def scales(self, weight: Weight) -> object:
        return self.row_scales


def _tile_range(tiles: int) -> Value:
    """(first tile, tiles) as a uniform; products of as many tiles share it."""
    words = np.array([0, tiles, 0, 0], "<u4")
    return Value(f"tiles.{tiles}", words.shape, "u32", "input", words.tobytes())


@dataclass(frozen=True)
class LatentProduct:
    """(codes, scale, code sums of x (M, K) as Quantize(limbs) makes them, words, scales of Ternarize[, residual (M,
    N)]) -> [residual +] x W^T, (M, N).
    """

    rows: int
    cols: int
    limbs: int = 1

    def shapes(self, inputs: tuple[Value, ...]) -> tuple[Shape, ...]:
        return (((inputs[1].shape[0], self.rows), "f32"),)

    def reference(self, step: StepRow, inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        weight = made_weight(self.rows, self.cols, *inputs[3:5])
        return TernaryProduct(weight, limbs=self.limbs).reference(step, (*inputs[:3], *inputs[5:]))

    def vjp(self, node: Node, gradients: tuple[Value | None, ...], tape: Tape) -> None:
        """Of x's codes W^T dy; of the words dy^T x; of the residual, dy itself, last because its value may change."""
        (dy,) = gradients
        assert dy is not None
        codes, scale, _, words, row_scales = node.inputs[:5]
        label = f"{node.label}.grad"
        if tape.needs(codes):
            limbs = tape.graph.add(Quantize(FINE), [dy, row_scales], f"{label}.quantize")
            tape.add(codes, LatentTransposed(self.rows, self.cols), [*limbs, words], label)
        if tape.needs(words):
            product = WeightGrad(self.rows, self.cols, self.limbs)
            tape.add(words, product, [dy, codes, scale], f"{node.label}.weight_grad")
        for residual in filter(tape.needs, node.inputs[5:]):
            tape.pass_on(residual, dy, f"{node.label}.residual")

    def lower(self, node: Node, emit: Emitter) -> None:
        product = TernaryProduct(made_weight(self.rows, self.cols), limbs=self.limbs)
        bound = _Bound(emit, emit.caps, words=node.inputs[3], row_scales=node.inputs[4])
        product.lower(Node(product, (*node.inputs[:3], *node.inputs[5:]), node.outputs, node.label), bound)


@dataclass(frozen=True)
class LatentTransposed:
    """(codes, scale, code sums of gradients (M, N) times row scales, as Quantize(3) makes them, words of Ternarize[,
    total (M, K)]) -> [total +] W^T g, (M, K).
    """

    rows: int
    cols: int

    def shapes(self, inputs: tuple[Value, ...]) -> tuple[Shape, ...]:
        return (((inputs[1].shape[0], self.cols), "f32"),)

    def reference(self, step: StepRow, inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        product = TransposedProduct(made_weight(self.rows, self.cols, inputs[3]))
        return product.reference(step, (*inputs[:3], *inputs[4:]))

    def lower(self, node: Node, emit: Emitter) -> None:
        product = TransposedProduct(made_weight(self.rows, self.cols))
        inputs = (*node.inputs[:3], *node.inputs[4:])
        product.lower(Node(product, inputs, node.outputs, node.label), _Bound(emit, emit.caps, words=node.inputs[3]))
