"""Prediction of a ratio of rates where nobody measured it: a roofline, and what each group of devices adds to it.

y = roofline + Σ over levels of (a_level + b_level z) + noise, z = ln(ternary weights / 1e9) / ln 13, with
a_level ~ N(0, s²), b_level ~ N(0, (s / 2)²): a Gaussian process of few parameters, solved in closed form. A group with
little evidence is pulled towards the one it is in (partial pooling); one with none is as uncertain as its spread says.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .hardware import HardwareClass, Place
from .pairs import BYTES_A_WEIGHT, FORMATS, Pair

# Of a_level, for Place.levels: everything, family; and of one engine: all of it, family, kernel path, driver class,
# device, column.
SPREADS = (0.2, 0.3, 0.22, 0.4, 0.3, 0.2, 0.2, 0.15)
SLOPE = 0.5  # of b_level, against a_level's
NOISE = 0.07  # of a figure of weight 1
REFERENCE_WEIGHTS, DECADE = 1e9, math.log(13)  # of z: 0 at a billion, 1 at 13 billion
# Operations a weight of this project's decode kernels: a quad takes 8 (TQ1_0) or 2 (TQ2_0) to unpack and 1 to multiply.
OPERATIONS_A_WEIGHT = {"tq1_0": 9 / 4, "tq2_0": 3 / 4}
SOFTNESS = 4  # of the maximum of two times: (a^4 + b^4)^(1/4)


@dataclass(frozen=True)
class Point:
    """Where a value is, or is asked for."""

    place: Place
    weights: float

    @property
    def z(self) -> float:
        return math.log(self.weights / REFERENCE_WEIGHTS) / DECADE


@dataclass(frozen=True)
class Observation:
    """A value at a point. ``error`` is of the value itself, on top of what its weight makes of NOISE."""

    point: Point
    value: float
    weight: float = 1.0
    error: float = 0.0


def roofline_log_ratio(hardware: HardwareClass) -> float:
    """ln(rate of TQ1_0 / rate of TQ2_0) of a kernel that reads and unpacks each weight once: for each format the
    softened larger one of the times for its bytes and for its operations.
    """
    times = []
    for name in FORMATS:
        moved, worked = BYTES_A_WEIGHT[name], OPERATIONS_A_WEIGHT[name] / hardware.balance
        times.append((moved**SOFTNESS + worked**SOFTNESS) ** (1 / SOFTNESS))
    return math.log(times[1] / times[0])


def ratio_mean(phase: str) -> Callable[[Point], float]:
    """What is expected of a ratio before any evidence: decoding follows the roofline; prefill and training use a weight
    for many tokens once it is unpacked, so that formats hardly matter.
    """
    return lambda point: roofline_log_ratio(point.place.known) if phase == "decode" else 0.0


def ratios(pairs: Iterable[Pair], phase: str) -> list[Observation]:
    """The evidence of one phase. What has no weight, and models of unknown size, is none."""
    return [
        Observation(Point(pair.place, pair.weights), pair.log_ratio, pair.weight, pair.error)
        for pair in pairs
        if pair.phase == phase and pair.weight > 0 and pair.weights
    ]


@dataclass(frozen=True)
class Predictor:
    """``scale`` stretches all spreads, for quantities that vary more than a ratio of two formats."""

    observations: Sequence[Observation]
    mean: Callable[[Point], float]
    scale: float = 1.0

    def at(self, points: Sequence[Point]) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of a value of weight 1 at each point."""
        across = self._covariance(points, [each.point for each in self.observations])
        inverse, solved = self._solved
        slopes = np.array([1 + (SLOPE * point.z) ** 2 for point in points])
        variance = self.scale**2 * (sum(spread**2 for spread in SPREADS) * slopes + NOISE**2)
        prior = np.array([self.mean(point) for point in points])
        return prior + across @ solved, np.sqrt(variance - ((across @ inverse) * across).sum(axis=1))

    @cached_property
    def _solved(self) -> tuple[np.ndarray, np.ndarray]:
        """The inverse of the covariance among the observations, and that times how far each is from its mean."""
        points = [each.point for each in self.observations]
        noise = [(self.scale * NOISE) ** 2 / each.weight + each.error**2 for each in self.observations]
        inverse = np.linalg.inv(self._covariance(points, points) + np.diag(noise))
        return inverse, inverse @ np.array([each.value - self.mean(each.point) for each in self.observations])

    def _covariance(self, rows: Sequence[Point], columns: Sequence[Point]) -> np.ndarray:
        z = np.outer([point.z for point in rows], [point.z for point in columns])
        here, there = _numbered(rows), _numbered(columns)
        shared = np.array([[_shared(one, other) for other in there] for one in here]).reshape(len(here), len(there))
        at = np.ix_([here[point.place] for point in rows], [there[point.place] for point in columns])
        return self.scale**2 * shared[at] * (1 + SLOPE**2 * z)


def _numbered(points: Sequence[Point]) -> dict[Place, int]:
    """A number for each place."""
    return {place: at for at, place in enumerate(dict.fromkeys(point.place for point in points))}


def _shared(one: Place, other: Place) -> float:
    """Variance of what two places have in common."""
    return sum(s**2 for s, a, b in zip(SPREADS, one.levels, other.levels, strict=True) if a == b)
