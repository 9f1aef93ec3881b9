"""Throttling, read from the decode curve of a record: whether the last tokens came slower than the best ones.

All repetitions in a row are one series of gaps between tokens. A gap also grows with the context, by the same amount
in every repetition; that slope (the least among the repetitions) is taken out first. Then the median gap of the last
quarter of the series is held against that of the best quarter anywhere in it.

A loss counts beyond 5 % and beyond three times the noise: the spread of the medians of 16 consecutive parts, from
the steps between neighbours, so that one fall of speed or a slow ramp does not pass for noise. Medians keep a few
hiccups out. What every repetition does alike from its start cannot be told from a growing context and is not seen.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from tritmark.results.record import Record

LEAST_GAPS = 32
PARTS = 16
LEAST_LOSS = 0.05
NOISES = 3.0


@dataclass(frozen=True, kw_only=True)
class Throttle:
    """By what share the last quarter's token rate is below that of the best quarter."""

    loss: float
    threshold: float  # a loss above it is no noise

    @property
    def shown(self) -> bool:
        return self.loss > self.threshold

    def __str__(self) -> str:
        return f"throttled -{100 * self.loss:.0f} %"


def throttle(record: Record) -> Throttle | None:
    """None where there are too few tokens to tell."""
    curves = [[float(after - before) for before, after in pairwise((0, *times))] for times in record.token_ns]
    curves = [curve[1:] for curve in curves]  # the first gap holds the submission
    if min((len(curve) for curve in curves), default=0) < 2 or sum(map(len, curves)) < LEAST_GAPS:
        return None
    growth = max(0.0, min(_slope(curve) for curve in curves))
    series = [gap - growth * at for curve in curves for at, gap in enumerate(curve)]
    quarter = len(series) // 4
    starts = range(0, len(series) - quarter + 1, max(1, quarter // 8))
    best = min(statistics.median(series[start : start + quarter]) for start in starts)
    last = statistics.median(series[-quarter:])
    if best <= 0 or last <= 0:
        return None  # no clock tells tokens apart here
    return Throttle(loss=max(0.0, 1 - best / last), threshold=max(LEAST_LOSS, NOISES * _noise(series)))


def _slope(curve: Sequence[float]) -> float:
    """Growth per token: the median of the first half's slopes to its partner half a curve later (Theil-Sen's idea)."""
    half = len(curve) // 2
    return statistics.median((late - early) / half for early, late in zip(curve[:half], curve[half:], strict=False))


def _noise(series: Sequence[float]) -> float:
    """Standard deviation of a part's median, relative to the median of all."""
    size = len(series) // PARTS
    medians = [statistics.median(series[start : start + size]) for start in range(0, PARTS * size, size)]
    steps = [abs(after - before) for before, after in pairwise(medians)]
    return 1.4826 * statistics.median(steps) / 2**0.5 / statistics.median(series)
