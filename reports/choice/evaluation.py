"""How good the choice is on devices that it has not seen: each left out in turn, rules side by side.

A column is a device, a processor and an engine. Whoever is left out touches neither the prediction nor its intervals,
except for one probe pair where a rule is given it, which is then not scored.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from .calibration import NORMAL, Estimate, predicted, stretch
from .hardware import PUBLISHED, Place
from .pairs import EQUAL, WEIGHTS, Pair
from .prediction import Observation, Point, Predictor, ratio_mean, ratios

PROBES = ("350M", "1B")  # models whose pair is the probe, the first that is there
PHASE = "decode"
Unit = Callable[[Place], str]
Rule = Callable[[Sequence[Pair], Sequence[Pair], Sequence[Pair], Unit], list[Estimate]]


@dataclass(frozen=True, kw_only=True)
class Score:
    """Of a rule over all cells. Regret: share of the best rate that was missed. Coverage and CRPS (of the log-ratio)
    only of rules that give intervals.
    """

    rule: str
    left_out: str  # "column" or "group"
    cells_of: str = "All cells"
    cells: int
    right: int
    outside: int  # cells beyond the tie band
    right_outside: int
    mean_regret: float
    max_regret: float
    coverage_80: float | None = None
    coverage_95: float | None = None
    crps: float | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def by_column(place: Place) -> str:
    return place.column


def by_group(place: Place) -> str:
    """A device with all its processors; Apple's count once, because their columns were made from one another."""
    return place.known.family if place.known.family == "apple" else place.body


def table(pairs: Iterable[Pair]) -> list[Pair]:
    """The cells that are scored: published decode pairs, the suspect ones too, all of a printed figure's weight."""
    published = (pair for pair in pairs if pair.phase == PHASE and pair.place.engine == PUBLISHED and pair.weights)
    return [replace(pair, weight=WEIGHTS["published"]) for pair in published]


def sound(pairs: Iterable[Pair]) -> list[Pair]:
    """Those that no audit found fault with."""
    return [pair for pair in pairs if WEIGHTS.get(pair.grade, 0.0) > 0]


def tables(cells: Sequence[Pair]) -> list[Score]:
    """All cells and the sound ones alone, columns and whole groups left out."""
    sets = {"All cells": cells, "Without suspect cells": sound(cells)}
    return [
        replace(score, cells_of=name)
        for name, chosen in sets.items()
        for unit in (by_column, by_group)
        for score in evaluate(chosen, unit)
    ]


def evaluate(cells: Sequence[Pair], unit: Unit) -> list[Score]:
    """A row for each rule, every unit left out in turn."""
    return [_score(name, rule, cells, unit, probed) for name, rule, probed in RULES]


def _score(name: str, rule: Rule, cells: Sequence[Pair], unit: Unit, probed: bool) -> Score:
    told: list[tuple[Pair, Estimate]] = []
    for left_out in dict.fromkeys(unit(pair.place) for pair in cells):
        held_out = [pair for pair in cells if unit(pair.place) == left_out]
        probes = probes_of(held_out) if probed else []
        asked = [pair for pair in held_out if pair not in probes]
        rest = [pair for pair in cells if unit(pair.place) != left_out]
        told += zip(asked, rule(rest, probes, asked, unit), strict=True)
    regrets = [regret(pair, estimate.mean) for pair, estimate in told]
    outside = [(pair, estimate) for pair, estimate in told if abs(pair.log_ratio) > EQUAL]
    row = Score(
        rule=name, left_out="column" if unit is by_column else "group", cells=len(told), right=regrets.count(0.0),
        outside=len(outside), right_outside=sum(regret(pair, estimate.mean) == 0 for pair, estimate in outside),
        mean_regret=statistics.mean(regrets), max_regret=max(regrets),
    )  # fmt: skip
    return _with_intervals(row, told) if all(estimate.sd > 0 for _, estimate in told) else row


def _with_intervals(row: Score, told: Sequence[tuple[Pair, Estimate]]) -> Score:
    off = [(abs(pair.log_ratio - estimate.mean), estimate) for pair, estimate in told]
    return replace(
        row,
        coverage_80=statistics.mean(error <= estimate.half_80 for error, estimate in off),
        coverage_95=statistics.mean(error <= estimate.half_95 for error, estimate in off),
        crps=statistics.mean(crps(error, estimate.sd) for error, estimate in off),
    )


