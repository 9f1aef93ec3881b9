"""Readings: what an iPhone's raw answers mean, under the names and units that records use. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

BATTERY_METHOD = "IORegistry, class IOPMPowerSource"
METHODS = {
    **dict.fromkeys(
        ("battery_percent", "battery_celsius", "battery_microvolts", "battery_microamperes", "charging", "plugged"),
        BATTERY_METHOD,
    ),
    "cpu_load_percent": "Instruments sysmontap, CPU_TotalLoad: sum over all cores",
    "footprint_bytes": "Instruments sysmontap, physFootprint of WebKit's and Safari's processes",
    "gpu_busy_percent": "Instruments graphics, Device Utilization %",
    "gpu_memory_bytes": "Instruments graphics, In use system memory: of the whole phone",
    "energy_cost": "Instruments energy, energy.cost summed over the same processes; Apple's scale, without a unit",
    "energy_gpu_cost": "Instruments energy, energy.gpu.cost summed; Apple's scale, without a unit",
    "energy_cpu_cost": "Instruments energy, energy.cpu.cost summed; Apple's scale, without a unit",
}


def battery(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The phone's power source. It tells 0.01 degrees Celsius, mV and mA (negative: it is being emptied)."""
    scaled = (
        ("battery_percent", "CurrentCapacity", 1),
        ("battery_celsius", "Temperature", 0.01),
        ("battery_microvolts", "Voltage", 1000),
        ("battery_microamperes", "InstantAmperage", 1000),
    )
    values = {name: round(raw[key] * factor, 2) for name, key, factor in scaled if _number(raw.get(key))}
    flags = (("charging", "IsCharging"), ("plugged", "ExternalConnected"))
    return values | {name: bool(raw[key]) for name, key in flags if key in raw}


def instruments(rows: Mapping[str, Any]) -> dict[str, Any]:
    """What the newest rows of Apple's Instruments tell; a row that has another form than expected tells nothing."""
    system, graphics = _mapping(rows.get("system")), _mapping(rows.get("graphics"))
    energy = [_mapping(row) for row in _mapping(rows.get("energy")).values()]
    found = {
        "cpu_load_percent": _first(system.get("CPU_TotalLoad")),
        "footprint_bytes": _total(row.get("physFootprint") for row in rows.get("processes") or ()),
        "gpu_busy_percent": _first(graphics.get("Device Utilization %")),
        "gpu_memory_bytes": _first(graphics.get("In use system memory")),
        "energy_cost": _total(row.get("energy.cost") for row in energy),
        "energy_gpu_cost": _total(row.get("energy.gpu.cost") for row in energy),
        "energy_cpu_cost": _total(row.get("energy.cpu.cost") for row in energy),
    }
    return {name: value for name, value in found.items() if value is not None}


def conditions(info: Mapping[str, Any], raw_battery: Mapping[str, Any]) -> dict[str, Any]:
    """What a phone is and how it feels, under the names that a computer's conditions have where both have them."""
    values, told = info.get("values", {}), battery(raw_battery)
    names = (("model", "ProductType"), ("ios", "ProductVersion"), ("build", "BuildVersion"))
    known: dict[str, Any] = {name: values[key] for name, key in names if key in values}
    if "battery_percent" in told:
        known["battery"] = {"percent": told["battery_percent"], "plugged": told.get("plugged")}
    if "battery_celsius" in told:
        known["temperatures_celsius"] = {"battery": told["battery_celsius"]}
    kept = ("charging", "battery_microvolts", "battery_microamperes")
    known |= {name: told[name] for name in kept if name in told}
    if "CycleCount" in raw_battery:
        known["battery_cycles"] = raw_battery["CycleCount"]
    return known


def described(info: Mapping[str, Any]) -> str:
    """A phone in a few words."""
    values = info.get("values", {})
    ios = f"iOS {values['ProductVersion']}" if "ProductVersion" in values else None
    return ", ".join(filter(None, (values.get("ProductType"), ios)))


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _first(value: Any) -> float | None:
    return value if _number(value) else None


def _total(values: Iterable[Any]) -> float | None:
    numbers = [value for value in values if _number(value)]
    return sum(numbers) if numbers else None
