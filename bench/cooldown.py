"""Cool-down: a phone rests before it is measured, until it is about as cool as when it was first seen.

It asks the device how it feels and waits; it must not know what kind of device that is. A device without any
thermometer is asked for its speed instead: a copy kernel is as fast as at first once nothing throttles.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from tritmark.devices.base import Device, DeviceError

from .gauge import copy_ns

TIMEOUT_S = 300.0
POLL_S = 5.0
TOLERANCE_CELSIUS = 2.0
SLOW, FAST = {"battery": 38.0, "skin": 40.0}, {"soc": 55.0, "cpu": 55.0}  # sensor -> cap; FAST where no SLOW one tells
TOLERANCE_SPEED = 0.05
RESTING = "cooling down"

Feeling = Mapping[str, float]  # degrees Celsius by sensor and thermal_status, or probe_ns


@dataclass(kw_only=True)
class Rest:
    """Remembers how each device felt when it was first seen, and waits until it feels so again."""

    timeout_s: float = TIMEOUT_S
    pause_s: float = 0.0  # of a computer, which tells too little to wait for
    probe: Callable[[Device], float] = copy_ns
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    first: dict[str, Feeling] = field(default_factory=dict)  # by device name

    def meet(self, device: Device) -> None:
        """Note how a device feels before anything runs on it; a second call does nothing."""
        if device.needs_rest:
            with suppress(DeviceError):  # whatever comes next on this device meets the same trouble and tells of it
                self._first(device)

    def wait(self, device: Device, tell: Callable[[str], None]) -> dict[str, Any] | None:
        """Wait; what was waited for and whether it was reached. None where there was nothing to wait for."""
        if not device.needs_rest:
            return self._pause(tell)
        report: dict[str, Any] = {"goal": {}, "reached": False, "waited_s": 0.0}
        started = self.clock()
        try:
            report |= {"goal": goal(self._first(device)), "found": self._feeling(device)}
            left, feeling = late(report["goal"], report["found"]), report["found"]
            while left and self.clock() - started < self.timeout_s:
                tell(f"{RESTING}: {left}")
                self.sleep(POLL_S)
                feeling = self._feeling(device)
                left = late(report["goal"], feeling)
            report |= {"left": feeling, "reached": not left, **({"missed": left} if left else {})}
        except DeviceError as error:  # the case itself will meet the same trouble and become a failed record
            report["missed"] = str(error)
        return {**report, "waited_s": round(self.clock() - started, 1)}

    def _pause(self, tell: Callable[[str], None]) -> dict[str, Any] | None:
        if not self.pause_s:
            return None
        tell(f"{RESTING}: {self.pause_s:g} s")
        self.sleep(self.pause_s)
        return {"waited_s": self.pause_s}

    def _first(self, device: Device) -> Feeling:
        if device.name not in self.first:
            self.first[device.name] = self._feeling(device)
        return self.first[device.name]

    def _feeling(self, device: Device) -> Feeling:
        known = self.first.get(device.name)
        feeling = None if known and "probe_ns" in known else temperatures(device.conditions())
        return feeling or {"probe_ns": self.probe(device)}


def temperatures(conditions: Mapping[str, Any]) -> dict[str, float]:
    """The readings that tell how hot a phone is; empty where it has no thermometer that tells."""
    sensors: Mapping[str, float] = conditions.get("temperatures_celsius", {})
    chosen = next(([name for name in kind if name in sensors] for kind in (SLOW, FAST) if {*kind} & {*sensors}), [])
    status = conditions.get("thermal_status")
    return {name: sensors[name] for name in chosen} | ({} if status is None else {"thermal_status": status})


def goal(first: Feeling) -> dict[str, float]:
    """The most that each reading may be: near the first one and below its cap. Android's thermal status 0 is "none"."""
    caps = {**SLOW, **FAST}
    goals = {name: min(value + TOLERANCE_CELSIUS, caps[name]) for name, value in first.items() if name in caps}
    if "probe_ns" in first:
        goals["probe_ns"] = first["probe_ns"] * (1 + TOLERANCE_SPEED)
    return {**goals, **({"thermal_status": 0} if "thermal_status" in first else {})}


def late(goals: Mapping[str, float], feeling: Feeling) -> str:
    """What is still above its goal, in words; empty where nothing is. A reading that is gone cannot be reached."""
    words = []
    for name, most in goals.items():
        if name not in feeling:
            words.append(f"{name} is not told any more")
        elif feeling[name] > most:
            words.append(f"{name} {_shown(name, feeling[name])}, wanted {_shown(name, most)}")
    return ", ".join(words)


def _shown(name: str, value: float) -> str:
    if name == "probe_ns":
        return f"{value / 1e6:.2f} ms"
    return f"{value:.0f}" if name == "thermal_status" else f"{value:.1f} C"
