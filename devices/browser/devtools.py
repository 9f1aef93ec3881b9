"""Devtools: a browser's debugging port on this computer, and its pages over the Chrome DevTools Protocol.

Chromium speaks it itself; for Safari on an iPhone a bridge does, which leaves out much: it awaits no promises and has
no navigation of its own. So only expressions are evaluated here, and what takes time is asked for again until it is
there.
"""

from __future__ import annotations

import http.client
import itertools
import json
import socket
import time
from concurrent.futures import Future, InvalidStateError
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import ExitStack
from threading import Lock, Thread
from types import TracebackType
from typing import Any

from ..base import DeviceError

CONNECT_S = 10.0
ANSWER_S = 30.0
POLL_S = 0.1
LAST_S = 2.0  # for the last answer: a busy machine's page is late, not gone


class PageGoneError(DeviceError):
    """The page, or the way to it, is not there any more."""


class Devtools:
    """A browser's debugging server: behind the port ``port`` of this computer, unless a subclass connects elsewhere."""

    host = "localhost"  # under which the server is asked; it builds the addresses of its pages from that

    def __init__(self, port: int) -> None:
        self.port, self.host = port, f"127.0.0.1:{port}"

    def __str__(self) -> str:
        return f"the debugging port {self.port}"

    def connect(self, timeout_s: float) -> socket.socket:
        """A stream to the server."""
        return socket.create_connection(("127.0.0.1", self.port), timeout_s)

    def pages(self) -> list[dict[str, Any]]:
        """What can be opened: each with ``id``, ``title``, ``url``, ``webSocketDebuggerUrl``."""
        return [page for page in self.get("/json/list") if page.get("type") == "page"]

    def close_page(self, number: str) -> None:
        """Begin to close the page with this ``id``."""
        self._read(f"/json/close/{number}", CONNECT_S)

    def get(self, path: str, timeout_s: float = CONNECT_S) -> Any:
        """The JSON at a path of the server; DeviceError where there is none."""
        try:
            return json.loads(self._read(path, timeout_s))
        except ValueError as error:
            raise DeviceError(f"{self} does not answer with JSON") from error

    def _read(self, path: str, timeout_s: float) -> bytes:
        connection = http.client.HTTPConnection(self.host)
        try:
            connection.sock = self.connect(timeout_s)
            connection.request("GET", path)
            return connection.getresponse().read()
        except (OSError, http.client.HTTPException) as error:
            raise DeviceError(f"{self} does not answer: {_words(error)}") from error
        finally:
            connection.close()


class Page:
    """An open page. Any thread may ask; several questions may be on their way at once."""

    def __init__(self, url: str, what: str = "the page") -> None:
        """``url``: its webSocketDebuggerUrl; ``what`` names it in messages."""
        try:
            from websockets.exceptions import WebSocketException
            from websockets.sync.client import connect
        except ImportError as error:
            raise DeviceError("pages of browsers need pip install 'tritmark[web]'") from error
        self._what, self._open = what, ExitStack()
        try:  # without an Origin header: browsers refuse the origins they do not know
            options = {"compression": None, "max_size": None, "ping_interval": None, "proxy": None}
            self._socket = self._open.enter_context(connect(url, open_timeout=CONNECT_S, **options))
        except (OSError, WebSocketException) as error:
            raise PageGoneError(f"cannot debug {what}: {_words(error)}") from error
        self._ids, self._lock = itertools.count(1), Lock()
        self._waiting: dict[int, Future[dict[str, Any]]] = {}
        self._thread = Thread(target=self._read, daemon=True)
        self._thread.start()

    def __enter__(self) -> Page:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def send(self, method: str, **params: Any) -> Future[dict[str, Any]]:
        """Ask; the future has the answer's ``result``, or the DeviceError that came instead."""
        from websockets.exceptions import ConnectionClosed

        future: Future[dict[str, Any]] = Future()
        with self._lock:
            number = next(self._ids)
            self._waiting[number] = future
            try:
                self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
            except (ConnectionClosed, OSError):
                self._waiting.pop(number, None)
                future.set_exception(self._gone())
        return future

    def start(self, expression: str, *, gesture: bool = False) -> Future[dict[str, Any]]:
        """Begin to evaluate; `finish` gives the value. ``gesture``: as if a person had just touched the page."""
        return self.send("Runtime.evaluate", expression=expression, returnByValue=True, userGesture=gesture)

    def finish(self, started: Future[dict[str, Any]], timeout_s: float = ANSWER_S) -> Any:
        """The JSON value of an expression that was started; DeviceError where it threw or is not there in time."""
        try:
            answer = started.result(timeout_s)
        except FutureTimeoutError:
            raise DeviceError(f"{self._what} did not answer within {timeout_s:g} s") from None
        value = answer.get("result", {})
        if answer.get("wasThrown") or "exceptionDetails" in answer:
            detail = answer.get("exceptionDetails", {}).get("exception", value)
            told = str(detail.get("description") or detail.get("value") or "an exception")
            raise DeviceError(f"{self._what} threw: {' '.join(told.split())[:300]}")
        return value.get("value")

    def evaluate(self, expression: str, timeout_s: float = ANSWER_S, *, gesture: bool = False) -> Any:
        return self.finish(self.start(expression, gesture=gesture), timeout_s)

    def until(self, expression: str, timeout_s: float) -> Any:
        """The first value of ``expression`` that counts as true; the last one where none came in time.

        A page on its way to another address answers nothing, or throws; that is no failure until the time is over.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            left_s = deadline - time.monotonic()
            try:
                value = self.evaluate(expression, max(POLL_S, min(left_s, 5.0)) if left_s > 0 else LAST_S)
            except PageGoneError:
                raise
            except DeviceError:
                if left_s <= 0:
                    raise
                value = None
            if value or left_s <= 0:
                return value
            time.sleep(POLL_S)

    def navigate(self, url: str) -> None:
        """Go to ``url``; returns before the page is there."""
        self.start(f"void (location.href = {json.dumps(url)})")  # a page that leaves may not answer any more

    def close(self) -> None:
        """Let go of the page, which stays open; a second call does nothing."""
        self._open.close()
        self._thread.join(CONNECT_S)

    def _read(self) -> None:
        from websockets.exceptions import ConnectionClosed

        try:
            for text in self._socket:
                message = json.loads(text)
                future = self._waiting.pop(message.get("id"), None)
                if future is None:
                    continue  # an event
                if "error" in message:
                    future.set_exception(DeviceError(f"{self._what}: {message['error'].get('message', 'refused')}"))
                else:
                    future.set_result(message.get("result") or {})
        except (ConnectionClosed, OSError):
            pass  # told to those who wait, below
        with self._lock:
            for future in self._waiting.values():
                try:
                    future.set_exception(self._gone())
                except InvalidStateError:
                    continue  # its answer came at the same moment
            self._waiting.clear()

    def _gone(self) -> PageGoneError:
        return PageGoneError(f"the connection to {self._what} has ended")


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__
