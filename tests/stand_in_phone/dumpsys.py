"""Dumpsys: what Android's services tell about themselves, in the words of the phone's version."""

from __future__ import annotations

import time
from collections.abc import Callable

from .control import Answer
from .system import PACKAGE, REASONS, UID, Exit, System

NO_PROCESS = "No process found for: {name}\n"


def dumpsys(system: System, words: list[str]) -> Answer:
    """``dumpsys SERVICE [ARGUMENT...]``."""
    system.notice()
    service, rest = (words or ["-l"])[0], words[1:]
    if service == "-l":
        return Answer("Currently running services:\n" + "".join(f"  {name}\n" for name in sorted(SERVICES)))
    if service not in SERVICES:
        return Answer(stderr=f"Can't find service: {service}")
    return Answer(SERVICES[service](system, rest))


def battery(system: System, words: list[str]) -> str:
    now = system.condition
    values = {
        "usb": str(now.charging).lower(),
        "status": 2 if now.charging else 3,
        "level": now.battery_percent,
        "tenths": round(now.battery_celsius * 10),
        "charge": now.battery_percent * 45_000,
        "millivolts": 3600 + now.battery_percent * 7,
    }
    return system.texts.render("battery", values)


def thermalservice(system: System, words: list[str]) -> str:
    now = system.condition
    skin_status = max(0, now.thermal_status)
    values = {
        "status": now.thermal_status,
        "skin_status": skin_status,
        "cpu": f"{now.cpu_celsius:.1f}",
        "cooler": f"{now.cpu_celsius - 4.5:.1f}",
        "gpu": f"{now.cpu_celsius - 2.2:.1f}",
        "battery": f"{now.battery_celsius:.1f}",
        "skin": f"{now.skin_celsius:.2f}",
    }
    text = system.texts.render("thermalservice", values)
    return text if now.thermal_hal else text.partition("HAL Ready: true")[0] + "HAL Ready: false\n"


def meminfo(system: System, words: list[str]) -> str:
    name = words[-1] if words else ""
    whole = "--package" in words or name == PACKAGE
    shown = [each for each in system.processes() if (whole and name == PACKAGE) or str(each.pid) == name]
    if "--package" not in words and name == PACKAGE:
        shown = shown[:1]
    if not shown:
        return NO_PROCESS.format(name=name)
    up_ms = int(time.monotonic() * 1000)
    text = f"Applications Memory Usage (in Kilobytes):\nUptime: {up_ms} Realtime: {up_ms + 4_820_000}\n"
    for process in shown:
        pss_kib = process.rss_kib * 5 // 8  # the true one takes long to find out
        values = {"pid": process.pid, "name": process.name, "rss": process.rss_kib, "pss": pss_kib}
        text += "\n" + system.texts.render("meminfo", values)
    return text


def gpu(system: System, words: list[str]) -> str:
    """Each part has a switch; without one all parts are told."""
    parts = {"--gpudriverinfo": _driver, "--gpumem": _gpu_memory, "--gpuwork": _gpu_work}
    if system.android == "12":
        del parts["--gpuwork"]  # not known yet, so it counts as no switch
    chosen = [part for switch, part in parts.items() if switch in words] or list(parts.values())
    return "\n".join(part(system) for part in chosen)


def _driver(system: System) -> str:
    return system.texts.render("gpu", {})


def _gpu_memory(system: System) -> str:
    held, more = system.condition.gpu_memory_bytes, ", imported: 6291456" if system.android == "16" else ""
    pids = [each.pid for each in system.processes() if each.kind == "gpu" and held]
    rows = "".join(f"Proc {pid} total: {held}{more}\n" for pid in pids)
    values = {"rows": rows, "total": "N/A" if held is None else 391_626_752 + held}
    return system.texts.render("gpumem", values)


def _gpu_work(system: System) -> str:
    running_ns = (time.monotonic() - system.started_s) * 1e9 if system.browser.port is not None else 0
    errors, busy = system.condition.gpu_work_errors, system.condition.gpu_busy
    row = f"0 {UID} {int(running_ns * busy)} {int(running_ns * (1 - busy))}\n" if running_ns else ""
    return system.texts.render("gpuwork", {"row": f"[errors:{errors}]" * bool(errors and row) + row})


def power(system: System, words: list[str]) -> str:
    now = system.condition
    values = {
        "wakefulness": "Awake" if now.awake else "Asleep",
        "display": str(now.awake).lower(),
        "state": "ON" if now.awake else "OFF",
        "powered": str(now.charging).lower(),
        "level": now.battery_percent,
        "stay_on": system.settings.get("global/stay_on_while_plugged_in", "0"),
    }
    return system.texts.render("power", values)


def window(system: System, words: list[str]) -> str:
    now = system.condition
    focus = "NotificationShade" if now.locked else system.front
    values = {
        "locked": str(now.locked).lower(),
        "secure": str(now.lock_secret).lower(),
        "awake": str(now.awake).lower(),
        "focus": focus,
        "front": _shortened(system.front),
    }
    return system.texts.render("window", values)


def trust(system: System, words: list[str]) -> str:
    locked = int(system.condition.locked and system.condition.lock_secret)
    return system.texts.render("trust", {"locked": locked})


def activity(system: System, words: list[str]) -> str:
    if words[:1] == ["exit-info"]:
        return _exit_info(system, words[1:])
    locked, front = system.condition.locked, f"ActivityRecord{{7f2a61c u0 {_shortened(system.front)} t112}}"
    values = {"front": front, "resumed": "null" if locked else front, "locked": str(locked).lower()}
    return system.texts.render("activities", {**values, "package": system.front.partition("/")[0]})


def _exit_info(system: System, words: list[str]) -> str:
    text = "ACTIVITY MANAGER PROCESS EXIT INFO (dumpsys activity exit-info)\n"
    text += "Last Timestamp of Persistence Into Persistent Storage: 2025-10-02 07:11:04.181\n"
    if words and words[0] != PACKAGE:
        return text
    text += f"  package: {PACKAGE}\n    Historical Process Exit for uid={UID}\n"
    return text + "".join(_exit(at, each) for at, each in enumerate(system.exits[:16]))


def _exit(at: int, ended: Exit) -> str:
    time_ = ended.time.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    reason = f"{REASONS[ended.reason]} ({ended.reason}) subreason={ended.subreason}"
    uid = 90000 + at if "sandboxed" in ended.process else UID
    return (
        f"        ApplicationExitInfo #{at}:\n"
        f"          timestamp={time_} pid={ended.pid} realUid={uid} packageUid={UID} definingUid={UID} user=0\n"
        f"          process={ended.process} reason={reason} status={ended.status}\n"
        f"          importance=100 pss=0.00 rss=271MB description={ended.description} state=empty trace=null\n"
    )


def package(system: System, words: list[str]) -> str:
    if words[-1:] != [PACKAGE] or system.condition.chrome is None:
        return f"Unable to find package: {' '.join(words[-1:])}\n"
    return system.texts.render("package", {"version": system.condition.chrome, "uid": UID})


def _shortened(component: str) -> str:
    """``a.b/a.b.C`` as ``a.b/.C``."""
    name, _, class_ = component.partition("/")
    return f"{name}/{class_.removeprefix(name)}" if class_.startswith(f"{name}.") else component


SERVICES: dict[str, Callable[[System, list[str]], str]] = {
    "activity": activity,
    "battery": battery,
    "gpu": gpu,
    "meminfo": meminfo,
    "package": package,
    "power": power,
    "thermalservice": thermalservice,
    "trust": trust,
    "window": window,
}
