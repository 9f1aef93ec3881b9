"""Conditions of this machine: what could explain a slow or a lucky sample, read through psutil.

Every entry is absent where the system does not tell; nothing here raises. Temperatures in degrees Celsius, clocks in
MHz, sizes in bytes, load as runnable processes averaged over one minute.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psutil


def read_conditions() -> dict[str, Any]:
    """What the system tells now, by name."""
    readers: dict[str, Callable[[], Any]] = {
        "battery": _battery,
        "temperatures_celsius": _temperatures,
        "load_1min": lambda: psutil.getloadavg()[0],
        "cpu_percent": lambda: psutil.cpu_percent(interval=0.1),
        "cpu_mhz": _clock,
        "cpu_governor": _governor,
        "cpu_count": psutil.cpu_count,
        "available_memory_bytes": lambda: psutil.virtual_memory().available,
        "total_memory_bytes": lambda: psutil.virtual_memory().total,
    }
    values = {}
    for name, reader in readers.items():
        try:
            value = reader()
        except (AttributeError, NotImplementedError, OSError, RuntimeError, ValueError, psutil.Error):
            continue  # psutil lacks the function on this system, or the sensor does not answer
        if value is not None and value != {}:
            values[name] = value
    return values


def _battery() -> dict[str, Any] | None:
    battery = psutil.sensors_battery()
    return None if battery is None else {"percent": battery.percent, "plugged": battery.power_plugged}


def _temperatures() -> dict[str, float]:
    """The hottest reading of each sensor chip."""
    chips = psutil.sensors_temperatures()
    return {chip: max(reading.current for reading in readings) for chip, readings in chips.items() if readings}


def _clock() -> float | None:
    frequency = psutil.cpu_freq()
    return frequency.current if frequency and frequency.current == frequency.current else None


def _governor() -> str:
    with open("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", encoding="ascii") as file:
        return file.read().strip()
