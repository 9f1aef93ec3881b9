"""The measurement that would help most: by how much it is expected to lower the regret of the choice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .prediction import NOISE
from .regret import DRAWS, SEED, Draws, lost

MEASURED_SD, PROBED_SD = 0.02, 2 * NOISE  # of a log-ratio, after `tritmark run` and after `tritmark probe`
BINS = 20
NEARLY = 0.8  # of the value of hours of measuring, for which half a minute is the better offer
LEAST = 0.001  # a regret lowered by less changes nothing for anybody
WORKLOADS = {"prefill": "prefill:512", "decode": "decode:128", "train": "lora:r8,c128"}
PROBED = {"prefill": "prefill:128", "decode": "decode:32", "train": "lora:r8,c128,s1"}


@dataclass(frozen=True)
class Candidate:
    """``phases`` would be known with an error of ``sd``; ``command`` does it."""

    phases: tuple[str, ...]
    sd: float
    command: str


def candidates(phases: Sequence[str], device: str, model: str, probed: bool) -> list[Candidate]:
    """A run of each phase, and half a minute's probe of all of them where there was none."""
    where = f"--device {device} --model {model}"
    runs = [
        Candidate((phase,), MEASURED_SD, f"tritmark run {where} --workload {WORKLOADS[phase]} --format tq1_0,tq2_0")
        for phase in phases
    ]
    workloads = ",".join(PROBED[phase] for phase in phases)
    probe = Candidate(tuple(phases), PROBED_SD, f"tritmark probe {where} --workload {workloads} --out runs/probe")
    return runs if probed else [probe, *runs]


def best(draws: Draws, feasible: Sequence[str], asked: Sequence[Candidate]) -> tuple[Candidate, float] | None:
    """The candidate with the largest `value` and that value, the cheap probe if it is nearly as good; None where none
    is worth its time.
    """
    if not feasible or min(share.mean() for share in lost(draws, feasible).values()) < LEAST:
        return None  # no measurement is worth more than all that can be lost
    valued = [(candidate, value(draws, feasible, candidate)) for candidate in asked]
    found = max(valued, key=lambda each: each[1] / (NEARLY if each[0].sd == PROBED_SD else 1), default=None)
    return found if found and found[1] >= LEAST else None


def value(draws: Draws, feasible: Sequence[str], candidate: Candidate) -> float:
    """Expected regret of choosing now less that of choosing after the measurement (value of information).

    Draws whose measured log-ratios would look alike, each counting as it moves the mix's time, are put into bins; after
    the measurement one would choose what is best in the bin.
    """
    regrets = np.array(list(lost(draws, feasible).values()))
    normal = np.random.default_rng(SEED + 1).standard_normal((len(candidate.phases), DRAWS))
    looks = np.zeros(DRAWS)
    for phase, row in zip(candidate.phases, normal, strict=True):
        ratio = draws.ratios[phase]
        pull = np.cov(ratio, draws.gain)[0, 1] / max(float(np.var(ratio)), 1e-12)
        looks += pull * (ratio + candidate.sd * row)
    order = np.argsort(looks)
    after = [regrets[:, part].mean(axis=1).min() for part in np.array_split(order, BINS)]
    return float(regrets.mean(axis=1).min() - np.mean(after))


def devices_of(family: str, hardware: str) -> str:
    """What `--device` is called for hardware that was never here."""
    if family == "phone":
        return "android"
    return "ios" if hardware.startswith("phone-apple") else "host"
