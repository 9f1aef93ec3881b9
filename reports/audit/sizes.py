"""What must grow or fall with a model's size, and figures that a unit explains."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

from .cells import Cell, columns
from .findings import Finding

FALLS = ("decode", "decode_peak", "decode_low", "prefill", "train_throughput")  # as the model grows
GROWS = ("epoch_time", "vram_peak", "ttft", "load_time")
NOISE = 0.05  # of a figure, before its order means anything
SLIPS = (1e3, 1024.0, 60.0, 3600.0, 1024.0**2, 1e6)
NEAR = 1.6  # a slip is recognised within this factor
ODD = 8.0  # this far from its neighbours, a figure asks for an explanation


def out_of_order(cells: Sequence[Cell]) -> Iterator[Finding]:
    """A larger model that is faster, or smaller in memory, than the one before it."""
    for column in columns(cells).values():
        if column[0].metric not in (*FALLS, *GROWS):
            continue
        falls = column[0].metric in FALLS
        for small, large in pairwise(column):
            ratio = large.value / small.value if falls else small.value / large.value
            if large.parameters > 1.2 * small.parameters and ratio > 1 + NOISE:
                text = (f"{small.place}: {small.model} {small.value:g} {small.unit}, {large.model} {large.value:g}"
                        f" {large.unit}: {small.metric} should {'fall' if falls else 'grow'} with size")  # fmt: skip
                yield Finding("size order", "suspect", text, [small, large])


def wrong_units(cells: Sequence[Cell]) -> Iterator[Finding]:
    """Figures that cannot be, units that differ within a table, and figures a thousand or sixty times off."""
    units: dict[tuple[str, str, str], Cell] = {}
    for cell in cells:
        first = units.setdefault((cell.source, cell.table, cell.metric), cell)
        if cell.unit != first.unit:
            here, there = (unit or "no unit" for unit in (cell.unit, first.unit))
            text = f"{cell.metric} is in {here} on line {cell.line} and in {there} on line {first.line}"
            yield Finding("units", "suspect", text, [first, cell])
        if cell.ok and (not math.isfinite(cell.value) or cell.value < 0 or (cell.unit == "%" and cell.value > 100)):
            yield Finding("units", "impossible", f"{cell.metric} of {cell.value:g} {cell.unit}", [cell])
    for column in columns(cells).values():
        yield from _slips(column)


def _slips(column: Sequence[Cell]) -> Iterator[Finding]:
    """Cells that a slip of units brings back among their neighbours."""
    if len(column) < 4:
        return
    for at, cell in enumerate(column):
        off = cell.value / _expected(column, at)
        slip = next((slip for slip in SLIPS if 1 / NEAR < max(off, 1 / off) / slip < NEAR), None)
        if max(off, 1 / off) > ODD and slip:
            text = (f"{cell.place} {cell.model}: {cell.value:g} {cell.unit} is about {slip:g} times"
                    f" {'more' if off > 1 else 'less'} than its neighbours lead one to expect")  # fmt: skip
            yield Finding("units", "suspect", text, [cell])


def _expected(column: Sequence[Cell], at: int) -> float:
    """The figure of a model by a power law through the two nearest others."""
    size = math.log(column[at].parameters)
    near = sorted((cell for cell in column if cell is not column[at]), key=lambda c: abs(math.log(c.parameters) - size))
    (x0, y0), (x1, y1) = ((math.log(cell.parameters), math.log(cell.value)) for cell in near[:2])
    slope = 0.0 if x0 == x1 else max(-2.0, min(2.0, (y1 - y0) / (x1 - x0)))
    return math.exp(y0 + slope * (size - x0))
