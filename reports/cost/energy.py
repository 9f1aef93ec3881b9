"""Energy: the power that a device drew while a case ran, from its battery's own telemetry, or why that is not known.

Current times voltage, averaged over time while the session ran: loading and pauses are part of it, so that it is rather
below the power of the work alone. A battery on a cable is fed beside being emptied, and tells nothing of what the
device takes; such a run never gives a power.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any

from tritmark.results.record import Record

from .. import stats

LEAST_SAMPLES = 3
FED = ("charging", "plugged")  # what telemetry calls it when a cable is in


@dataclass(frozen=True, kw_only=True)
class Power:
    """Watts: mean over time, and the MAD of the single readings."""

    watts: float
    mad: float
    samples: int


def power(record: Record) -> Power | str:
    """What the device drew, or one clause that says why the record does not tell."""
    told: list[Any] = list((record.telemetry or {}).get("samples", ()))
    if not told:
        return "no battery telemetry was recorded"
    states = [values[name] for _, values in told for name in FED if name in values]
    if any(states):
        return "the device was charging or on a cable"
    if not states:
        return "the record does not say whether the device was charging"
    readings = [(at_ns, watts) for at_ns, values in told if (watts := _watts(values)) is not None]
    if len(readings) < LEAST_SAMPLES or readings[-1][0] <= readings[0][0]:
        return f"battery current and voltage were read {len(readings)} times; {LEAST_SAMPLES} are needed"
    energy = sum((after - before) * (low + high) / 2 for (before, low), (after, high) in pairwise(readings))
    single = [watts for _, watts in readings]
    return Power(watts=energy / (readings[-1][0] - readings[0][0]), mad=stats.mad(single), samples=len(single))


def mean_power(records: tuple[Record, ...]) -> Power | str:
    """Of several sessions: the median, with the larger of the spreads within and between them."""
    found = [power(record) for record in records]
    known = [each for each in found if isinstance(each, Power)]
    if not known:
        return next(each for each in found if isinstance(each, str))
    watts = [each.watts for each in known]
    spread = max(stats.mad(watts), median(each.mad for each in known))
    return Power(watts=median(watts), mad=spread, samples=sum(each.samples for each in known))


def _watts(values: Mapping[str, Any]) -> float | None:
    """Magnitude: makers do not agree on the sign of a current that empties a battery."""
    current = values.get("battery_microamperes")
    microvolts = values.get("battery_microvolts")
    if microvolts is None and values.get("battery_millivolts") is not None:
        microvolts = values["battery_millivolts"] * 1000
    return None if current is None or microvolts is None else abs(current) * microvolts / 1e12
