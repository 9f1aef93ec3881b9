"""Trouble: why a page on a phone may have stopped answering, found out from outside.

Asked after something went wrong, so it may take a second. Each sign is optional; the first that explains something is
told.
"""

from __future__ import annotations

from .adb import Adb
from .apps import App
from .devtools import pages
from .readings import processes
from .signs import Exit, awake, exits, in_front, locked

LOW_MEMORY = "choose a smaller model or format, and close other apps"
ALONE = "leave the phone alone while it runs"
CRASHED = "it crashed: update the browser and the phone's system, and report this with the model and format"
ENDED = {
    2: f"it was killed, most likely because memory ran out: {LOW_MEMORY}",
    3: f"memory ran out: {LOW_MEMORY}",
    4: CRASHED,
    5: CRASHED,
    6: "it did not answer the system in time: choose a smaller case",
    9: f"it used too much: {LOW_MEMORY}",
}
CLOSED = {10: f"somebody closed it: {ALONE}", 11: f"somebody closed it: {ALONE}"}


def screen_trouble(adb: Adb) -> str | None:
    """What keeps a page from being shown, or None."""
    if awake(adb.text("dumpsys power")) is False:
        return f"the screen of the phone {adb.serial} is off, and pages sleep then: unlock it and leave it on"
    if locked(adb.text("dumpsys window")):
        return f"the phone {adb.serial} is locked: unlock it (its screen is kept on while a case runs)"
    return None


def page_trouble(adb: Adb, app: App, url: str, since: str) -> str | None:
    """Why the page at ``url``, opened at ``since`` by the phone's clock, may be silent; DeviceError: no phone."""
    return _ended(adb, app, since) or screen_trouble(adb) or _covered(adb, app) or _cut_off(adb, app, url)


def _ended(adb: Adb, app: App, since: str) -> str | None:
    """Whether the browser, or the process that computes for the page, has ended."""
    ended = [each for each in exits(adb.text(("dumpsys", "activity", "exit-info", app.package))) if each.time >= since]
    table = adb.text("ps -A -o PID,RSS,NAME")
    if "PID" in table and not any(name == app.package for name, _ in processes(table, app.package).values()):
        reason = _reason([each for each in ended if each.process == app.package])
        return f"{app.package} ended on the phone {adb.serial}: {reason}"
    for kind, what in (("sandboxed_process", "page"), ("privileged_process", "GPU")):
        died = [each for each in ended if kind in each.process and each.code in ENDED]
        if died:
            return f"the {what}'s process of {app.package} ended on the phone {adb.serial}: {_reason(died)}"
    return None


def _reason(ended: list[Exit]) -> str:
    if not ended:
        return f"memory ran out, it crashed, or somebody closed it; {LOW_MEMORY}"
    words = f"{ended[0].reason}; {ended[0].description}" if ended[0].description else ended[0].reason
    return f"{(ENDED | CLOSED).get(ended[0].code, 'the phone tells no more')} ({words[:120]})"


def _covered(adb: Adb, app: App) -> str | None:
    """Whether something else is in front of the page."""
    front = in_front(adb.text("dumpsys activity activities"))
    if front and "firstrun" in front.lower():
        return f"{app.package} on the phone {adb.serial} still shows its welcome screen: go through it once by hand"
    if front and not front.startswith(f"{app.package}/"):
        return f"{front.partition('/')[0]} covers the browser on the phone {adb.serial}: {ALONE}"
    return None


def _cut_off(adb: Adb, app: App, url: str) -> str | None:
    """Whether the page, or its way to this computer, is gone."""
    there = pages(adb, app.package)
    if there is not None and not any(str(page.get("url", "")).startswith(url) for page in there):
        return f"the page was closed in {app.package} on the phone {adb.serial}: {ALONE}"
    if not any(url.startswith(f"http://localhost:{remote.removeprefix('tcp:')}/") for remote in adb.reverses()):
        return (
            f"the way from the phone {adb.serial} to this computer is gone: the cable was out for a moment, or another "
            "adb has replaced the adb server"
        )
    return None
