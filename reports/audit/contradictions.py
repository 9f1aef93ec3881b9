"""What two places say of one run, where both cannot be so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

from .cells import Cell, columns
from .findings import Finding

SAME = 0.10  # figures of one run that two sources print
ALSO = {"train_throughput": "epoch_time", "epoch_time": "train_throughput"}  # one cannot be without the other


def two_values(cells: Sequence[Cell]) -> Iterator[Finding]:
    """One metric of one case, twice, with different figures or with one that ran and one that did not."""
    groups: dict[tuple[str, ...], list[Cell]] = {}
    for cell in cells:
        if cell.device and cell.model and cell.format:
            groups.setdefault((*cell.case, cell.metric, cell.unit), []).append(cell)
    for group in groups.values():
        for one, other in combinations(group, 2):
            if one.ok and other.ok and abs(one.value / other.value - 1) <= SAME:
                continue
            if one.ok or other.ok:
                told = " and ".join(f"{_said(cell)} on line {cell.line}" for cell in (one, other))
                text = f"{one.model} {one.place} {one.metric}: {told}"
                yield Finding("contradiction", "suspect", text, [one, other])


def ran_and_did_not(cells: Sequence[Cell]) -> Iterator[Finding]:
    """A throughput of training that is said not to have run, or the other way round."""
    found = {(cell.source, *cell.case, cell.metric): cell for cell in cells}
    for (source, *case, metric), cell in found.items():
        other = found.get((source, *case, ALSO.get(metric, "")))
        if cell.ok and other is not None and not other.ok:
            text = f"{cell.model} {cell.place}: {cell.metric} is {_said(cell)}, {other.metric} is {_said(other)}"
            yield Finding("contradiction", "suspect", text, [cell, other])


def larger_ran(cells: Sequence[Cell]) -> Iterator[Finding]:
    """A model that did not fit where a larger one, in the same column, did."""
    ran = columns(cells)
    for cell in cells:
        larger = [other for other in ran.get(cell.column, ()) if other.parameters > cell.parameters]
        if cell.status == "oom" and larger:
            text = f"{cell.model} {cell.place}: {cell.metric} is oom, and {larger[0].model} ran"
            yield Finding("contradiction", "suspect", text, [cell, larger[0]])


def _said(cell: Cell) -> str:
    return f"{cell.value:g} {cell.unit}".strip() if cell.ok else cell.status