def regret(pair: Pair, log_ratio: float) -> float:
    """Share of the best rate lost by choosing as ``log_ratio`` says."""
    return 1 - pair.tps[log_ratio <= 0] / max(pair.tps)


def crps(error: float, sd: float) -> float:
    """Continuous ranked probability score of a normal distribution (Gneiting and Raftery 2007, equation 21)."""
    z = error / sd
    return sd * (z * (2 * NORMAL.cdf(z) - 1) + 2 * NORMAL.pdf(z) - 1 / math.sqrt(math.pi))


def probes_of(pairs: Sequence[Pair]) -> list[Pair]:
    """One pair of each column: that at 350M, else at 1B."""
    found = []
    for column in dict.fromkeys(pair.place.column for pair in pairs):
        own = {pair.model: pair for pair in pairs if pair.place.column == column}
        found += [own[model] for model in PROBES if model in own][:1]
    return found


def _always(log_ratio: float) -> Rule:
    return lambda rest, probes, asked, unit: [_bare(log_ratio)] * len(asked)


def _same_class(rest: Sequence[Pair], probes: Sequence[Pair], asked: Sequence[Pair], unit: Unit) -> list[Estimate]:
    """The mean log-ratio of the same family and processor for the model, for lack of it over all models; TQ1_0 where
    nothing is of that class.
    """
    found = []
    for pair in asked:
        alike = [other for other in rest if other.place.levels[4] == pair.place.levels[4]]
        same = [other for other in alike if other.model == pair.model] or alike
        found.append(_bare(statistics.mean(other.log_ratio for other in same) if same else 1.0))
    return found


def _roofline(rest: Sequence[Pair], probes: Sequence[Pair], asked: Sequence[Pair], unit: Unit) -> list[Estimate]:
    """Bytes alone: 2.0625 against 1.6875 bits a weight, whatever the device."""
    return [_bare(math.log(2.0625 / 1.6875))] * len(asked)


def _probe_alone(rest: Sequence[Pair], probes: Sequence[Pair], asked: Sequence[Pair], unit: Unit) -> list[Estimate]:
    """What the column's own probe pair says, for all models."""
    said = {pair.place.column: pair.log_ratio for pair in probes}
    return [_bare(said.get(pair.place.column, 1.0)) for pair in asked]


def ours(rest: Sequence[Pair], probes: Sequence[Pair], asked: Sequence[Pair], unit: Unit) -> list[Estimate]:
    """The hierarchical prediction; its intervals are learnt by leaving out units of the rest, seen as this one is."""
    measured_here = [replace(pair, weight=WEIGHTS["measured"]) for pair in probes]
    shown_ids = {pair.record_ids for pair in probes_of(rest)} if probes else set()
    shown_values = {(p.place.column, p.weights, p.log_ratio) for p in rest if p.record_ids in shown_ids}

    def shown(held_out: Sequence[Observation]) -> list[Observation]:
        keys = ((each.point.place.column, each.point.weights, each.value) for each in held_out)
        return [each for each, key in zip(held_out, keys, strict=True) if key in shown_values]

    evidence = Predictor(ratios(rest, PHASE), ratio_mean(PHASE))
    how = stretch(evidence, lambda each: unit(each.point.place), shown)
    informed = Predictor([*evidence.observations, *ratios(measured_here, PHASE)], evidence.mean)
    return predicted(informed, [Point(pair.place, pair.weights or 0) for pair in asked], how)


def _bare(log_ratio: float) -> Estimate:
    return Estimate(log_ratio, 0.0, 0.0, 0.0)


RULES: tuple[tuple[str, Rule, bool], ...] = (
    ("always TQ1_0", _always(1.0), False),
    ("always TQ2_0", _always(-1.0), False),
    ("bytes alone", _roofline, False),
    ("same class", _same_class, False),
    ("the probe pair alone", _probe_alone, True),
    ("ours, no probe", ours, False),
    ("ours, one probe pair", ours, True),
)
