"""Commands: Android's own command-line tools, as far as somebody needs them who runs a page on a phone."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from .control import Answer
from .dumpsys import dumpsys
from .system import ACTIVITIES, LAUNCHER, PACKAGE, UID, System

PACKAGES = {"com.android.settings": 1000, "com.android.systemui": 10089, "com.android.launcher3": 10101}
SYSTEM_PROCESSES = (  # pid, name, resident KiB
    (1, "init", 8912),
    (812, "surfaceflinger", 54012),
    (1203, "system_server", 341200),
    (1745, "com.android.systemui", 298104),
)
SERVICES = {"package": "pm", "activity": "am", "settings": "settings", "window": "wm"}
REFUSED = """
Exception occurred while executing '{verb}':
java.lang.SecurityException: Permission denial: writing to settings requires:android.permission.WRITE_SECURE_SETTINGS
\tat com.android.providers.settings.SettingsProvider.enforceWritePermission(SettingsProvider.java:2320)
"""
POWERED = {"true": 15, "false": 0, "ac": 1, "usb": 2, "wireless": 4, "dock": 8}


def answer(system: System, words: list[str]) -> Answer:
    """What the command ``words`` prints."""
    with system.lock:
        return COMMANDS[words[0]](system, words[1:])


def am(system: System, words: list[str]) -> Answer:
    verb, rest = (words or [""])[0], words[1:]
    if verb == "start":
        return _start(system, rest)
    if verb == "force-stop" and rest[-1:] == [PACKAGE]:
        system.stop()
    elif verb in ("set-debug-app", "clear-debug-app"):
        return _debug_app(system, rest if verb == "set-debug-app" else ["--persistent", "null"])
    elif verb == "get-current-user":
        return Answer("0\n")
    elif verb not in ("force-stop", "kill"):  # `kill` ends background processes only
        return Answer(stderr=f"Unknown command: {verb}", status=255)
    return Answer()


def _start(system: System, words: list[str]) -> Answer:
    options = dict(pairwise(words))
    component, url = options.get("-n", f"{PACKAGE}/{ACTIVITIES[0]}"), options.get("-d")
    package, _, activity = component.partition("/")
    address = f" dat={url.split('://')[0]}://{url.split('://')[1].split('/')[0]}/..." if url else ""
    action = f"act={options['-a']}" if "-a" in options else ""
    said = f"Starting: Intent {{ {action}{address} cmp={component} }}\n"
    known = package == PACKAGE and system.condition.chrome is not None
    if not known or (package + activity if activity.startswith(".") else activity) not in ACTIVITIES:
        return Answer(said, f"Error type 3 Error: Activity class {{{component}}} does not exist.", 1)
    if not system.open(url or "about:blank"):
        said += "Warning: Activity not started, its current task has been brought to the front\n"
    return Answer(said)


def _debug_app(system: System, words: list[str]) -> Answer:
    if "--persistent" in words:
        if words[-1] == "null":
            system.settings.pop("global/debug_app", None)
            system.settings.pop("global/wait_for_debugger", None)
        else:
            system.settings["global/debug_app"] = words[-1]
            system.settings["global/wait_for_debugger"] = str(int("-w" in words))
    return Answer()


def settings(system: System, words: list[str]) -> Answer:
    verb, namespace, *rest = words
    key = f"{namespace}/{rest[0]}" if rest else ""
    if verb == "get":
        return Answer(system.settings.get(key, "null") + "\n")
    if verb == "list":
        names = sorted(name for name in system.settings if name.startswith(f"{namespace}/"))
        return Answer("".join(f"{name.partition('/')[2]}={system.settings[name]}\n" for name in names))
    if not system.condition.settings_writable:
        return Answer(stderr=" ".join(REFUSED.format(verb=verb).split()), status=255)
    if verb == "put":
        system.settings[key] = rest[1]
        return Answer()
    return Answer(f"Deleted {int(system.settings.pop(key, None) is not None)} rows\n")


def svc(system: System, words: list[str]) -> Answer:
    if words[:2] == ["power", "stayon"]:
        return settings(system, ["put", "global", "stay_on_while_plugged_in", str(POWERED[words[2]])])
    return Answer("Available commands:\n    help     Show information about the subcommands\n    power\n", status=1)


def wm(system: System, words: list[str]) -> Answer:
    if words == ["dismiss-keyguard"]:
        if not system.condition.lock_secret:
            system.change("locked", False)
        return Answer()
    texts = {"size": "Physical size: 1080x2400\n", "density": "Physical density: 420\n"}
    return Answer(texts.get((words or [""])[0], ""))


def input_(system: System, words: list[str]) -> Answer:
    key = words[-1].removeprefix("KEYCODE_")
    if key in ("WAKEUP", "224") or (key in ("POWER", "26") and not system.condition.awake):
        system.change("awake", True)
    elif key in ("SLEEP", "223", "POWER", "26"):
        system.change("locked", True)
        system.change("awake", False)
    elif key in ("HOME", "3"):
        system.change("covered_by", LAUNCHER)
    elif key in ("MENU", "82"):
        wm(system, ["dismiss-keyguard"])
    return Answer()


def pm(system: System, words: list[str]) -> Answer:
    installed = {**PACKAGES, **({PACKAGE: UID} if system.condition.chrome else {})}
    if words[:2] == ["list", "packages"]:
        shown = [name for name in sorted(installed) if all(word.startswith("-") or word in name for word in words[2:])]
        return Answer("".join(f"package:{name}{f' uid:{installed[name]}' * ('-U' in words)}\n" for name in shown))
    if words[:1] == ["path"]:
        there = words[-1] in installed
        return Answer(f"package:/data/app/~~k2Rz==/{words[-1]}-7qPw==/base.apk\n" * there, status=int(not there))
    return Answer(stderr=f"Unknown command: {' '.join(words[:1])}", status=255)


def pidof(system: System, words: list[str]) -> Answer:
    system.notice()
    pids = [str(process.pid) for process in system.processes() if process.name == words[-1]]
    pids += [str(pid) for pid, name, _ in SYSTEM_PROCESSES if name == words[-1]]
    return Answer(" ".join(pids) + "\n" if pids else "", status=int(not pids))


def ps(system: System, words: list[str]) -> Answer:
    """``-A -o COLUMN,...``, with the columns that programs ask for."""
    system.notice()
    columns = next((word for word in words if word.isupper() and not word.startswith("-")), "USER,PID,PPID,RSS,NAME")
    rows = [(pid, name, rss_kib, "root" if pid == 1 else "system") for pid, name, rss_kib in SYSTEM_PROCESSES]
    rows += [(each.pid, each.name, each.rss_kib, f"u0_a{UID - 10000}") for each in system.processes()]
    lines = [_aligned(columns.split(","))]
    for pid, name, rss_kib, user in rows if {"-A", "-e", "-ef"} & set(words) else ():
        cells = {"PID": pid, "PPID": 1, "RSS": rss_kib, "NAME": name, "ARGS": name, "USER": user, "S": "S"}
        lines.append(_aligned([str(cells.get(column, "?")) for column in columns.split(",")]))
    return Answer("\n".join(lines) + "\n")


def _aligned(cells: list[str]) -> str:
    """Columns to the right, the last one to the left, as `ps` has its names."""
    return " ".join([*(f"{cell:>6}" for cell in cells[:-1]), cells[-1]])


def getprop(system: System, words: list[str]) -> Answer:
    found = system.texts.properties()
    if words:
        return Answer(found.get(words[0], "") + "\n")
    return Answer("".join(f"[{name}]: [{value}]\n" for name, value in found.items()))


def cmd(system: System, words: list[str]) -> Answer:
    service, rest = (words or [""])[0], words[1:]
    if service == "thermalservice" and rest[:1] == ["override-status"]:
        system.change("thermal_status", int(rest[1]))
        return Answer()
    if service not in SERVICES:
        return Answer(stderr=f"cmd: Can't find service: {service}", status=20)
    return answer(system, [SERVICES[service], *rest])


def id_(system: System, words: list[str]) -> Answer:
    return Answer("uid=2000(shell) gid=2000(shell) groups=2000(shell),1004(input),3003(inet) context=u:r:shell:s0\n")


COMMANDS: dict[str, Callable[[System, list[str]], Answer]] = {
    "am": am,
    "cmd": cmd,
    "dumpsys": dumpsys,
    "getprop": getprop,
    "id": id_,
    "input": input_,
    "pidof": pidof,
    "pm": pm,
    "ps": ps,
    "settings": settings,
    "svc": svc,
    "wm": wm,
}
