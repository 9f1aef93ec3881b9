"""Telemetry: how a phone feels while a case runs, read over adb by a thread at intervals that do not disturb it.

All commands that are due go to the phone as one. Every value is optional; the first source that tells a value keeps it
for the whole session, and its command is noted as the value's method.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..base import DeviceError
from ..watcher import Watcher
from . import readings
from .adb import Adb, PhoneGoneError
from .apps import App

INTERVAL_S = 1.0
SLOW_LOOKS = 5  # costly values: every fifth time
MARK = "=tritmark="
KGSL = "/sys/class/kgsl/kgsl-3d0"
GPU_LOADS = (
    f"{KGSL}/gpu_busy_percentage",
    "/sys/kernel/gpu/gpu_busy",
    "/sys/class/misc/mali0/device/utilization",
    "/sys/module/ged/parameters/gpu_loading",
)
GPU_CLOCKS = (
    f"{KGSL}/gpuclk",
    "/sys/kernel/gpu/gpu_clock",
    "/sys/class/misc/mali0/device/cur_freq",
    "/sys/class/misc/mali0/device/devfreq/*/cur_freq",
)
CPU_CLOCKS = "/sys/devices/system/cpu/cpufreq/policy*/scaling_cur_freq"


@dataclass(frozen=True)
class Source:
    """A command and what its output tells: ``read(output)`` -> values by name."""

    command: str
    read: Callable[[str], Mapping[str, Any]]
    slow: bool = False


class PhoneWatcher(Watcher):
    """Watches a phone and the browser that plays on it."""

    def __init__(self, adb: Adb, app: App, interval_s: float = INTERVAL_S) -> None:
        self._adb, self._browsing, self._looks = adb, Browsing(app), 0
        self._sources = [*sources(), *self._browsing.sources()]
        self._known: dict[str, str] = {}  # the command that each value comes from
        self._gone: str | None = None
        super().__init__(interval_s)

    def gone(self) -> str | None:
        """A line where the phone or the browser is certainly gone; known from the last sample, so it costs nothing."""
        return self._gone or self._browsing.gone

    def look(self) -> tuple[Mapping[str, Any], Mapping[str, str]]:
        due = [source for source in self._sources if self._looks % SLOW_LOOKS == 0 or not source.slow]
        self._looks += 1
        try:
            return sample(self._adb, due, self._known), self._known
        except DeviceError as error:
            self._gone = str(error) if isinstance(error, PhoneGoneError) else None
            return {}, {"gaps": str(error)}


def sample(adb: Adb, due: list[Source], methods: dict[str, str]) -> dict[str, Any]:
    """Values of these sources now. ``methods`` tells which command each value comes from, and learns new ones."""
    script = "; ".join(f"echo {MARK}{at}; {source.command} 2>/dev/null" for at, source in enumerate(due))
    values: dict[str, Any] = {}
    for at, text in readings.sections(adb.text(script), MARK):
        source = due[int(at)]
        for name, value in source.read(text).items():
            if methods.setdefault(name, source.command) == source.command:
                values[name] = value
    return values


def sources() -> list[Source]:
    """What tells of a phone alone; of one value's sources the best comes first."""
    return [
        Source("dumpsys battery", readings.battery),
        Source("cat /sys/class/power_supply/battery/current_now", _named("battery_microamperes", _integer)),
        Source("dumpsys thermalservice", readings.thermal),
        Source("cat /proc/meminfo", readings.system_memory),
        Source(f"cat {CPU_CLOCKS}", _named("cpu_mhz", readings.clock_mhz)),
        *(Source(f"cat {path}", _named("gpu_mhz", readings.clock_mhz)) for path in GPU_CLOCKS),
        Source(f"cat {KGSL}/gpubusy", _named("gpu_busy_percent", readings.busy_share)),
        *(Source(f"cat {path}", _named("gpu_busy_percent", readings.percent)) for path in GPU_LOADS),
    ]


class Browsing:
    """Sources about a browser, which remember something from one reading to the next."""

    def __init__(self, app: App) -> None:
        self.gone: str | None = None
        self._app = app
        self._pids: tuple[int, ...] = ()
        self._seen = False  # the browser was running in an earlier reading
        self._work: tuple[int, int] | None = None  # (now, GPU time) of the last reading, ns

    def sources(self) -> list[Source]:
        return [
            Source("ps -A -o PID,RSS,NAME", self._resident),
            Source(f"dumpsys meminfo --package {self._app.package}", readings.process_memory, slow=True),
            Source("dumpsys gpu --gpumem", lambda text: readings.gpu_memory(text, self._pids), slow=True),
            Source("dumpsys gpu --gpuwork", self._busy),
        ]

    def _resident(self, text: str) -> Mapping[str, Any]:
        """Resident bytes of all processes together; pages that they share count more than once."""
        found = readings.processes(text, self._app.package)
        running = any(name == self._app.package for name, _ in found.values())
        if self._seen and not running and "PID" in text:
            self.gone = f"{self._app.package} has ended on the phone"
        self._pids, self._seen = tuple(found), self._seen or running
        return {"rss_bytes": sum(size for _, size in found.values())} if found else {}

    def _busy(self, text: str) -> Mapping[str, Any]:
        """The share of time since the last reading that the GPU worked for the browser."""
        work = None if self._app.uid is None else readings.gpu_work(text, self._app.uid)
        now, before = time.monotonic_ns(), self._work
        self._work = None if work is None else (now, work)
        if before is None or work is None or work < before[1]:  # the phone has begun to count anew
            return {}
        return {"gpu_busy_percent": min(100.0, round(100 * (work - before[1]) / max(now - before[0], 1), 1))}


def _named(name: str, read: Callable[[str], Any]) -> Callable[[str], Mapping[str, Any]]:
    def values(text: str) -> Mapping[str, Any]:
        value = read(text)
        return {} if value is None else {name: value}

    return values


def _integer(text: str) -> int | None:
    return int(text) if text.strip().lstrip("-").isdecimal() and len(text) < 20 else None
