"""Columns that were made from one another: equal figures, and one factor between formats on device after device."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import combinations

from .cells import Cell, by_model, columns
from .findings import Finding

EQUAL_LEAST = 4  # models in two columns, all of them equal
FACTORS_LEAST = 5  # models whose factors agree
SLACK = 1.5  # times what rounding of the printed figures explains


def equal_columns(cells: Sequence[Cell]) -> Iterator[Finding]:
    """Two columns of one metric with the same figures throughout."""
    for one, other in combinations(columns(cells).values(), 2):
        if one[0].metric != other[0].metric or one[0].source != other[0].source:
            continue
        pairs = _paired(one, other)
        if len(pairs) >= EQUAL_LEAST and all(a.value == b.value for a, b in pairs):
            text = f"{one[0].place} and {other[0].place} are equal for all {len(pairs)} models"
            yield Finding("identical columns", "not independent", text, [cell for pair in pairs for cell in pair])


def one_factor(cells: Sequence[Cell]) -> Iterator[Finding]:
    """Two devices on which the ratio of two formats is the same for every model, within what rounding allows."""
    tables: dict[tuple[str, ...], dict[str, list[Cell]]] = {}  # a table's figures of one device, by format
    for (source, table, metric, format, *place), column in columns(cells).items():
        tables.setdefault((source, table, metric, *place), {})[format] = column
    for (key, here), (other_key, there) in combinations(tables.items(), 2):
        if key[:3] == other_key[:3]:
            for one, other in combinations(sorted(here.keys() & there.keys()), 2):
                yield from _same_factors((here[one], here[other]), (there[one], there[other]))


def _same_factors(one: tuple[list[Cell], list[Cell]], other: tuple[list[Cell], list[Cell]]) -> Iterator[Finding]:
    here, there = ({a.model: (a, b) for a, b in _paired(*pair)} for pair in (one, other))
    models = [model for model in here if model in there]
    if len(models) < FACTORS_LEAST or not all(_agree(here[model], there[model]) for model in models):
        return
    ratios = ", ".join(f"{here[model][0].value / here[model][1].value:.2f}" for model in models)
    (a, b), c = (here[models[0]][0], here[models[0]][1]), there[models[0]][0]
    text = (f"{a.format} / {b.format} is {ratios} for {', '.join(models)} both on {a.device} {a.processor}"
            f" and on {c.device} {c.processor}, within rounding")  # fmt: skip
    yield Finding(
        "one factor", "not independent", text,
        [cell for model in models for pair in (here[model], there[model]) for cell in pair],
    )  # fmt: skip


def _agree(one: tuple[Cell, Cell], other: tuple[Cell, Cell]) -> bool:
    distance = abs(math.log(one[0].value / one[1].value) - math.log(other[0].value / other[1].value))
    return distance <= SLACK * sum(cell.rounding / cell.value for cell in (*one, *other))


def _paired(one: Sequence[Cell], other: Sequence[Cell]) -> list[tuple[Cell, Cell]]:
    there = by_model(other)
    return [(cell, there[cell.model]) for cell in one if cell.model in there]
