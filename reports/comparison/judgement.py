"""One metric of one case on two sides: how far apart, and what may be said of it.

Four verdicts. A difference: significant over all metrics together, and at least the floor. The same: the 95 % interval
of the ratio lies within the floor. Else undecided.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..metrics import METRICS, Metric
from ..sessions import LEAST_SESSIONS, Estimate, estimate
from .matching import Key, Match
from .ratio import Ratio, pairs, ratio_of

FLOOR = 0.05
LEVEL = 0.05  # share of false discoveries among all findings of a difference
SAME, UNDECIDED = "same", "undecided"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """``verdict`` is "undecided" until `judged` has seen all metrics."""

    key: Key
    case: str
    metric: Metric
    a: Estimate
    b: Estimate
    ratio: Ratio
    p_adjusted: float | None = None  # by Benjamini and Hochberg; None where nothing could be tested
    verdict: str = UNDECIDED
    more: int | None = None  # sessions a side that should decide; None where decided, or where nobody can tell

    @property
    def better(self) -> bool:
        return self.verdict in ("faster", "smaller")

    @property
    def worse(self) -> bool:
        return self.verdict in ("slower", "larger")

    def to_json(self) -> dict[str, Any]:
        interval = self.ratio.interval_95
        return {
            "case": self.case,
            "metric": self.metric.name,
            "a": self.a.median,
            "b": self.b.median,
            "sessions": [len(self.a.values), len(self.b.values)],
            "paired": self.ratio.paired,
            "ratio": self.ratio.ratio,
            "ratio_low_95": interval and interval[0],
            "ratio_high_95": interval and interval[1],
            "p_adjusted": self.p_adjusted,
            "verdict": self.verdict,
            "more_sessions": self.more,
            "outliers": [list(self.a.outliers), list(self.b.outliers)],
        }


def findings_of(match: Match) -> list[Finding]:
    """Every metric that both sides have, not yet judged. The time to the first token of a prefill is its rate again."""
    found = []
    paired = pairs(match.a, match.b)
    for metric in METRICS:
        if metric.name == "ttft_ns" and match.a[0].workload.startswith("prefill"):
            continue
        beside = [(metric.value(one), metric.value(other)) for one, other in paired or ()]
        together = [(one, other) for one, other in beside if one is not None and other is not None]
        if len(together) > 1:
            a, b = ([pair[side] for pair in together] for side in (0, 1))
        else:
            a, b = ([v for r in side if (v := metric.value(r)) is not None] for side in (match.a, match.b))
        if a and b:
            ratio = ratio_of(a, b, paired=len(together) > 1)
            found.append(
                Finding(key=match.key, case=match.title, metric=metric, a=estimate(a), b=estimate(b), ratio=ratio)
            )
    return found


def judged(findings: Sequence[Finding], floor: float = FLOOR) -> list[Finding]:
    """All findings of a comparison with their verdicts; they are one family of tests."""
    tested = [found for found in findings if found.ratio.sessions >= LEAST_SESSIONS and not found.metric.counted]
    adjusted = dict(zip(map(id, tested), _adjusted([found.ratio for found in tested]), strict=True))
    return [_judged(found, adjusted.get(id(found)), math.log1p(floor)) for found in findings]


def _adjusted(ratios: Sequence[Ratio]) -> list[float]:
    if not ratios:
        return []
    from scipy.stats import false_discovery_control, t

    p = [2 * t.sf(abs(ratio.t or 0.0), ratio.freedom) for ratio in ratios]
    return [float(value) for value in false_discovery_control(p)]


def _judged(found: Finding, p: float | None, floor: float) -> Finding:
    """``floor``: of the logarithm of the ratio."""
    log = math.log(found.ratio.ratio)
    if found.metric.counted:
        return replace(found, verdict=SAME if abs(log) < floor else _word(found.metric, log))
    if p is not None and p <= LEVEL and abs(log) >= floor:
        return replace(found, p_adjusted=p, verdict=_word(found.metric, log))
    low, high = found.ratio.interval_95 or (0.0, math.inf)
    if p is not None and -floor < math.log(low) and math.log(high) < floor:
        return replace(found, p_adjusted=p, verdict=SAME)
    return replace(found, p_adjusted=p, verdict=UNDECIDED, more=_more(found.ratio, abs(log), floor))


def _word(metric: Metric, log: float) -> str:
    better = (log > 0) == metric.higher_is_better
    if metric.unit == "MiB":
        return "smaller" if better else "larger"
    return "faster" if better else "slower"


def _more(ratio: Ratio, log: float, floor: float) -> int | None:
    """Sessions a side until the interval either lies within the floor or is half as wide as the difference itself."""
    half_width = log / 2 if log >= floor else max(floor - log, floor / 4)
    needed = LEAST_SESSIONS if ratio.sd is None else ratio.needed(half_width)
    return needed - ratio.sessions if needed is not None and needed > ratio.sessions else None
