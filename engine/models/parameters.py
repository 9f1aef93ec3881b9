"""What training changes: named arrays in one slot, with gradients and moments in slots of the same layout."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from math import prod

import numpy as np
import numpy.typing as npt

from ..graph import Value

STATE = "state"  # prefix of the slots that a checkpoint holds
ALIGNMENT = 64  # elements: a binding begins at a multiple of 256 bytes


@dataclass(frozen=True)
class Parameters:
    """Named arrays side by side in one value, each at an aligned place; gradients and moments lie alike.

    Matrices come first and vectors last, since weight decay is for matrices.
    """

    shapes: dict[str, tuple[int, ...]]
    firsts: dict[str, int] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        first = 0
        for name, shape in self.shapes.items():
            self.firsts[name] = first
            first += -(-prod(shape) // ALIGNMENT) * ALIGNMENT
        self.firsts[""] = first

    @property
    def elements(self) -> int:
        return self.firsts[""]

    @cached_property
    def weights(self) -> Value:
        return Value(f"{STATE}/parameters", (self.elements,), role="state")

    @cached_property
    def gradients(self) -> Value:
        return Value("gradients", (self.elements,), role="state")

    @cached_property
    def moments(self) -> tuple[Value, Value]:
        first, second = (Value(f"{STATE}/moments.{i}", (self.elements,), role="state") for i in (1, 2))
        return first, second

    @cached_property
    def parts(self) -> dict[str, Value]:
        """Each matrix as a part of the whole."""
        return {name: self._part(self.weights, name) for name in self.shapes}

    @cached_property
    def gradient_of(self) -> dict[Value, Value]:
        return {part: self._part(self.gradients, name) for name, part in self.parts.items()}

    def arrays(self, weights: npt.NDArray[np.float32]) -> dict[str, npt.NDArray[np.float32]]:
        """Each array by its name, cut from the whole."""
        return {
            name: weights[self.firsts[name] : self.firsts[name] + prod(shape)].reshape(shape)
            for name, shape in self.shapes.items()
        }

    def groups(self) -> Iterator[tuple[tuple[Value, ...], bool]]:
        """(weights, gradients, first moments, second moments) of what decays, then of what does not."""
        vectors = [self.firsts[name] for name, shape in self.shapes.items() if len(shape) == 1]
        border = min(vectors, default=self.elements)
        for first, end, decays in ((0, border, True), (border, self.elements, False)):
            if first < end:
                yield tuple(
                    Value(f"{whole.id}.{first}", (end - first,), role="state", whole=whole, first=first)
                    for whole in (self.weights, self.gradients, *self.moments)
                ), decays

    def _part(self, whole: Value, name: str) -> Value:
        id = f"{whole.id.removeprefix(f'{STATE}/')}.{name}"
        return Value(id, self.shapes[name], role="state", whole=whole, first=self.firsts[name])
