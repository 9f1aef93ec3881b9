"""Signs: what Android's commands tell about the state of a phone and its browser. Pure text -> values.

As in readings.py, what is absent or unintelligible is None or left out, and nothing raises.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

LOCKED = re.compile(r"\b(?:mDreamingLockscreen|isKeyguardShowing|mShowingLockscreen|mKeyguardShowing)=(true|false)")
EXIT = re.compile(
    r"timestamp=(?P<time>[\d-]+ [\d:.]+) pid=(?P<pid>\d{1,9}).*?"
    r"process=(?P<process>\S+) reason=(?P<code>\d{1,4}) \((?P<reason>[^\n]*?)\)(?= subreason|\s*$)"
    r"(?:.*?description=(?P<description>[^\n]*?)(?= state=|\s*$))?",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True)
class Listed:
    """A line of the adb server's list: a phone and how it stands."""

    serial: str
    state: str
    port: str | None  # of the computer, as in "1-4.3"; None over the network
    model: str | None


def listed(text: str) -> Iterator[Listed]:
    """`adb devices -l`, without its heading. States may have spaces: ``no permissions (reason); see [address]``."""
    for line in text.splitlines():
        serial, _, rest = line.strip().partition(" ") if " " in line.strip() else line.strip().partition("\t")
        if not rest.strip() or line.startswith(("List of devices", "*")):
            continue
        tags = dict(re.findall(r"\b(usb|model):(\S+)", rest))
        state = "no permissions" if rest.strip().startswith("no permissions") else rest.split()[0]
        yield Listed(serial, state, tags.get("usb"), tags.get("model", "").replace("_", " ") or None)


def awake(power: str) -> bool | None:
    """`dumpsys power`: whether the screen is on."""
    match = re.search(r"\bmWakefulness=(\w+)", power)
    return None if match is None else match[1] == "Awake"


def locked(window: str) -> bool | None:
    """`dumpsys window`: whether the lock screen is showing."""
    flags = LOCKED.findall(window)
    return "true" in flags if flags else None


def in_front(activities: str) -> str | None:
    """`dumpsys activity activities`: ``package/activity`` that the person sees."""
    pattern = r"(?:topResumedActivity|mResumedActivity|mFocusedApp|ResumedActivity)\b[=:][^\n]*?\s([\w.]+/[\w.$]+)"
    match = re.search(pattern, activities)
    return match[1] if match else None


@dataclass(frozen=True)
class Exit:
    """How a process ended. ``time`` is the phone's own, ``YYYY-MM-DD HH:MM:SS.mmm``, and sorts as text."""

    time: str
    process: str
    code: int  # ApplicationExitInfo.REASON_*: 2 signal, 3 low memory, 4 crash, 5 native crash, 6 ANR, 10 by a person
    reason: str
    description: str


def exits(text: str) -> list[Exit]:
    """`dumpsys activity exit-info PACKAGE` (Android 11 and newer), the latest first."""
    records = re.split(r"ApplicationExitInfo #\d+:", text)[1:]
    found = [match for match in map(EXIT.search, records) if match]
    exits_ = [
        Exit(each["time"], each["process"], int(each["code"]), each["reason"], _told(each["description"]))
        for each in found
    ]
    return sorted(exits_, key=lambda each: each.time, reverse=True)


def _told(description: str | None) -> str:
    """A description, empty where Android prints that there is none."""
    words = (description or "").strip()
    return "" if words == "null" else words


def version_name(package: str) -> str | None:
    """`dumpsys package P`: the version in use; one that an update hides stands further down."""
    match = re.search(r"\bversionName=(\S+)", package)
    return match[1] if match else None


def installed(text: str) -> dict[str, int | None]:
    """`pm list packages -U`: packages and their user ids."""
    rows = re.findall(r"^package:(\S+)(?: uid:(\d{1,10}))?", text, re.MULTILINE)
    return {package: int(uid) if uid else None for package, uid in rows}


def major(version: str | None) -> int | None:
    """``121`` of ``121.0.6167.101`` or of ``Android 12``'s ``12``."""
    match = re.match(r"\d{1,6}", version or "")
    return int(match[0]) if match else None
