"""Safari on an iPhone as a Browser: what both routes to its page share.

Safari's tab in front is used and led back afterwards; it is reached through Web Inspector over the cable, whatever way
the page's own data takes.
"""

from __future__ import annotations

import json
import secrets
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from ..base import DeviceError, Telemetry
from ..browser.devtools import Page
from .claim import Claim
from .remedies import GONE, INSPECTOR_OFF, LOCKED
from .telemetry import PhoneWatcher

AWAKE_S = 24 * 3600.0
ALONE = "leave the iPhone alone while it runs"
LOOK_S = 5.0
WAKE = "void navigator.wakeLock?.request('screen').catch(() => {})"  # WebKit grants it to a page that was just touched
# What a page that leaves in good order tells the one after it; one whose process was ended tells nothing.
MARK = """void (globalThis.tritmarkMark = {mark},
addEventListener("pagehide", () => sessionStorage.setItem("tritmark", {mark})))"""
SEEN = """[globalThis.tritmarkMark ?? null, document.visibilityState,
location.href !== {url} || sessionStorage.getItem("tritmark") === {mark}]"""
LEFT = f"Safari's page was reloaded or led elsewhere: {ALONE}"
RELOADED = (
    "Safari has ended the page and loaded it again, most likely because memory ran out (a page has about 1.5 GB): "
    "choose a smaller model or format"
)


class Safari(ABC):
    """One tab. A subclass brings the player into it."""

    def __init__(self, claim: Claim) -> None:
        self._claim = claim
        self._page: Page | None = None
        self._watcher: PhoneWatcher | None = None
        self._before = self._url = ""
        self._mark = secrets.token_hex(8)

    @abstractmethod
    def listen(self) -> Mapping[str, Any]:
        """Arguments of the server's ``listen`` request."""

    @abstractmethod
    def _enter(self, page: Page, scheme: str, port: int, path: str) -> None:
        """Bring the player into the tab."""

    def open(self, scheme: str, port: int, path: str) -> None:
        page, self._before = self._claim.inspector().open_tab()
        self._page = page
        self._claim.cable.ask("keep_awake", udid=self._claim.udid, timeout_s=AWAKE_S)
        self._watcher = PhoneWatcher(self._claim.udid, self._claim.cable)
        self._enter(page, scheme, port, path)
        self._url = page.evaluate("location.href")
        page.evaluate(MARK.format(mark=json.dumps(self._mark)))
        page.evaluate(WAKE, gesture=True)

    def gone(self) -> str | None:
        """Nothing is certain cheaply: over the network a page lives on without its cable."""
        return None

    def trouble(self) -> str | None:
        udid = self._claim.udid
        try:
            if udid not in (phone["udid"] for phone in self._claim.cable.ask("list")["phones"]):
                return f"{GONE} ({udid})"
            if self._claim.cable.ask("info", udid=udid)["values"].get("PasswordProtected"):
                return f"{LOCKED} ({udid})"
            return self._page_trouble()
        except DeviceError as error:
            return str(error)

    def memory(self) -> tuple[tuple[int, int], ...]:
        """What the page's processes hold, where Apple's Instruments tell."""
        told = ((at_ns, values.get("footprint_bytes")) for at_ns, values in self.telemetry().samples)
        return tuple((at_ns, int(size)) for at_ns, size in told if size is not None)

    def telemetry(self) -> Telemetry:
        return self._watcher.telemetry() if self._watcher else Telemetry()

    def close(self) -> None:
        """Lead the tab back and let go of it."""
        if self._watcher:
            self._watcher.stop()
        page, self._page = self._page, None
        if page is not None:
            with suppress(DeviceError):  # a phone that is gone leads nothing back
                page.navigate(self._before if self._before.startswith(("http://", "https://")) else "about:blank")
                page.until("!globalThis.tritmarkMark", LOOK_S)
            page.close()

    def _page_trouble(self) -> str | None:
        if self._page is None:
            return None
        look = SEEN.format(url=json.dumps(self._url), mark=json.dumps(self._mark))
        try:
            mark, seen, left = self._page.evaluate(look, LOOK_S)
        except DeviceError:
            return self._why_silent()
        if seen != "visible":
            return f"Safari's page is hidden, and pages sleep then: {ALONE}, with Safari in front and the screen on"
        if mark == self._mark:
            return None
        return LEFT if left else RELOADED

    def _why_silent(self) -> str | None:
        """Tell a tab that is gone from a way to it that is gone. The bridge may be about to end, so it is asked."""
        tabs = self._claim.tabs()
        if tabs is None:
            if not self._claim.cable.ask("inspector", udid=self._claim.udid)["on"]:
                return f"Web Inspector is off: {INSPECTOR_OFF}"
            return "the connection to Web Inspector has broken: plug the iPhone in again"
        return None if tabs else f"Safari has closed the page: {ALONE}"
