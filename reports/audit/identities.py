"""Throughput times time is a number of tokens, and an epoch has one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .cells import Cell
from .findings import Finding

AGREE = 0.05  # of the tokens, for what is one number
DISAGREE = 0.10
AGREEING_LEAST = 4  # pairs that must agree before others can be wrong
THROUGHPUT, TIME = "train_throughput", "epoch_time"


def tokens_of_an_epoch(cells: Sequence[Cell]) -> Iterator[Finding]:
    """Pairs whose product is far from that on which most pairs of the source agree, a finding for each column."""
    for source in dict.fromkeys(cell.source for cell in cells):
        pairs = _pairs([cell for cell in cells if cell.source == source and cell.ok])
        tokens = _agreed([a.value * b.value for a, b in pairs])
        if tokens is None:
            continue
        wrong = [(a, b) for a, b in pairs if abs(a.value * b.value / tokens - 1) > DISAGREE + _rounding(a, b)]
        for place in dict.fromkeys(a.place for a, _ in wrong):
            of_place = [(a, b) for a, b in wrong if a.place == place]
            products = ", ".join(f"{a.model} {a.value * b.value:,.0f}" for a, b in of_place)
            text = f"{place}: tok/s x s = {products} tokens, where other columns agree on {tokens:,.0f}"
            yield Finding("throughput x time", "suspect", text, [cell for pair in of_place for cell in pair])


def _pairs(cells: Sequence[Cell]) -> list[tuple[Cell, Cell]]:
    times = {cell.case: cell for cell in cells if cell.metric == TIME}
    return [(cell, times[cell.case]) for cell in cells if cell.metric == THROUGHPUT and cell.case in times]


def _agreed(products: Sequence[float]) -> float | None:
    """The middle of the largest group of products that agree; None where no group is large enough."""
    groups = [sorted(other for other in products if abs(other / product - 1) <= AGREE) for product in products]
    best = max(groups, key=lambda group: len(group), default=[])
    return best[len(best) // 2] if len(best) >= AGREEING_LEAST else None


def _rounding(*cells: Cell) -> float:
    return sum(cell.rounding / cell.value for cell in cells)
