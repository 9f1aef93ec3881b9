"""The ratio of one metric on two sides, from sessions: geometric means, Student's t of logarithms.

Sessions that were interleaved in time are paired, which takes out what drifts from session to session; others are
compared by Welch's t. Nothing heavy is imported: `tritmark show` uses it too.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from tritmark.results.record import Record

from .. import stats
from ..sessions import sessions_for


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """Of B to A. ``error`` and ``sd`` are of logarithms, None where a side has a single session and so no spread."""

    ratio: float
    paired: bool
    sessions: int  # pairs, or sessions of the side that has fewer
    error: float | None = None  # standard error of the logarithm
    freedom: float = 0.0
    sd: float | None = None  # of a pair's difference, or of a side's sessions

    @property
    def interval_95(self) -> tuple[float, float] | None:
        if self.error is None:
            return None
        half = stats.t_95(self.freedom) * self.error
        return self.ratio * math.exp(-half), self.ratio * math.exp(half)

    @property
    def t(self) -> float | None:
        """Student's statistic of no difference."""
        log = math.log(self.ratio)
        if self.error is None or log == 0:
            return None if self.error is None else 0.0
        return log / self.error if self.error else math.copysign(math.inf, log)

    def needed(self, half_width: float) -> int | None:
        """Sessions a side whose interval should have this half width of logarithms; None where nobody can tell."""
        if (sd := self.sd) is None:
            return None
        if self.paired:
            return sessions_for(half_width, lambda n: stats.t_95(n - 1) * sd / math.sqrt(n))
        return sessions_for(half_width, lambda n: stats.t_95(2 * n - 2) * sd * math.sqrt(2 / n))


def pairs(a: Sequence[Record], b: Sequence[Record]) -> list[tuple[Record, Record]] | None:
    """(A, B) of neighbouring sessions, where each of the side with fewer sessions has a neighbour of its own: A B, B A,
    A B. None where one side ran before the other.
    """
    both = [(record, "a") for record in a] + [(record, "b") for record in b]
    both.sort(key=lambda each: (each[0].started_at, each[0].session, each[1]))
    found, at = [], 0
    while at + 1 < len(both):
        (one, side), (other, rival) = both[at], both[at + 1]
        if side != rival:
            found.append((one, other) if side == "a" else (other, one))
        at += 2 if side != rival else 1
    return found if len(found) == min(len(a), len(b)) > 1 else None


def ratio_of(a: Sequence[float], b: Sequence[float], *, paired: bool) -> Ratio:
    """Of positive values, one a session; ``paired``: those at the same place ran beside each other."""
    logs_a, logs_b = [math.log(value) for value in a], [math.log(value) for value in b]
    ratio = math.exp(statistics.mean(logs_b) - statistics.mean(logs_a))
    fewer = min(len(a), len(b))
    if fewer < 2:
        return Ratio(ratio=ratio, paired=paired, sessions=fewer)
    if paired:
        sd = statistics.stdev(after - before for before, after in zip(logs_a, logs_b, strict=True))
        return Ratio(ratio=ratio, paired=True, sessions=fewer, error=sd / math.sqrt(fewer), freedom=fewer - 1, sd=sd)
    shares = [statistics.variance(logs) / len(logs) for logs in (logs_a, logs_b)]
    parts = sum(share**2 / (len(logs) - 1) for share, logs in zip(shares, (logs_a, logs_b), strict=True))
    return Ratio(
        ratio=ratio,
        paired=False,
        sessions=fewer,
        error=math.sqrt(sum(shares)),
        freedom=sum(shares) ** 2 / parts if parts else fewer - 1,  # Welch and Satterthwaite
        sd=math.sqrt((statistics.variance(logs_a) + statistics.variance(logs_b)) / 2),
    )
