"""System: the Android of the stand-in phone: settings, the browser as an app, and how its processes ended.

Commands (commands.py, dumpsys.py) read and change it; it prints nothing itself.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import threading
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil

from .browser import WEBGPU, Browser
from .condition import Condition
from .texts import Texts
from .waiting import wait_until

PACKAGE, UID = "com.android.chrome", 10123
MAIN = "com.google.android.apps.chrome.Main"
ACTIVITIES = (
    MAIN,
    "com.google.android.apps.chrome.IntentDispatcher",
    "org.chromium.chrome.browser.ChromeTabbedActivity",
)
LAUNCHER = "com.android.launcher3/com.android.launcher3.Launcher"
COMMAND_LINE = "data/local/tmp/chrome-command-line"
SKIP_FIRST_RUN = {"--disable-fre", "--no-first-run"}
DEFAULTS = {
    "global/adb_enabled": "1",
    "global/device_provisioned": "1",
    "global/development_settings_enabled": "1",
    "global/low_power": "0",
    "global/stay_on_while_plugged_in": "0",
    "global/window_animation_scale": "1.0",
    "system/screen_brightness": "102",
    "system/screen_off_timeout": "30000",
    "secure/screensaver_enabled": "1",
}
NAMES = {  # of the browser's processes, by kind
    "browser": "",
    "zygote": "_zygote",
    "renderer": ":sandboxed_process{number}:org.chromium.content.app.SandboxedProcessService0:{number}",
    "gpu": ":privileged_process0",
    "utility": ":privileged_process1",
}
REASONS = {
    "SIGNALED": 2,
    "LOW_MEMORY": 3,
    "APP CRASH(NATIVE)": 5,
    "ANR": 6,
    "EXCESSIVE RESOURCE USAGE": 9,
    "USER REQUESTED": 10,
    "OTHER KILLS BY SYSTEM": 13,
}


@dataclass(frozen=True)
class Exit:
    """The end of an app's process, as `ApplicationExitInfo` keeps it."""

    time: datetime
    pid: int
    process: str
    reason: str
    description: str = "null"
    subreason: str = "0 (UNKNOWN)"
    status: int = 0


@dataclass(frozen=True)
class Process:
    """A process of the browser under its Android name."""

    pid: int
    name: str
    kind: str
    rss_kib: int


class System:
    """Take ``lock`` around everything: tests and several commands reach it at once."""

    def __init__(self, android: str, files: Path, browser: Browser) -> None:
        self.lock = threading.RLock()
        self.android, self.files, self.browser = android, files, browser
        self.texts, self.condition = Texts(android), Condition()
        self.settings = dict(DEFAULTS)
        self.exits: list[Exit] = []
        self.first_run = False  # the welcome screens are what Chrome shows now
        self.started_s = time.monotonic()

    @property
    def changed_settings(self) -> dict[str, str | None]:
        """Settings that differ from the first ones; None where one was deleted."""
        names = [name for name in {**DEFAULTS, **self.settings} if self.settings.get(name) != DEFAULTS.get(name)]
        return {name: self.settings.get(name) for name in names}

    @property
    def front(self) -> str:
        """package/activity that a person sees, or would see without the lock screen."""
        if self.condition.covered_by:
            return self.condition.covered_by
        if self.browser.port is None:
            return LAUNCHER
        activity = "firstrun.FirstRunActivity" if self.first_run else "ChromeTabbedActivity"
        return f"{PACKAGE}/org.chromium.chrome.browser.{activity}"

    def open(self, url: str) -> bool:
        """`am start` for Chrome; False where it was running and only got one more page."""
        self.notice()
        self.change("covered_by", None)
        if self.browser.port is not None:
            if not self.first_run:
                self.browser.open_tab(url)
            return False
        flags = self._flags()
        self.first_run = not (self.condition.first_run_done or SKIP_FIRST_RUN & set(flags))
        offered = [WEBGPU] if self.condition.webgpu else []
        self.browser.start("about:blank" if self.first_run else url, [*offered, *flags])
        self.started_s = time.monotonic()
        if not self.condition.shows_pages:
            self.browser.show(False)
        self._write_sockets()
        return True

    def stop(self) -> None:
        """`am force-stop`."""
        self.notice()
        for process in self.processes():
            if process.kind == "browser":
                why = f"stop {PACKAGE} due to from pid {os.getpid()}"
                self._record(
                    process.pid, process.name, "USER REQUESTED", description=why, subreason="21 (FORCE STOP)"
                )
        self.browser.stop()
        self._write_sockets()

    def change(self, name: str, value: object) -> None:
        """Change the condition; pages become hidden or visible with it."""
        before = self.condition.shows_pages
        self.condition.change(name, value)
        if self.condition.shows_pages != before and self.browser.port is not None:
            with contextlib.suppress(OSError):  # it is just ending
                self.browser.show(self.condition.shows_pages)

    def kill(self, kind: str, reason: str) -> None:
        """End the browser's processes of a kind, as the phone itself does when memory runs out."""
        found = [process for process in self.processes() if process.kind == kind]
        for process in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
            self._record(process.pid, process.name, reason)
        pids = {process.pid for process in found}
        wait_until(lambda: pids.isdisjoint(pid for pid, _ in self.browser.processes()), f"the {kind} processes to end")
        if kind == "browser" and found:
            self.browser.stop()
            self._write_sockets()

    def notice(self) -> None:
        """See whether the browser has ended, and keep how."""
        ended = self.browser.ended()
        if ended:
            pid, status = ended
            self._record(pid, PACKAGE, "SIGNALED" if status < 0 else "APP CRASH(NATIVE)", status=abs(status))
            self._write_sockets()

    def processes(self) -> list[Process]:
        """The browser's processes, its own first."""
        found = []
        for pid, kind in self.browser.processes():
            name = PACKAGE + NAMES[kind].format(number=sum(each.kind == kind for each in found))
            with contextlib.suppress(psutil.Error):
                found.append(Process(pid, name, kind, psutil.Process(pid).memory_info().rss // 1024))
        return found

    def _record(self, pid: int, process: str, reason: str, **more: Any) -> None:
        self.exits.insert(0, Exit(datetime.now(), pid, process, reason, **more))

    def _flags(self) -> list[str]:
        """The flags in Chrome's command-line file, which it reads only as the app that is being debugged."""
        path = self.files / COMMAND_LINE
        if self.settings.get("global/debug_app") != PACKAGE or not path.is_file() or not path.stat().st_mode & 0o004:
            return []
        return shlex.split(path.read_text())[1:]  # the first word stands for the program

    def _write_sockets(self) -> None:
        """Keep the list of abstract sockets, of which the browser's is one."""
        row = "0000000000000000: 00000002 00000000 00010000 0001 01 {number:>6} @{name}\n"
        names = ["jdwp-control", *(["chrome_devtools_remote"] if self.browser.port is not None else [])]
        text = "Num       RefCount Protocol Flags    Type St Inode Path\n"
        text += "".join(row.format(number=22017 + at, name=name) for at, name in enumerate(names))
        path = self.files / "proc/net/unix"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
