"""One request at a time from the process to one page, and its answer back.

The page fetches requests by long poll and posts answers; between them it gives signs of life. A page that reloads,
closes or falls silent ends the run: the pending request and every later one gets the reason in one line, and none
waits for ever. Everything here happens in the server's event loop. Nothing here knows HTTP, but refusals carry its
status codes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from ...errors import PlayerError
from ...plan import Caps

POLL_S = 20.0  # a long poll without a request ends after this
CLOSE_S = 2.0  # how long a page is waited for that should hear of the end
ENDED = "the run has ended"
RELOADED = "the page was reloaded, or opened a second time; leave the one page alone until the run has ended"
HIDDEN = "it was hidden before (screen locked, or another app in front): keep it in front and the screen on"
LEFT = "the page was closed or reloaded; leave it open and in front until the run has ended"

Message = dict[str, Any]


class RefusalError(Exception):
    """What the server does not do for a page: an HTTP status and one line."""

    def __init__(self, status: int, line: str) -> None:
        super().__init__(line)
        self.status, self.line = status, line


class Mailbox:
    """``silence_s``: a page with a request from which nothing was heard for so long is given up."""

    def __init__(self, silence_s: float) -> None:
        self.silence_s = silence_s
        self.failure: str | None = None
        self.caps: Caps | None = None
        self._page: str | None = None
        self._greeted, self._asked, self._answered, self._told = (asyncio.Event() for _ in range(4))
        self._request: Message | None = None
        self._answer: Message = {}
        self._requests = 0
        self._closing = False
        self._heard_s = 0.0
        self._beat: Mapping[str, Any] = {}

    # The process's side.

    async def open(self, wait_s: float) -> Caps:
        """What the page said it can do; PlayerError where none said anything within ``wait_s``."""
        if not await _happened(self._greeted, wait_s):
            raise PlayerError(
                f"no page said hello within {wait_s:g} s; see that the browser shows it and reaches this computer"
            )
        self._check()
        assert self.caps
        return self.caps

    async def ask(self, op: str, fields: Mapping[str, Any]) -> Message:
        """The page's answer to a request, whatever it says; PlayerError where there is none."""
        self._check()
        self._requests += 1
        self._request = {"id": self._requests, "op": op, **fields}
        self._beat = {}
        self._answered.clear()
        self._asked.set()
        self.hear()  # the page has from now on to say something
        try:
            while not await _happened(self._answered, self._patience_s()):
                if self._patience_s() <= 0:
                    self.fail(self._silence(op))
            self._check()
            return self._answer
        finally:
            self._request = None
            self._asked.clear()

    async def close(self) -> None:
        """Tell the page that the run has ended, if it still listens."""
        if self._page is not None and self.failure is None:
            self._closing = True
            self._asked.set()
            await _happened(self._told, CLOSE_S)
        self.fail(ENDED)

    def fail(self, line: str) -> None:
        """End the run; the first reason stands."""
        self.failure = self.failure or " ".join(line.split())
        for event in (self._greeted, self._asked, self._answered):
            event.set()

    def _check(self) -> None:
        if self.failure is not None:
            raise PlayerError(self.failure)

    def _patience_s(self) -> float:
        return self._heard_s + self.silence_s - time.monotonic()

    def _silence(self, op: str) -> str:
        line = f"the page has been silent for {self.silence_s:g} s, asked to {op}"
        phase, done, total = (str(self._beat.get(name))[:20] for name in ("phase", "done", "total"))
        if self._beat.get("phase"):
            line += f" ({phase} {done} of {total})"
        return f"{line}; {HIDDEN}" if self._beat.get("visible") is False else line

    # The page's side.

    def greet(self, page: str, caps: Caps) -> None:
        """The page says hello. The first one has the run; a second one ends it."""
        if self._page not in (None, page):
            self.fail(RELOADED)
            raise RefusalError(409, RELOADED)
        self._check_open()
        self._page, self.caps = page, caps
        self.hear()
        self._greeted.set()

    def admit(self, page: str) -> None:
        """Whether ``page`` may go on: RefusalError for another one than said hello, and after the run."""
        if page != self._page:
            raise RefusalError(409, "this run belongs to another page" if self._page else "the page has not said hello")
        self._check_open()
        self.hear()

    def hear(self, page: str | None = None) -> None:
        """A sign of life; with ``page``, only if it came from the page that has the run."""
        if page in (None, self._page):
            self._heard_s = time.monotonic()

    def _check_open(self) -> None:
        if self.failure is not None:
            raise RefusalError(410, self.failure)

    async def next(self) -> Message | None:
        """The pending request, or None where none came for a while.

        A page works on one request at a time: one that asks again has not received what it was given, and gets it
        again.
        """
        await _happened(self._asked, POLL_S)
        self._check_open()
        if self._closing:
            self._told.set()
            return {"id": 0, "op": "close"}
        return self._request

    def answer(self, answer: Message) -> None:
        """The page answers the pending request. A repeated answer is the network's fault and does nothing."""
        given = answer.get("id")
        if not isinstance(given, int) or not 0 < given <= self._requests:
            raise RefusalError(409, f"nothing was asked under the id {str(given)[:40]}")
        if self._request is not None and given == self._requests and not self._answered.is_set():
            self._answer = answer
            self._answered.set()

    def beat(self, beat: Message) -> None:
        """What the page is doing: phase, done, total, visible."""
        self._beat = beat

    def bye(self) -> None:
        """The page goes away."""
        self.fail(LEFT)


async def _happened(event: asyncio.Event, within_s: float) -> bool:
    """Wait for ``event``, at most ``within_s``; whether it came."""
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), max(0.0, within_s))
    return event.is_set()
