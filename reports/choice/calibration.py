"""Intervals that cover what they promise, from how wrong the same prediction was about groups that it had not seen.

Group-wise conformal: each group of the evidence is left out in turn and predicted from the others; its errors over the
predicted standard deviations are the scores. A group's scores share one vote, as does the group that is asked about,
whose score nobody knows (infinite). The interval is mean ± sd times the quantile of the votes.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

from .prediction import Observation, Point, Predictor

NORMAL = NormalDist()
LEVEL = 0.8
LEAST_FREEDOM = 3


@dataclass(frozen=True)
class Estimate:
    """A predicted value. ``sd`` is what makes a normal distribution have the 80 % interval."""

    mean: float
    sd: float
    half_80: float
    half_95: float


@dataclass(frozen=True)
class Stretch:
    """Half widths of intervals over the predicted standard deviation; ``groups``: how many it was learnt from."""

    at_80: float
    at_95: float
    groups: int

    def estimate(self, mean: float, sd: float) -> Estimate:
        half = self.at_80 * sd
        return Estimate(mean, half / NORMAL.inv_cdf(0.5 + LEVEL / 2), half, self.at_95 * sd)


def stretch(
    predictor: Predictor,
    group: Callable[[Observation], Hashable],
    shown: Callable[[Sequence[Observation]], Sequence[Observation]] = lambda held_out: (),
) -> Stretch:
    """Learnt from the predictor's own evidence. ``shown`` picks those of a left-out group that the prediction may see,
    as it sees a probe of the device that it is asked about.

    G groups promise levels up to G / (G + 1). Beyond it, and with fewer than four groups at 80 %, the width follows
    Student's t with a degree of freedom fewer than groups, at least three: an assumption in place of a promise.
    """
    votes = sorted(
        (score, 1 / (len(scores) * (1 + len(all_scores))))
        for all_scores in [_scores(predictor, group, shown)]
        for scores in all_scores
        for score in scores
    )
    groups = len({group(each) for each in predictor.observations})
    t_80, t_95 = (_t(level, max(LEAST_FREEDOM, groups - 1)) for level in (LEVEL, 0.95))
    total = 0.0
    for score, vote in votes:
        total += vote
        if total >= LEVEL - 1e-9:
            return Stretch(score, score * t_95 / t_80, groups)
    widest = max((score for score, _ in votes), default=0.0)
    return Stretch(max(widest, t_80), max(widest * t_95 / t_80, t_95), groups)


def _scores(
    predictor: Predictor,
    group: Callable[[Observation], Hashable],
    shown: Callable[[Sequence[Observation]], Sequence[Observation]],
) -> list[list[float]]:
    """|error| / sd of each group that was left out."""
    found = []
    for name in dict.fromkeys(map(group, predictor.observations)):
        held_out = [each for each in predictor.observations if group(each) == name]
        seen = list(shown(held_out))
        asked = [each for each in held_out if each not in seen]
        if asked:
            rest = [each for each in predictor.observations if group(each) != name] + seen
            mean, sd = Predictor(rest, predictor.mean, predictor.scale).at([each.point for each in asked])
            found.append([abs(a.value - m) / s for a, m, s in zip(asked, mean.tolist(), sd.tolist(), strict=True)])
    return found


def predicted(predictor: Predictor, points: Sequence[Point], how: Stretch) -> list[Estimate]:
    mean, sd = predictor.at(points)
    return [how.estimate(m, s) for m, s in zip(mean.tolist(), sd.tolist(), strict=True)]


def _t(level: float, freedom: float) -> float:
    """Two-sided quantile of Student's t."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, 0.5 + level / 2))
