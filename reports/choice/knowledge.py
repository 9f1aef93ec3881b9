"""Knowledge: how fast both formats are in one phase, and how surely, from whatever evidence there is."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache

from .calibration import NORMAL, Estimate, Stretch, predicted, stretch
from .evaluation import by_column, by_group, probes_of
from .hardware import PUBLISHED, Place
from .pairs import BYTES_A_WEIGHT, FORMATS, Pair
from .prediction import Observation, Point, Predictor, ratio_mean, ratios
from .recommendation import Rate

# Before any evidence: the share of the bandwidth that weights, once a token, come to. Prefill and training use a weight
# for many tokens once it was read, training three times.
REACHED = {"decode": math.log(0.1), "prefill": math.log(1.0), "train": math.log(0.3)}
LEVEL_SCALE = 2.0  # speed itself varies this many times as much as the ratio of two formats
Z_80 = NORMAL.inv_cdf(0.9)


@dataclass(frozen=True, kw_only=True)
class Known:
    """``middle``: the logarithm of the geometric mean of both rates, tok/s; ``ratio``: that of TQ1_0 over TQ2_0."""

    phase: str
    basis: str  # of BASES
    grade: str
    middle: float
    middle_sd: float
    ratio: float
    ratio_sd: float
    record_ids: tuple[str, ...] = ()
    spread_of: str = "none"  # of what was measured: "sessions" or "repetitions"
    supported: bool = True  # whether any evidence is of the same engine and family
    printed: bool = False  # whether the device's own evidence is printed figures alone

    def rate(self, format: str) -> Rate:
        """With its 80 % interval."""
        sign = 0.5 if format == FORMATS[0] else -0.5
        log, half = self.middle + sign * self.ratio, Z_80 * math.hypot(self.middle_sd, self.ratio_sd / 2)
        tps, low, high = (math.exp(value) for value in (log, log - half, log + half))
        return Rate(tps=tps, low_tps=low, high_tps=high, grade=self.grade, record_ids=self.record_ids)


class Evidence:
    """All pairs that count, and what follows from them; answers are kept, for many questions are alike."""

    def __init__(self, pairs: Iterable[Pair]) -> None:
        counting = [pair for pair in pairs if pair.weight > 0]
        gauged: dict[str, list[float]] = {}
        for place in (pair.place for pair in counting):
            if place.bytes_per_s:
                gauged.setdefault(place.body, []).append(place.bytes_per_s)
        self._bandwidths = {body: statistics.median(found) for body, found in gauged.items()}
        self.pairs = [replace(pair, place=self._settled(pair.place)) for pair in counting]
        self.ratio = cache(self._ratio)
        self.level = cache(self._level)
        self._stretch = cache(self._learnt_stretch)

    def _settled(self, place: Place) -> Place:
        """With one bandwidth a device, whichever of its records gauged it."""
        return replace(place, bytes_per_s=self._bandwidths.get(place.body, place.bytes_per_s))

    def direct(self, place: Place, model: str, phase: str, tokens: float) -> Pair | None:
        """The pair that was measured there; of several workloads that with a number of tokens nearest to ``tokens``."""
        here = [pair for pair in self.own(place, phase) if pair.model == model and pair.grade == "measured"]
        return min(here, key=lambda pair: abs(math.log(pair.tokens / tokens)), default=None)

    def own(self, place: Place, phase: str | None = None) -> list[Pair]:
        """Those of the very same column."""
        here = [pair for pair in self.pairs if pair.place.levels[-1] == place.levels[-1]]
        return [pair for pair in here if phase in (None, pair.phase)]

    def known(self, place: Place, model: str, weights: float, phase: str, tokens: float) -> Known:
        """Measured where that was done, else predicted."""
        pair = self.direct(place, model, phase, tokens)
        return _measured(pair) if pair else self._predicted(place, weights, phase)

    def sizes(self, place: Place, phases: Sequence[str], weights: Sequence[float]) -> list[tuple[float, list[Known]]]:
        """What is predicted for models of other sizes, without how surely."""
        points = [Point(self._settled(place), each) for each in weights]
        found: list[list[Known]] = [[] for _ in points]
        for phase in phases:
            ratios, levels = self.ratio(phase).at(points)[0].tolist(), self.level(phase).at(points)[0].tolist()
            for row, point, ratio, level in zip(found, points, ratios, levels, strict=True):
                middle = level - _offset(point)
                row.append(
                    Known(phase=phase, basis="predicted", grade="predicted", middle=middle, middle_sd=0, ratio=ratio,
                          ratio_sd=0)
                )  # fmt: skip
        return list(zip(weights, found, strict=True))

    def _predicted(self, place: Place, weights: float, phase: str) -> Known:
        point, own = Point(self._settled(place), weights), self.own(place, phase)
        ratio = self._estimate("ratio", phase, point, bool(own))
        level = self._estimate("level", phase, point, bool(own))
        alike = [each for each in self.pairs if each.phase == phase and each.place.is_akin(place)]
        return Known(
            phase=phase, basis="probe" if any(pair.grade in ("measured", "predicted") for pair in own) else "predicted",
            grade="predicted", middle=level.mean - _offset(point), middle_sd=level.sd, ratio=ratio.mean,
            ratio_sd=ratio.sd, record_ids=tuple(name for each in own or alike for name in each.record_ids),
            supported=bool(alike), printed=bool(own) and all(pair.place.engine == PUBLISHED for pair in own),
        )  # fmt: skip

    def _estimate(self, what: str, phase: str, point: Point, probed: bool) -> Estimate:
        predictor = self.ratio(phase) if what == "ratio" else self.level(phase)
        seen = any(each.point.place.body == point.place.body for each in predictor.observations)
        how = self._stretch(what, phase, seen, probed)
        return predicted(predictor, [point], how)[0]

    def _learnt_stretch(self, what: str, phase: str, seen: bool, probed: bool) -> Stretch:
        """From groups left out as the one asked about is: whole devices, or columns of a device that others ran on."""
        unit = by_column if seen else by_group
        probes = {_key(pair) for pair in probes_of([p for p in self.pairs if p.phase == phase])} if probed else set()

        def shown(held_out: Sequence[Observation]) -> list[Observation]:
            return [each for each in held_out if (each.point.place.column, each.point.weights) in probes]

        predictor = self.ratio(phase) if what == "ratio" else self.level(phase)
        return stretch(predictor, lambda each: unit(each.point.place), shown)

    def _ratio(self, phase: str) -> Predictor:
        return Predictor(ratios(self.pairs, phase), ratio_mean(phase))

    def _level(self, phase: str) -> Predictor:
        """Of the logarithm of the share of the bandwidth that weights, once a token, would take."""
        found = []
        for pair in self.pairs:
            if pair.phase == phase and pair.weights:
                point = Point(pair.place, pair.weights)
                value = math.log(pair.tps[0] * pair.tps[1]) / 2 + _offset(point)
                found.append(Observation(point, value, pair.weight, pair.error / 2))
        return Predictor(found, lambda point: REACHED[phase], LEVEL_SCALE)


def _measured(pair: Pair) -> Known:
    return Known(
        phase=pair.phase, basis="measured", grade=pair.grade, middle=math.log(pair.tps[0] * pair.tps[1]) / 2,
        middle_sd=pair.error / 2, ratio=math.log(pair.tps[0] / pair.tps[1]), ratio_sd=pair.error,
        record_ids=pair.record_ids, spread_of=pair.spread_of,
    )  # fmt: skip


def _offset(point: Point) -> float:
    """ln(seconds that the bandwidth needs for the weights, of a size between the two formats')."""
    size = point.weights * math.sqrt(BYTES_A_WEIGHT[FORMATS[0]] * BYTES_A_WEIGHT[FORMATS[1]])
    return math.log(size / point.place.bandwidth)


def _key(pair: Pair) -> tuple[str, int | None]:
    return pair.place.column, pair.weights
