"""What an op is: one class with its shapes, NumPy reference, lowering to kernels and cost in one place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy.typing as npt

from ..graph import Node, Value
from ..plan import Caps, Cost
from ..steps import StepRow
from ..weights import Weight

if TYPE_CHECKING:
    from ..grad import Tape

Array = npt.NDArray[Any]
Shape = tuple[tuple[int, ...], str]


class Emitter(Protocol):
    """What a lowering may do: append dispatches that bind values, weights and small constants."""

    caps: Caps

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
        """Append one launch; ``buffers`` maps the kernel's parameter names to values or windows."""

    def tile_ranges(self, weight: Weight, multiple: int) -> Sequence[tuple[int, int, dict[str, object]]]:
        """(first tile, tiles, buffers "weights" and "range") of each dispatch that the binding limit allows."""

    def scales(self, weight: Weight) -> object:
        """The buffer of the scales of ``weight``."""


class Op(Protocol):
    """One operation of a graph. Instances are frozen dataclasses: their fields are the attributes."""

    def shapes(self, inputs: tuple[Value, ...]) -> tuple[Shape, ...]:
        """Shape and dtype of each output."""

    def reference(self, step: StepRow, inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        """Outputs for one step, bit for bit what the exact kernels give; rows from ``step.count`` on do not matter."""

    def lower(self, node: Node, emit: Emitter) -> None:
        """Append the dispatches that compute ``node``."""


class Differentiable(Op, Protocol):
    """An op that gradients pass through."""

    def vjp(self, node: Node, gradients: tuple[Value | None, ...], tape: Tape) -> None:
        """Emit what adds to the gradients of the inputs of ``node``, given those of its outputs (None where nothing
        came). Only ops may be emitted, and only for inputs that ``tape.needs``.
        """


def serves_uniform(caps: Caps, *values: Value) -> bool:
    """Whether values that all threads read alike are better bound as uniforms: on a processor, where each lane of a
    storage load is a loop turn but a uniform load is not."""
    return caps.kind == "cpu" and all(value.bytes <= caps.limit("maxUniformBufferBindingSize") for value in values)
