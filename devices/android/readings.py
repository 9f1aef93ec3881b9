"""Readings: what Android's commands print, as numbers. Pure text -> values; knows no phone and runs nothing.

Formats differ between Android versions and makers, and files may be missing or forbidden. What is absent or makes no
sense is left out of the answer; nothing here raises.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

KIB = 1024
# android.os.Temperature's types; 6 to 8 are voltages, currents and charge levels of the battery and no temperatures
TEMPERATURES = dict(enumerate(("cpu", "gpu", "battery", "skin", "usb_port", "power_amplifier"))) | dict(
    enumerate(("npu", "tpu", "display", "modem", "soc", "wifi", "camera", "flashlight", "speaker", "ambient"), 9)
)
TEMPERATURE = re.compile(r"Temperature\{mValue=([^,}]+), mType=(-?\d{1,9}), mName=([^,}]*)")
GPU_WORK = re.compile(r"^(?:\[errors:(\d+)\])?(\d+) (\d{1,10}) (\d{1,20}) (\d+)$", re.MULTILINE)


def battery(text: str) -> dict[str, Any]:
    """`dumpsys battery`: charge, temperature, voltage, and whether it is being fed."""
    fields = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in text.splitlines())}
    powered = [fields.get(f"{source} powered") for source in ("AC", "USB", "Wireless", "Dock")]
    level, scale = _number(fields.get("level")), _number(fields.get("scale")) or 100
    tenths = _number(fields.get("temperature"))
    millivolts = _number(fields.get("voltage"))
    if millivolts is not None and millivolts > 1e6:  # some makers print microvolts
        millivolts /= 1000
    values = {
        "battery_percent": None if level is None else round(100 * level / scale, 1),
        "battery_celsius": None if tenths is None else tenths / 10,
        "battery_millivolts": millivolts if millivolts and 2000 < millivolts < 15000 else None,
        "battery_microampere_hours": _number(fields.get("Charge counter")),
        "charging": {"2": True, "3": False, "4": False, "5": False}.get(fields.get("status", "")),
        "plugged": "true" in powered if any(powered) else None,
    }
    return _present(values)


def thermal(text: str) -> dict[str, Any]:
    """`dumpsys thermalservice`: ``thermal_status`` (0 none to 6 shutdown) and the hottest sensor of each kind.

    Values that the sensors give now are preferred to the cached ones, which may be hours old.
    """
    status = re.search(r"^Thermal Status: (\d{1,2})", text, re.MULTILINE)
    _, mark, live = text.partition("Current temperatures from HAL:")
    block = live.partition("Current cooling devices")[0] if mark else text
    hottest: dict[str, float] = {}
    for value, kind, name in TEMPERATURE.findall(block) or TEMPERATURE.findall(text):
        celsius, sensor = _number(value), _sensor(int(kind), name)
        if sensor is None or celsius is None or not -30 < celsius < 150 or celsius == 0:  # 0 and -99.9: not connected
            continue
        hottest[sensor] = max(celsius, hottest.get(sensor, celsius))
    values: dict[str, Any] = {f"{sensor}_celsius": celsius for sensor, celsius in hottest.items()}
    return {**values, "thermal_status": int(status[1])} if status else values


def _sensor(kind: int, name: str) -> str | None:
    """Some makers number their types differently but name their sensors after the type."""
    named = name.removeprefix("TYPE_").lower()
    return named if name.startswith("TYPE_") and named in TEMPERATURES.values() else TEMPERATURES.get(kind)


def process_memory(text: str) -> dict[str, Any]:
    """`dumpsys meminfo --package P`: sums over all processes of P, from their App Summary blocks (in KB)."""
    totals = {
        "pss_bytes": r"^\s*TOTAL(?: PSS)?:\s+(\d[\d,]{0,15})",
        "meminfo_rss_bytes": r"TOTAL RSS:\s+(\d[\d,]{0,15})",
        "swap_pss_bytes": r"TOTAL SWAP PSS:\s+(\d[\d,]{0,15})",
    }
    found = {name: re.findall(pattern, text, re.MULTILINE) for name, pattern in totals.items()}
    return {name: KIB * sum(int(kib.replace(",", "")) for kib in all_) for name, all_ in found.items() if all_}


def processes(text: str, package: str) -> dict[int, tuple[str, int]]:
    """`ps -A -o PID,RSS,NAME`: (name, resident bytes) by process id, of the processes of an app."""
    row = re.compile(rf"^\s*(\d{{1,9}})\s+(\d{{1,12}})\s+({re.escape(package)}(?:$|:.*|_zygote.*))", re.MULTILINE)
    return {int(pid): (name.strip(), int(kib) * KIB) for pid, kib, name in row.findall(text)}


def gpu_memory(text: str, pids: Iterable[int]) -> dict[str, Any]:
    """`dumpsys gpu --gpumem`: bytes of GPU memory of these processes, and of everything."""
    held = {int(pid): int(size) for pid, size in re.findall(r"^Proc (\d{1,9}) total: (\d{1,20})", text, re.MULTILINE)}
    ours = [held[pid] for pid in pids if pid in held]
    total = re.search(r"^Global total: (\d{1,20})", text, re.MULTILINE)
    return _present({"gpu_memory_bytes": sum(ours) if ours else None, "gpu_memory_all_bytes": total and int(total[1])})


def gpu_work(text: str, uid: int) -> int | None:
    """`dumpsys gpu --gpuwork`: nanoseconds that GPUs worked for an app; rows that count errors are not believed."""
    rows = [row for row in GPU_WORK.findall(text) if int(row[2]) == uid]
    return None if not rows or any(row[0] for row in rows) else sum(int(row[3]) for row in rows)


def busy_share(text: str) -> float | None:
    """Adreno's `gpubusy`: percent of two counters, ``busy total``; an idle GPU that was switched off prints 0 0."""
    counters = text.split()
    if len(counters) != 2 or not all(re.fullmatch(r"\d{1,18}", counter) for counter in counters):
        return None
    busy, total = map(int, counters)
    return round(100 * busy / total, 1) if total >= busy > 0 else 0.0 if busy == 0 else None


