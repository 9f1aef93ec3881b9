"""Relay: carries a page's requests to this computer's server over the debugger, and the answers back.

Both directions go through evaluated expressions (relay.js is the page's side), so this is far slower than a network.
Answers are cut into pieces, several of which are on their way at once; small answers do not wait behind long ones.
"""

from __future__ import annotations

import base64
import http.client
import json
import queue
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from pathlib import Path
from threading import Event, Thread
from typing import Any
from urllib.parse import urlsplit

from ..base import DeviceError
from ..browser.devtools import Page

SCRIPT = Path(__file__).with_name("relay.js")
PIECE_BYTES = 768 << 10  # of an answer, in one expression; a multiple of 3, so that base64 needs no padding
WINDOW = 3  # expressions on their way at once
SHORT_S, LONG_S = 0.005, 0.25  # pause between two looks: while something happens, and after a while of nothing
HTTP_S = 120.0
KEPT = ("content-type", "content-range")

Started = Future[dict[str, Any]]


class Relay:
    """Carries requests below ``base`` from its start until it is closed or the page is gone."""

    def __init__(self, page: Page, base: str) -> None:
        self._page, self._base = page, base
        self._answers: queue.SimpleQueue[Iterator[str]] = queue.SimpleQueue()  # each: the expressions of one answer
        self._closed = Event()
        self.failure: str | None = None
        page.evaluate(SCRIPT.read_text(encoding="utf-8"))
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Carry no more; a second call does nothing."""
        self._closed.set()
        self._thread.join(2.0)

    def _run(self) -> None:
        try:
            self._carry()
        except DeviceError as error:
            self.failure = str(error)

    def _carry(self) -> None:
        giving: deque[Iterator[str]] = deque()
        started: deque[Started] = deque()
        pause_s = SHORT_S
        while not self._closed.is_set():
            giving.extend(self._given(0.0 if giving or started else pause_s))
            while giving and len(started) < WINDOW:
                expression = next(giving[0], None)
                giving.rotate(-1)
                if expression is None:
                    giving.pop()
                else:
                    started.append(self._page.start(expression))
            looked = not started
            requests = self._page.evaluate("tritmarkRelay.take()") if looked else self._page.finish(started.popleft())
            for request in requests:
                Thread(target=self._fetch, args=(request,), daemon=True).start()
            pause_s = min(LONG_S, pause_s * 1.5) if looked and not requests else SHORT_S

    def _given(self, wait_s: float) -> Iterator[Iterator[str]]:
        """Answers that have come meanwhile; waits for a first one."""
        try:
            yield self._answers.get(timeout=wait_s) if wait_s else self._answers.get_nowait()
            while True:
                yield self._answers.get_nowait()
        except queue.Empty:
            return

    def _fetch(self, request: Mapping[str, Any]) -> None:
        """Do one request of the page's; whatever is wrong with it is told to the page."""
        try:
            status, headers, body = self._exchange(request)
        except (OSError, http.client.HTTPException, KeyError, ValueError) as error:
            reason = json.dumps(f"{type(error).__name__}: {error}")
            self._answers.put(iter([f"tritmarkRelay.fail({json.dumps(request.get('id'))}, {reason})"]))
            return
        self._answers.put(_expressions(request["id"], status, headers, body))

    def _exchange(self, request: Mapping[str, Any]) -> tuple[int, dict[str, str], bytes]:
        url = str(request["url"])
        if not url.startswith(self._base):  # the page is somebody else's, with us in it
            raise ValueError("not an address of this run")
        parts = urlsplit(url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=HTTP_S)
        try:
            body = None if request.get("body") is None else str(request["body"]).encode()
            target = f"{parts.path}?{parts.query}" if parts.query else parts.path
            connection.request(str(request["method"]), target, body, dict(request["headers"]))
            response = connection.getresponse()
            kept = {name.lower(): value for name, value in response.getheaders() if name.lower() in KEPT}
            return response.status, kept, response.read()
        finally:
            connection.close()


def _expressions(number: int, status: int, headers: Mapping[str, str], body: bytes) -> Iterator[str]:
    """The expressions that give an answer to the page, piece by piece."""
    answer = json.dumps({"status": status, "headers": headers})
    for first in range(0, max(1, len(body)), PIECE_BYTES):
        text = base64.b64encode(body[first : first + PIECE_BYTES]).decode()
        last = first + PIECE_BYTES >= len(body)
        yield f'tritmarkRelay.give({number}, "{text}"{", " + answer if last else ""})'
