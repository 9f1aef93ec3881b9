"""Devtools: the debugging server of a browser on a phone, over a stream of the adb connection.

Only the list of pages and the closing of one is used; the page itself is spoken to through its server.
"""

from __future__ import annotations

import re
import socket
import time
from typing import Any

from ..base import DeviceError
from ..browser.devtools import Devtools
from .adb import Adb, PhoneGoneError

SOCKET = "chrome_devtools_remote"
CLOSING_S = 2.0


class PhoneDevtools(Devtools):
    """The debugging server of the browser ``package``."""

    def __init__(self, adb: Adb, package: str) -> None:
        self._adb, self._package = adb, package

    def __str__(self) -> str:
        return f"the debugging socket of {self._package}"

    def connect(self, timeout_s: float) -> socket.socket:
        return self._adb.connect(self._socket(), timeout_s)

    def _socket(self) -> str:
        """The first Chromium-family app gets the plain name, others add their process id to it."""
        pid = self._adb.text(("pidof", self._package)).split()
        sockets = self._adb.text("cat /proc/net/unix")
        named = set(re.findall(rf"@({SOCKET}(?:_\d+)?)\s*$", sockets, re.MULTILINE))
        own = f"{SOCKET}_{pid[0]}" if pid else SOCKET
        return own if own in named else SOCKET


def pages(adb: Adb, package: str) -> list[dict[str, Any]] | None:
    """The open pages (``id``, ``url``, ...); None where the browser does not run or does not answer."""
    try:
        return PhoneDevtools(adb, package).pages()
    except PhoneGoneError:
        raise
    except DeviceError:
        return None


def close_pages(adb: Adb, package: str, url: str) -> None:
    """Close the pages whose address begins with ``url``, and wait until the browser has."""
    deadline = time.monotonic() + CLOSING_S
    while time.monotonic() < deadline:
        ours = [page for page in pages(adb, package) or [] if page["url"].startswith(url)]
        if not ours:
            return
        for page in ours:
            try:
                PhoneDevtools(adb, package).close_page(page["id"])
            except PhoneGoneError:
                raise
            except DeviceError:
                continue  # it is closing already; the next list tells
        time.sleep(0.2)
