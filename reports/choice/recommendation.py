"""What a recommendation says: the options with their rates, what each costs, and which one to ship."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

OPTIONS = ("tq1_0", "tq2_0", "tq1_0>tq2_0")  # keep TQ1_0; keep TQ2_0; ship TQ1_0 and repack it to TQ2_0 at load
PHASES = ("prefill", "decode", "train")
BASES = ("measured", "probe", "predicted")  # from the best to the weakest


@dataclass(frozen=True, kw_only=True)
class Rate:
    """Tokens per second of one phase, with the 80 % interval and the records that it stands on."""

    tps: float
    low_tps: float
    high_tps: float
    grade: str  # of results.record.GRADES
    record_ids: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Option:
    """One of OPTIONS for a device, a model and a mix of phases."""

    name: str
    feasible: bool
    reason: str | None = None  # why it is not feasible
    download_bytes: int | None = None
    peak_bytes: int | None = None  # GPU buffers, at their peak over the phases
    rates: Mapping[str, Rate]  # by phase
    seconds: float | None = None  # for the mix once
    regret: float | None = None  # expected share of time lost against the best option, 0.03 for 3 %
    p_best: float | None = None


@dataclass(frozen=True, kw_only=True)
class Recommendation:
    """``chosen`` is None where nothing is feasible or nothing is known; ``sentence`` says why in one line."""

    device: str
    model: str
    mix: Mapping[str, float]  # tokens of each phase, of PHASES
    options: tuple[Option, ...]
    chosen: str | None
    tie: bool  # the best two are within 3 %
    basis: str  # of BASES
    sentence: str
    switch_points: tuple[str, ...] = ()  # "TQ1_0 becomes right above 9.4B or below 2.1 GiB"
    record_ids: tuple[str, ...] = ()  # the evidence
    next_measurement: str | None = None  # the command that would help most, None where nothing would change

    def to_json(self) -> dict[str, Any]:
        return asdict(self)