def percent(text: str) -> float | None:
    """A utilisation as drivers print it: ``37``, ``37 %``, ``37@600000000Hz``, ``utilization: 37``."""
    match = re.search(r"(?:^|[:=\s])(\d{1,3}(?:\.\d{1,9})?)\s*(?:%|@|$)", text.strip())
    return float(match[1]) if match and float(match[1]) <= 100 else None


def clock_mhz(text: str) -> float | None:
    """The highest clock of all lines, which may be in Hz, kHz or MHz: real clocks lie between 10 MHz and 10 GHz."""
    clocks = [float(line) for line in text.split() if re.fullmatch(r"\d{1,12}(\.\d{1,9})?", line)]
    scaled = [clock / 1e6 if clock >= 1e7 else clock / 1e3 if clock >= 1e4 else clock for clock in clocks]
    return max((round(clock, 1) for clock in scaled if clock > 0), default=None)


def system_memory(text: str) -> dict[str, Any]:
    """`/proc/meminfo`."""
    found = dict(re.findall(r"^(MemTotal|MemAvailable):\s+(\d{1,15}) kB", text, re.MULTILINE))
    names = {"available_memory_bytes": "MemAvailable", "total_memory_bytes": "MemTotal"}
    return {name: int(found[key]) * KIB for name, key in names.items() if key in found}


def properties(text: str) -> dict[str, str]:
    """`getprop`: what a phone is; only what says something."""
    found = dict(re.findall(r"^\[([^\]]+)\]: \[(.*)\]$", text, re.MULTILINE))
    names = {
        "model": "ro.product.model",
        "manufacturer": "ro.product.manufacturer",
        "soc": "ro.soc.model",
        "soc_manufacturer": "ro.soc.manufacturer",
        "platform": "ro.board.platform",
        "android": "ro.build.version.release",
        "fingerprint": "ro.build.fingerprint",
    }
    return {name: found[key] for name, key in names.items() if found.get(key, "").strip() not in ("", "unknown")}


def _number(text: str | None) -> float | None:
    match = re.fullmatch(r"-?\d{1,15}(\.\d{1,9})?", text or "")
    return None if match is None else float(match[0]) if match[1] else int(match[0])


def _present(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def sections(text: str, mark: str) -> Iterator[tuple[str, str]]:
    """(name, text) of the parts of an output, each of which begins with ``<mark>name`` and the end of that line."""
    for part in text.split(mark)[1:]:
        name, _, body = part.partition("\n")
        yield name.strip(), body
