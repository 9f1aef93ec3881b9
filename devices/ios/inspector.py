"""Inspector: Safari's pages on a phone, through the bridge from Web Inspector to the Chrome DevTools Protocol.

The bridge is a command of pymobiledevice3, run as a process. A phone admits a new one only some ten seconds after the
last was started, so one bridge serves all sessions of a run.
"""

from __future__ import annotations

import socket
import sys
import time
from typing import Any

from ..base import DeviceError
from ..browser.devtools import Devtools, Page
from ..browser.programs import Program
from .cable import Cable
from .remedies import INSPECTOR_OFF, LOCKED, NO_TAB

START_S = 60.0  # the phone may turn it away for twenty seconds
SAFARI = "com.apple.mobilesafari"
LOOK_S = 3.0
TABS_S = 10.0
POLL_S = 0.2


class Inspector:
    """A running bridge to one phone."""

    def __init__(self, udid: str, cable: Cable) -> None:
        self._udid, self._cable = udid, cable
        self._devtools = Devtools(_free_port())
        port = ("--host", "127.0.0.1", "--port", str(self._devtools.port))
        bridge = (sys.executable, "-m", "pymobiledevice3", "webinspector", "cdp", "--udid", udid, *port)
        self._program = Program(bridge)
        try:
            self._await()
        except BaseException:
            self.close()
            raise

    def alive(self) -> bool:
        """Whether the bridge runs; it ends when the cable is pulled or Web Inspector is switched off.

        One that is about to end runs still, but answers no more.
        """
        return self._program.ended() is None and self._answers(TABS_S)

    def tabs(self) -> list[dict[str, Any]]:
        """Safari's pages: each with ``id``, ``url``, ``webSocketDebuggerUrl``."""
        found = self._devtools.get("/api/targets").get("targets", [])
        return [tab for tab in found if tab["type"] == "page" and _is_safari(tab["application"])]

    def open_tab(self) -> tuple[Page, str]:
        """The page that is in front, and its address. Safari is brought to the front where it is not."""
        found = self._tab_in_front(LOOK_S)
        if found is None:
            self._cable.ask("open_safari", udid=self._udid)
            found = self._tab_in_front(TABS_S)
        if found is None:
            raise DeviceError(f"{NO_TAB} ({LOCKED})" if self.tabs() else NO_TAB)
        return found

    def close(self) -> None:
        self._program.close()

    def _tab_in_front(self, timeout_s: float) -> tuple[Page, str] | None:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            for tab in self.tabs():
                page = Page(tab["webSocketDebuggerUrl"], "Safari's page")
                try:
                    if page.evaluate("document.visibilityState", LOOK_S) == "visible":
                        return page, str(tab["url"])
                except DeviceError:
                    pass  # a page in the background may sleep; the next one is asked
                page.close()
            time.sleep(POLL_S)
        return None

    def _await(self) -> None:
        deadline = time.monotonic() + START_S
        while True:
            if self._answers(LOOK_S):
                return
            ended = self._program.ended()
            if ended is not None or time.monotonic() > deadline:
                raise DeviceError(self._why_not(ended))
            time.sleep(POLL_S)

    def _answers(self, timeout_s: float) -> bool:
        try:
            self._devtools.get("/json/version", timeout_s)
        except DeviceError:
            return False
        return True

    def _why_not(self, ended: str | None) -> str:
        """The worker knows better than the bridge's last words what is wrong with a phone."""
        if not self._cable.ask("inspector", udid=self._udid)["on"]:
            return f"Web Inspector is off: {INSPECTOR_OFF}"
        return f"Web Inspector's bridge did not start within {START_S:g} s" + (f": {ended}" if ended else "")


def _is_safari(application: dict[str, Any]) -> bool:
    """Safari itself, or a process that computes for one of its pages."""
    return application.get("bundle") == SAFARI or application.get("host") == "Safari"


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port
