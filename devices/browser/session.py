"""BrowserSession: a player in a web page. A server process carries bundles to it, a Browser opens it somewhere.

The server (`tritmark.engine.players.web.serve`) is the child that a session asks; it forwards requests to the page and
answers with what the page posted. This module knows both, and who to blame when the page goes silent.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, Protocol

from ..base import DeviceError, Telemetry
from ..child import Child
from ..session import PlayerSession

SERVER = (sys.executable, "-m", "tritmark.engine.players.web.serve")
HELLO_TIMEOUT_S = 60.0
GRACE_S = 10.0  # after which the server itself is given up that should have said that no page came


class Browser(Protocol):
    """Something that opens a page: a browser on this computer or on a phone, or a person with one."""

    def listen(self) -> Mapping[str, Any]:
        """Arguments of the server's ``listen`` request: host, port, https, names."""

    def open(self, scheme: str, port: int, path: str) -> None:
        """Open the page that the server on ``port`` of this computer serves at ``path``, or raise DeviceError."""

    def gone(self) -> str | None:
        """A line where the browser or its device is certainly gone; cheap, for it is asked every second."""

    def trouble(self) -> str | None:
        """Why the page may have stopped answering, in one line, or None where nothing looks wrong."""

    def memory(self) -> tuple[tuple[int, int], ...]:
        """(ns since the page was opened, resident bytes of the browser)."""

    def telemetry(self) -> Telemetry:
        """What was watched since the page was opened."""

    def close(self) -> None:
        """Undo everything; a second call does nothing, and a phone that is gone is no error."""


class BrowserSession(PlayerSession):
    """One page with one open adapter. ``images``: the folder where the server keeps weight files between sessions."""

    def __init__(
        self, browser: Browser, *, timeout_s: float, images: str, hello_timeout_s: float = HELLO_TIMEOUT_S
    ) -> None:
        self._browser = browser
        super().__init__(Child(SERVER, timeout_s, browser.gone))
        try:
            served = self._child.ask("listen", images=images, **browser.listen())
            browser.open(served["scheme"], served["port"], served["path"])
        except BaseException:
            self.close()
            raise
        self._open(wait_s=hello_timeout_s, within_s=hello_timeout_s + GRACE_S)

    def ask(self, op: str, **fields: Any) -> dict[str, Any]:
        try:
            return self._child.ask(op, **fields)
        except DeviceError as error:
            trouble = self._browser.trouble()
            if trouble is None or trouble in str(error):
                raise
            raise DeviceError(f"{trouble} ({error})") from error

    def memory(self) -> tuple[tuple[int, int], ...]:
        return self._browser.memory()

    def telemetry(self) -> Telemetry:
        return self._browser.telemetry()

    def close(self) -> None:
        try:
            super().close()
        finally:
            self._browser.close()
