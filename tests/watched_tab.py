"""A tab of a headless Chromium that keeps what the page asks of the network and what it says on the console."""

from __future__ import annotations

import base64
import itertools
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from browser_runs import binary
from websockets.sync.client import ClientConnection, connect

from tritmark.devices.browser.chromium import FLAGS
from tritmark.devices.browser.devtools import Devtools
from tritmark.devices.browser.programs import Program

WAIT_S = 60.0
DESKTOP = {"width": 1280, "height": 900, "deviceScaleFactor": 1, "mobile": False}
PHONE = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
SAID = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded", "Audits.issueAdded")


class Tab:
    """Speaks the debugging protocol; events are kept as they come."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket, self._ids = socket, itertools.count(1)
        self.events: list[dict[str, Any]] = []
        for domain in ("Page", "Runtime", "Log", "Network", "Audits"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        number = next(self._ids)
        self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            message = json.loads(self._socket.recv(timeout=WAIT_S))
            if message.get("id") == number:
                assert "error" not in message, message
                return dict(message["result"])
            self.events.append(message)

    def open(self, url: str, size: dict[str, Any], *, dark: bool = False) -> None:
        """Go to ``url`` afresh, with the window of ``size``, and forget what was said before."""
        self.ask("Emulation.setDeviceMetricsOverride", **size)
        self.ask(
            "Emulation.setEmulatedMedia",
            features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}],
        )
        self.ask("Page.navigate", url="about:blank")
        self.until("location.href === 'about:blank'")
        self.events.clear()
        self.ask("Page.navigate", url=url)
        self.until("location.href !== 'about:blank' && document.readyState === 'complete'")

    def value(self, expression: str) -> Any:
        answer = self.ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def until(self, expression: str) -> None:
        deadline = time.monotonic() + WAIT_S
        while not self.value(expression):
            assert time.monotonic() < deadline, f"never true: {expression}"
            time.sleep(0.05)

    def said(self) -> list[dict[str, Any]]:
        """Everything on the console, and what the browser itself complains about, except that a script, not a person,
        follows links.
        """
        self.ask("Runtime.evaluate", expression="1")  # whatever came before is read by now
        told = [event for event in self.events if event["method"] in SAID]
        return [event for event in told if "NavigationEntryMarkedSkippable" not in str(event)]

    def requested(self) -> list[str]:
        """The addresses of all requests."""
        self.ask("Runtime.evaluate", expression="1")
        sent = [event["params"] for event in self.events if event["method"] == "Network.requestWillBeSent"]
        return [str(each["request"]["url"]) for each in sent]

    def picture(self, file: Path, *, whole: bool = False) -> None:
        """Write the window, or the ``whole`` page, as a PNG."""
        taken = self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=whole,
                         **({"clip": self._whole()} if whole else {}))  # fmt: skip
        file.write_bytes(base64.b64decode(taken["data"]))

    def _whole(self) -> dict[str, float]:
        size = self.ask("Page.getLayoutMetrics")["cssContentSize"]
        return {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], 12000), "scale": 1}


@contextmanager
def tab(folder: Path) -> Iterator[Tab]:
    """An open tab; the browser keeps its profile in ``folder`` and is gone at the end."""
    quick = "--disable-ipc-flooding-protection"  # else links that are followed too quickly are dropped
    flags = ("--no-sandbox", "--remote-debugging-port=0", f"--user-data-dir={folder}", quick)
    browser = Program([binary(), *FLAGS, *flags, "about:blank"])
    try:
        (found,) = wait_for(lambda: Devtools(_port(folder)).pages())
        with connect(found["webSocketDebuggerUrl"], max_size=None, compression=None, proxy=None) as socket:
            yield Tab(socket)
    finally:
        browser.close()


def _port(folder: Path) -> int:
    return int((folder / "DevToolsActivePort").read_text(encoding="ascii").split()[0])


def wait_for(what: Callable[[], list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """The first answer that counts as true."""
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        try:
            found = what()
        except Exception:  # not there yet: the browser is starting
            found = []
        if found:
            return found
        time.sleep(0.1)
    pytest.fail("the browser did not open its debugging port")
