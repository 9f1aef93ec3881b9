"""What could keep this machine from measuring, or spoil the numbers, and what to do about it.

Each check reads one thing and returns one Finding; nothing here raises, prints or changes the machine. ``fail`` means
that nothing can be measured, ``warn`` that numbers will be slower, noisier or fewer than this hardware allows.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import platform
import shutil
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import platformdirs
import psutil

from tritmark.devices.base import Device, DeviceError
from tritmark.devices.host import Host
from tritmark.devices.registry import provider

GIB = 1 << 30
LEAST_MEMORY_BYTES = 2 * GIB
LEAST_DISK_BYTES = 5 * GIB
MOST_CPU_PERCENT = 15.0  # of all cores; above it neighbours, not formats, decide a comparison
LOAD_WINDOW_S = 0.5
VENDORS = {"0x10de": "NVIDIA", "0x1002": "AMD", "0x8086": "Intel"}
MESA = (
    "Debian/Ubuntu: sudo apt-get install mesa-vulkan-drivers libvulkan1;"
    " Fedora: sudo dnf install mesa-vulkan-drivers vulkan-loader"
)
DRIVERS = {
    "NVIDIA": "install NVIDIA's driver with its Vulkan part"
    " (Debian: sudo apt-get install nvidia-driver; Ubuntu: sudo ubuntu-drivers install);"
    " in a container also set NVIDIA_DRIVER_CAPABILITIES=all",
    "AMD": f"install Mesa's RADV driver ({MESA})",
    "Intel": f"install Mesa's ANV driver ({MESA})",
}
PHONE_MODULES = {"android": "adbutils", "ios": "pymobiledevice3"}
HUB_MODULES = ("huggingface_hub", "safetensors", "sentencepiece")


@dataclass(frozen=True)
class Finding:
    """The outcome of one check; ``remedy`` says what to type or do where there is something to mend."""

    name: str
    status: Literal["ok", "warn", "fail"]
    detail: str
    remedy: str | None = None


def examine(device: Device | None = None) -> list[Finding]:
    """All checks of this machine, the ones that stop everything first. ``device`` defaults to the host."""
    device = device or Host(timeout_s=60.0)
    conditions = device.conditions()
    return [
        python(sys.version_info[:3]),
        vulkan_loader(),
        render_nodes(),
        adapters(device, graphics_vendors()),
        memory(conditions),
        disk(Path.cwd()),
        cache(Path(platformdirs.user_cache_dir("tritmark"))),
        power(conditions),
        clock(conditions, _read(Path("/sys/firmware/acpi/platform_profile"))),
        load(*busiest(LOAD_WINDOW_S)),
        hub(),
        phones(),
    ]


def python(version: Sequence[int]) -> Finding:
    text = ".".join(map(str, version))
    if tuple(version) < (3, 11):
        return Finding("python", "fail", f"Python {text}", "use Python 3.11 or newer")
    return Finding("python", "ok", f"Python {text}")


def vulkan_loader(system: str = platform.system()) -> Finding:
    """Whether the library that finds Vulkan drivers is there; macOS (Metal) and Windows (DX12) do without."""
    if system != "Linux":
        return Finding("vulkan loader", "ok", f"not needed on {system}")
    try:
        ctypes.CDLL("libvulkan.so.1")
    except OSError:
        return Finding("vulkan loader", "fail", "libvulkan.so.1 does not load", MESA)
    return Finding("vulkan loader", "ok", "libvulkan.so.1")


def render_nodes(folder: Path = Path("/dev/dri")) -> Finding:
    """Linux gives GPUs to programs as /dev/dri/renderD*; one that may not be opened looks like no GPU at all."""
    nodes = sorted(folder.glob("renderD*"))
    closed = [str(node) for node in nodes if not os.access(node, os.R_OK | os.W_OK)]
    if closed:
        remedy = "sudo usermod -aG render,video $USER, then log in again"
        return Finding("gpu access", "warn", f"no permission to open {', '.join(closed)}", remedy)
    return Finding("gpu access", "ok", ", ".join(map(str, nodes)) or "no render nodes to check")


def graphics_vendors(folder: Path = Path("/sys/bus/pci/devices")) -> list[str]:
    """Vendors of the display and 3-D controllers (PCI class 0x03) on the bus, known ones only."""
    controllers = [path.parent for path in folder.glob("*/class") if _read(path).startswith("0x03")]
    return sorted({VENDORS[v] for v in (_read(path / "vendor") for path in controllers) if v in VENDORS})


def adapters(device: Device, vendors: Iterable[str]) -> Finding:
    """What a player can compute on. A software GPU works, yet its numbers say nothing about GPU hardware."""
    remedy = "; ".join(DRIVERS[vendor] for vendor in vendors)
    try:
        found = device.adapters()
    except DeviceError as error:
        return Finding("gpu adapters", "fail", str(error), remedy or MESA)
    if not found:
        return Finding("gpu adapters", "fail", "none", remedy or MESA)
    detail = "; ".join(f"{a['adapter']} ({a['backend']}, {a['kind']}, {a['driver']})" for a in found)
    if any(a["kind"] != "cpu" for a in found):
        return Finding("gpu adapters", "ok", detail)
    if remedy:
        missed = f"software only, although there is hardware of {' and '.join(vendors)}: {detail}"
        return Finding("gpu adapters", "warn", missed, remedy)
    remedy = "no graphics hardware found here; numbers from the CPU compare formats on this CPU alone"
    return Finding("gpu adapters", "warn", f"software only: {detail}", remedy)


def memory(conditions: Mapping[str, Any]) -> Finding:
    free, total = conditions.get("available_memory_bytes"), conditions.get("total_memory_bytes")
    if free is None or total is None:
        return Finding("memory", "warn", "the system does not tell")
    detail = f"{free / GIB:.1f} of {total / GIB:.1f} GiB free"
    if free < LEAST_MEMORY_BYTES:
        return Finding("memory", "warn", detail, "close programs, or measure small models only")
    return Finding("memory", "ok", detail)


def disk(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    detail = f"{free / GIB:.1f} GiB free at {folder}"
    if free < LEAST_DISK_BYTES:
        return Finding("disk", "warn", detail, "free space before converting or downloading")
    return Finding("disk", "ok", detail)


def cache(folder: Path) -> Finding:
    """Whether ``folder`` can be written, or made where it does not exist yet."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if there.is_dir() and os.access(there, os.W_OK | os.X_OK):
        return Finding("cache folder", "ok", str(folder))
    remedy = "make it writable, or set XDG_CACHE_HOME to a folder that is"
    return Finding("cache folder", "fail", f"{folder}: {there} is not writable", remedy)


