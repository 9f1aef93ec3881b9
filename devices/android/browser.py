"""AndroidBrowser: opens a page of this computer's server in a phone's browser, watches it, and leaves no trace.

The phone reaches the server through a reversed port, so the page's address is ``http://localhost:PORT``, a secure
context with WebGPU, without any network.
"""

from __future__ import annotations

import io
import time
from collections.abc import Mapping
from typing import Any

from ..base import DeviceError, Telemetry
from .adb import Adb
from .apps import App
from .changes import Reverse, Running, Tab, debug_app, file, setting
from .files import push
from .journal import Journal
from .signs import awake
from .telemetry import PhoneWatcher
from .trouble import page_trouble, screen_trouble

COMMAND_LINE = "/data/local/tmp/chrome-command-line"
FLAGS = b"_ --disable-fre --no-default-browser-check --no-first-run\n"
EVERY_CHARGER = "15"
UNLOCK_S = 3.0
XIAOMI = "on a Xiaomi phone switch on 'USB debugging (Security settings)' in Developer options"


class AndroidBrowser:
    """One page in one browser of one phone."""

    def __init__(self, adb: Adb, app: App, journal: Journal) -> None:
        self._adb, self._app, self._owner = adb, app, journal.owner()
        self._url = ""
        self._since = ""
        self._watcher: PhoneWatcher | None = None

    def listen(self) -> Mapping[str, Any]:
        return {"host": "127.0.0.1"}

    def open(self, scheme: str, port: int, path: str) -> None:
        adb, package = self._adb, self._app.package
        self._keep_awake()
        self._skip_first_run()
        with self._owner.making(
            Running(package)
        ):  # ended now and afterwards, so that it starts with the flags of the day
            adb.must(("am", "force-stop", package), XIAOMI)
        with self._owner.making(Reverse(port)):
            self._url = f"{scheme}://localhost:{adb.reverse(port)}{path}"
        with self._owner.making(Tab(package, self._url)):
            self._since = adb.text("date '+%Y-%m-%d %H:%M:%S.%N'").strip() or "never"
            start = ("am", "start", "-a", "android.intent.action.VIEW", "-n", f"{package}/{self._app.activity}")
            adb.must((*start, "-d", self._url), f"open {package} once by hand")
        self._watcher = PhoneWatcher(adb, self._app)

    def gone(self) -> str | None:
        return self._watcher.gone() if self._watcher else None

    def trouble(self) -> str | None:
        try:
            return page_trouble(self._adb, self._app, self._url, self._since)
        except DeviceError as error:
            return str(error)

    def memory(self) -> tuple[tuple[int, int], ...]:
        samples = self.telemetry().samples
        return tuple((at_ns, values["rss_bytes"]) for at_ns, values in samples if "rss_bytes" in values)

    def telemetry(self) -> Telemetry:
        return self._watcher.telemetry() if self._watcher else Telemetry()

    def close(self) -> None:
        if self._watcher:
            self._watcher.stop()
        self._owner.undo()

    def _keep_awake(self) -> None:
        """Wake the phone and keep its screen on; its brightness stays. A lock with a secret only a person can open."""
        adb = self._adb
        stay = setting(adb, "global", "stay_on_while_plugged_in")
        with self._owner.making(stay):
            adb.must(("settings", "put", stay.namespace, stay.name, EVERY_CHARGER), XIAOMI)
        if awake(adb.text("dumpsys power")) is False:
            adb.shell("input keyevent KEYCODE_WAKEUP")
        adb.shell("wm dismiss-keyguard")
        deadline = time.monotonic() + UNLOCK_S
        while trouble := screen_trouble(adb):
            if time.monotonic() > deadline:
                raise DeviceError(trouble)
            time.sleep(0.3)

    def _skip_first_run(self) -> None:
        """Let the browser skip its welcome screens: flags in a file, which it reads as the app that is debugged."""
        adb, package = self._adb, self._app.package
        with self._owner.making(file(adb, COMMAND_LINE)):
            push(adb, io.BytesIO(FLAGS), COMMAND_LINE, 0o644)
        with self._owner.making(debug_app(adb)):
            adb.must(("am", "set-debug-app", "--persistent", package), XIAOMI)
