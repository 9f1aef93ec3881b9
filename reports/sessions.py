"""Sessions: what a case comes to on a machine when it ran several times, each in a fresh process after a rest.

Repetitions inside a process share its luck (memory layout, clocks, heat), so they say little of the next process. Here
a session counts as one value, and intervals are over sessions. Logarithms are averaged: speed varies by factors.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property

from tritmark.results.record import Record

from . import stats
from .metrics import METRICS, RATES, Metric

LEAST_SESSIONS = 3
BOOTSTRAP_SESSIONS = 30
RESAMPLES = 9999
SEED = 20260301
HALF_WIDTH = 0.02
MOST_SESSIONS = 1000  # beyond which nobody is told a number


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A metric over sessions."""

    values: tuple[float, ...]  # one a session, oldest first
    median: float
    mean: float  # arithmetic
    mad: float
    outliers: tuple[int, ...]  # places in ``values``

    @cached_property
    def interval_95(self) -> tuple[float, float] | None:
        """Of the geometric mean; None for a single session, which has no spread."""
        return interval_95(self.values)

    @property
    def method(self) -> str:
        """How the interval is made."""
        if len(self.values) < 2:
            return "none: a single session"
        return f"{'BCa bootstrap' if len(self.values) >= BOOTSTRAP_SESSIONS else 't'} of logarithms"


def grouped(
    records: Sequence[Record], case: Callable[[Record], Hashable] = lambda record: record.case_key
) -> list[list[Record]]:
    """The sessions of each case on one machine (adapter, driver, device), oldest first.

    Only what ran and was measured counts: no failed, fallback, published or predicted row, and no row twice.
    """
    groups: dict[Hashable, dict[Hashable, Record]] = {}
    for record in records:
        if record.status == "ok" and record.kind == "measured":
            machine = (record.adapter, record.driver, record.device)
            groups.setdefault((case(record), machine), {})[record.id, record.started_at, record.samples_ns] = record
    return [sorted(group.values(), key=_time) for group in groups.values()]


def _time(record: Record) -> tuple[str, int]:
    return record.started_at, record.session


def values(sessions: Sequence[Record], metric: Metric) -> list[float]:
    """One a session, without those that have none."""
    return [value for record in sessions if (value := metric.value(record)) is not None]


def estimates(sessions: Sequence[Record]) -> dict[str, Estimate]:
    """Every metric that the sessions of one case have, by name."""
    found = {metric.name: values(sessions, metric) for metric in METRICS}
    return {name: estimate(each) for name, each in found.items() if each}


def estimate(values: Sequence[float]) -> Estimate:
    """Of at least one positive value."""
    return Estimate(
        values=tuple(values),
        median=statistics.median(values),
        mean=statistics.mean(values),
        mad=stats.mad(values),
        outliers=stats.outliers(values),
    )


def interval_95(values: Sequence[float]) -> tuple[float, float] | None:
    """Of the geometric mean: Student's t of the logarithms, from 30 sessions on their BCa bootstrap."""
    if len(values) < 2:
        return None
    logs = [math.log(value) for value in values]
    alike = max(logs) == min(logs)  # which a bootstrap cannot resample
    low, high = (
        stats.mean_interval_95(logs) if alike or len(logs) < BOOTSTRAP_SESSIONS else _bootstrap_interval_95(logs)
    )
    return math.exp(low), math.exp(high)


def _bootstrap_interval_95(logs: Sequence[float]) -> tuple[float, float]:
    """The same interval for the same values: the seed is fixed."""
    import numpy as np
    from scipy.stats import bootstrap  # two seconds that only many sessions are worth

    found = bootstrap((logs,), np.mean, n_resamples=RESAMPLES, method="BCa", rng=np.random.default_rng(SEED))
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def settled(values: Sequence[float], half_width: float = HALF_WIDTH) -> bool:
    """Whether another session may be spared: at least three, and the 95 % interval's half width is below this share."""
    if len(values) < LEAST_SESSIONS:
        return False
    low, high = interval_95(values) or (0.0, math.inf)
    return (high - low) / 2 < half_width * math.sqrt(low * high)


def needed(values: Sequence[float], half_width: float = HALF_WIDTH) -> int | None:
    """How many sessions in all should settle, if their spread stays; None for a single one or beyond a thousand."""
    if len(values) < 2:
        return None
    sd = statistics.stdev(map(math.log, values))
    return sessions_for(math.asinh(half_width), lambda count: stats.t_95(count - 1) * sd / math.sqrt(count))


def sessions_for(half_width: float, of: Callable[[int], float]) -> int | None:
    """The least count from three on whose half width ``of(count)`` is below ``half_width``, both of logarithms."""
    return next((n for n in range(LEAST_SESSIONS, MOST_SESSIONS + 1) if of(n) < half_width), None)


def records_settled(records: Sequence[Record], half_width: float = HALF_WIDTH) -> bool:
    """Whether the rate of a case, on every machine that ran it, has settled; not before there is one."""
    rates = [values(sessions, metric) for sessions in grouped(records) for metric in RATES]
    return any(rates) and all(settled(found, half_width) for found in rates if found)