def power(conditions: Mapping[str, Any]) -> Finding:
    battery = conditions.get("battery")
    if battery is None:
        return Finding("power", "ok", "no battery")
    source = {True: "plugged in", False: "discharging", None: "source unknown"}[battery["plugged"]]
    detail = f"battery at {battery['percent']:.0f} %, {source}"
    if battery["plugged"] is False:
        return Finding("power", "warn", detail, "plug in: on battery the clocks are lower")
    return Finding("power", "ok", detail)


def clock(conditions: Mapping[str, Any], profile: str) -> Finding:
    """The CPU governor and the firmware's power profile; either may hold the clocks down."""
    governor = conditions.get("cpu_governor")
    detail = f"governor {governor or 'unknown'}, profile {profile or 'unknown'}"
    if profile == "low-power":
        return Finding("clocks", "warn", detail, "powerprofilesctl set performance")
    if governor == "powersave":
        return Finding("clocks", "warn", detail, "sudo cpupower frequency-set -g performance")
    return Finding("clocks", "ok", detail)


def busiest(window_s: float) -> tuple[float, list[str]]:
    """CPU use of everything but this process over ``window_s``, in percent of all cores, and its causes."""
    before = {p.pid: _seconds(p.info["cpu_times"]) for p in psutil.process_iter(["cpu_times"])}
    time.sleep(window_s)
    used: defaultdict[str, float] = defaultdict(float)  # CPU seconds by name
    for process in psutil.process_iter(["cpu_times", "name"]):
        if process.pid in before and process.pid != os.getpid():
            used[process.info["name"]] += _seconds(process.info["cpu_times"]) - before[process.pid]
    names = sorted((name for name, seconds in used.items() if seconds > 0.1 * window_s), key=lambda name: -used[name])
    return 100 * sum(used.values()) / window_s / (os.cpu_count() or 1), names[:3]


def load(percent: float, names: Sequence[str]) -> Finding:
    detail = f"{percent:.0f} % of the CPU in use{': ' if names else ''}{', '.join(names)}"
    if percent > MOST_CPU_PERCENT:
        return Finding("background load", "warn", detail, "end these programs, or wait")
    return Finding("background load", "ok", detail)


def hub(modules: Sequence[str] = HUB_MODULES) -> Finding:
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        detail = f"without {', '.join(missing)}: no downloads, no conversion of checkpoints"
        return Finding("extra hub", "warn", detail, "pip install 'tritmark[hub]'")
    return Finding("extra hub", "ok", "installed")


def phones() -> Finding:
    """Whether the phones that are plugged in are ready, as far as the packages that speak to them are installed."""
    installed = [kind for kind, module in PHONE_MODULES.items() if importlib.util.find_spec(module)]
    if not installed:
        return Finding("phones", "ok", "extras android and ios not installed; phones are not looked for")
    seen = [sighting for kind in installed for sighting in provider(kind).sightings()]
    detail = ", ".join(f"{sighting.device} ({sighting.state})" for sighting in seen) or "none connected"
    remedies = dict.fromkeys(sighting.remedy for sighting in seen if sighting.remedy)
    return Finding("phones", "warn" if remedies else "ok", detail, "; ".join(remedies) or None)


def _seconds(times: Any) -> float:
    """CPU seconds of a process so far; 0 where the system hides them."""
    return 0.0 if times is None else float(times.user + times.system)


def _read(path: Path) -> str:
    """A small system file's text, or nothing where it cannot be read."""
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""
