"""Phone: an Android phone as a device: its browser plays Plans, and a folder of its own runs native programs."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from tritmark.engine.plan import Caps

from ..base import DeviceError
from ..session import PlayerSession
from . import readings
from .adb import Adb
from .apps import choose_app, installed_app
from .browser import AndroidBrowser
from .claim import claim
from .files import PhoneShell
from .telemetry import sample, sources


class Phone:
    """One phone, named by its serial number."""

    needs_rest = True
    exclusive = True

    def __init__(self, serial: str, timeout_s: float) -> None:
        self.name = f"android:{serial}"
        self._serial, self._timeout_s = serial, timeout_s
        self._images = tempfile.TemporaryDirectory(prefix="tritmark-images-")

    def adapters(self) -> list[Mapping[str, Any]]:
        with self.session() as session:
            return [asdict(session.caps)]

    def session(self) -> PlayerSession:
        from ..browser.session import BrowserSession

        adb = Adb(self._serial)
        journal = claim(adb).journal
        browser = AndroidBrowser(adb, choose_app(adb), journal)
        return BrowserSession(browser, timeout_s=self._timeout_s, images=self._images.name)

    def shell(self) -> PhoneShell:
        """A folder on the phone for native programs; close it to delete what is there."""
        adb = Adb(self._serial)
        return PhoneShell(adb, claim(adb).journal)

    def conditions(self) -> Mapping[str, Any]:
        """What the phone tells now; ``unreachable`` says why where it tells nothing."""
        try:
            return conditions(Adb(self._serial))
        except DeviceError as error:
            return {"unreachable": str(error)}

    def memory_bytes(self, caps: Caps) -> int | None:
        """Phones share memory between everything: what the system could give away now."""
        try:
            text = Adb(self._serial).text("cat /proc/meminfo")
        except DeviceError:
            return None  # the session that comes next meets the same trouble and tells of it
        return readings.system_memory(text).get("available_memory_bytes")

    def forget(self, model: str) -> None:
        """Nothing: a phone's page gets its weights over the cable each time."""


def conditions(adb: Adb) -> dict[str, Any]:
    """What a phone is and how it feels now, under the names that a computer's conditions have where both have them."""
    values = sample(adb, sources(), {})
    celsius = {name.removesuffix("_celsius"): values.pop(name) for name in list(values) if name.endswith("_celsius")}
    battery = {"percent": values.pop("battery_percent", None), "plugged": values.pop("plugged", None)}
    browser = installed_app(adb)
    return {
        **readings.properties(adb.text("getprop")),
        **values,
        **({"battery": battery} if battery["percent"] is not None else {}),
        **({"temperatures_celsius": celsius} if celsius else {}),
        **({"browser": f"{browser.package} {browser.version}"} if browser else {}),
        "power_saver": adb.text("settings get global low_power").strip() == "1",
    }


def described(adb: Adb) -> str:
    """A phone in a few words: model, system, chip."""
    found = readings.properties(adb.text("getprop"))
    android = f"Android {found['android']}" if "android" in found else None
    return ", ".join(filter(None, (found.get("model"), android, found.get("soc"))))
