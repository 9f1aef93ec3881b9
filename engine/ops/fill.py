"""A value set to one number: the state of a run that begins."""

from __future__ import annotations

from dataclasses import dataclass

from ..graph import Node, Value
from ..plan import Cost
from ..steps import StepRow
from . import exact
from .op import Array, Emitter, Shape

CHUNK = 1024  # elements a workgroup
WIDEST = 1 << 15  # most workgroups along one side of a grid, which WebGPU bounds by 65535


@dataclass(frozen=True)
class Fill:
    """(x) f32 -> ``value`` over it."""

    value: float = 0.0

    def shapes(self, inputs: tuple[Value, ...]) -> tuple[Shape, ...]:
        return ()

    def reference(self, step: StepRow, inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        inputs[0][...] = exact.f32(self.value)
        return ()

    def lower(self, node: Node, emit: Emitter) -> None:
        fill(emit, node.inputs[0], self.value, node.label)


def grid_of(elements: int) -> tuple[int, int, int]:
    """Workgroups of CHUNK elements each, in rows, since a side of a grid has a limit."""
    groups = -(-elements // CHUNK)
    width = min(groups, WIDEST)
    return width, -(-groups // width), 1


def fill(emit: Emitter, x: Value, value: float, label: str) -> None:
    """Append the launch that sets every element of ``x``."""
    grid = grid_of(x.elements)
    emit.dispatch(
        "fill",
        {"ELEMENTS": x.elements, "CHUNK": CHUNK, "WIDTH": grid[0], "VALUE": float(value)},
        {"x": x},
        grid,
        label,
        Cost(bytes=x.bytes),
    )
