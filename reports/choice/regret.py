"""Regret: what an option is expected to cost against the best one, given how surely the rates are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .knowledge import Known
from .pairs import FORMATS
from .recommendation import OPTIONS

DRAWS = 4000
SEED = 20260301
TIE = 0.03
RESIDENT = {"tq1_0": "tq1_0", "tq2_0": "tq2_0", "tq1_0>tq2_0": "tq2_0"}  # the format that runs; its Plan is the same


@dataclass(frozen=True)
class Draws:
    """Imagined truths. ``seconds``: format -> (draws,) time for the mix; ``ratios``: phase -> (draws,) log-ratios.

    Phases vary independently; the middle of both rates stays at its mean, for it moves both formats alike.
    """

    seconds: Mapping[str, np.ndarray]
    ratios: Mapping[str, np.ndarray]

    @property
    def gain(self) -> np.ndarray:
        """Share of the time by which TQ2_0 is faster, (draws,)."""
        return 1 - self.seconds["tq2_0"] / self.seconds["tq1_0"]


def draw(known: Sequence[Known], mix: Mapping[str, float]) -> Draws:
    """The same draws for the same knowledge."""
    normal = np.random.default_rng(SEED).standard_normal((len(known), DRAWS))
    ratios = {each.phase: each.ratio + each.ratio_sd * row for each, row in zip(known, normal, strict=True)}
    seconds = {name: np.zeros(DRAWS) for name in FORMATS}
    for each in known:
        for name, sign in zip(FORMATS, (0.5, -0.5), strict=True):
            seconds[name] += mix[each.phase] * np.exp(-each.middle - sign * ratios[each.phase])
    return Draws(seconds, ratios)


def lost(draws: Draws, feasible: Sequence[str]) -> dict[str, np.ndarray]:
    """Share of an option's time lost against the best feasible one, (draws,) each."""
    times = {name: draws.seconds[RESIDENT[name]] for name in feasible}
    best = np.min(list(times.values()), axis=0)
    return {name: 1 - best / time for name, time in times.items()}


def chances(draws: Draws, feasible: Sequence[str]) -> dict[str, float]:
    """Of being the fastest; options that run the same format share a chance, both have it whole."""
    return {name: float(np.mean(share <= 0)) for name, share in lost(draws, feasible).items()}


def is_tie(draws: Draws) -> bool:
    """Whether the middle of the truths has both formats within 3 %."""
    return bool(abs(np.median(draws.gain)) <= TIE)


def is_memory_bound(known: Sequence[Known], mix: Mapping[str, float]) -> bool:
    """Whether most of the time goes into decoding, which reads every weight for one token."""
    times = {each.phase: mix[each.phase] * float(np.exp(-each.middle)) for each in known}
    return times.get("decode", 0.0) >= sum(times.values()) / 2


def choose(
    regrets: Mapping[str, float], tie: bool, memory_bound: bool, downloads: Mapping[str, int | None]
) -> str | None:
    """Of the feasible options the one with the least regret; of a tie TQ1_0 if memory-bound, else one that runs TQ2_0.
    Among equals the smaller download: TQ1_0 repacked at load runs as fast as TQ2_0 that was shipped.
    """
    names = [name for name in OPTIONS if name in regrets]
    if tie:
        wanted = "tq1_0" if memory_bound else "tq2_0"
        names = [name for name in names if RESIDENT[name] == wanted] or names

    def cost(name: str) -> tuple[float, int, bool]:
        return round(regrets[name], 4), downloads.get(name) or 0, name == "tq2_0"

    return min(names, key=cost, default=None)
