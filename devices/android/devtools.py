"""Devtools: the pages that a Chromium-family browser on a phone has open, over its debugging socket.

Only the list of pages and the closing of one is used, which is plain HTTP; the page itself is spoken to through its
server.
"""

from __future__ import annotations

import http.client
import json
import re
import time
from typing import Any

from ..base import DeviceError
from .adb import Adb, PhoneGoneError

SOCKET = "chrome_devtools_remote"
CLOSING_S = 2.0


def pages(adb: Adb, package: str) -> list[dict[str, Any]] | None:
    """The open pages (``id``, ``url``, ...); None where the browser does not run or does not answer."""
    try:
        listed = json.loads(_get(adb, package, "/json/list"))
    except PhoneGoneError:
        raise
    except (DeviceError, OSError, http.client.HTTPException, ValueError):
        return None
    return [page for page in listed if isinstance(page, dict)] if isinstance(listed, list) else None


def close_pages(adb: Adb, package: str, url: str) -> None:
    """Close the pages whose address begins with ``url``, and wait until the browser has."""
    deadline = time.monotonic() + CLOSING_S
    while time.monotonic() < deadline:
        ours = [page for page in pages(adb, package) or [] if str(page.get("url", "")).startswith(url)]
        if not ours:
            return
        for page in ours:
            try:
                _get(adb, package, f"/json/close/{page['id']}")
            except PhoneGoneError:
                raise
            except (DeviceError, OSError, http.client.HTTPException, KeyError):
                continue  # it is closing already; the next list tells
        time.sleep(0.2)


def _get(adb: Adb, package: str, path: str) -> bytes:
    connection = http.client.HTTPConnection("localhost")
    connection.sock = adb.connect(_socket(adb, package), timeout_s=5.0)
    try:
        connection.request("GET", path)
        return connection.getresponse().read()
    finally:
        connection.close()


def _socket(adb: Adb, package: str) -> str:
    """The browser's socket. The first Chromium-family app gets the plain name, others add their process id to it."""
    pid = adb.text(("pidof", package)).split()
    named = set(re.findall(rf"@({SOCKET}(?:_\d+)?)\s*$", adb.text("cat /proc/net/unix"), re.MULTILINE))
    return f"{SOCKET}_{pid[0]}" if pid and f"{SOCKET}_{pid[0]}" in named else SOCKET
