"""ByHand: a page that a person opens from a link, in whatever browser they like.

``browser`` is reached from this computer alone; ``browser:lan`` from its network too, over HTTPS, because browsers
offer WebGPU to such pages only. A link serves one page, and a page serves every session: it has to be opened once.
"""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import asdict
from typing import Any

from tritmark.engine.plan import Caps, Trace

from ..base import Bundle, DeviceError, Loaded, Telemetry
from ..network import addresses
from ..registry import Sighting
from . import invitation
from .invitation import Invitation
from .session import BrowserSession

LAN = "lan"
OPEN_S = 600.0  # how long a person may take to open the link


class VisitorError(DeviceError):
    """A person was invited, but no page came, or none that can play. They may try again."""


class Link:
    """A `Browser` that a person opens."""

    def __init__(self, invite: Callable[[Invitation], None], *, lan: bool, port: int) -> None:
        self._invite, self._lan, self._port = invite, lan, port
        self._names = addresses() if lan else ["localhost"]
        self.shown = False

    def listen(self) -> Mapping[str, Any]:
        if not self._names:
            raise DeviceError("this computer is in no network; join the phone's, or leave out lan")
        if not self._lan:
            return {"host": "127.0.0.1", "port": self._port}
        return {"host": "0.0.0.0", "port": self._port, "https": True, "names": self._names}

    def open(self, scheme: str, port: int, path: str) -> None:
        bases = [f"{scheme}://{name}:{port}" for name in self._names]
        trusted = (f"{bases[0]}/authority.mobileconfig", f"{bases[0]}/authority.crt") if self._lan else None
        self.shown = True
        self._invite(Invitation(links=tuple(base + path for base in bases), certificates=trusted))

    def gone(self) -> str | None:
        """None: a page tells for itself when it is closed."""

    def trouble(self) -> str | None:
        """None: nobody else knows that browser."""

    def memory(self) -> tuple[tuple[int, int], ...]:
        return ()

    def telemetry(self) -> Telemetry:
        return Telemetry()

    def close(self) -> None:
        """The page is told by its server that the run has ended."""


class Visit(AbstractContextManager["Visit"]):
    """A session on the open page, which stays open behind it."""

    def __init__(self, page: BrowserSession) -> None:
        self._page, self.caps = page, page.caps

    def __exit__(self, *error: object) -> None:
        self.close()

    def load(self, bundle: Bundle) -> Loaded:
        return self._page.load(bundle)

    def play(self, first: int, last: int, timing: str = "wall") -> Trace:
        return self._page.play(first, last, timing)

    def read(self, slot: str, offset: int, size: int) -> bytes:
        return self._page.read(slot, offset, size)

    def memory(self) -> tuple[tuple[int, int], ...]:
        return self._page.memory()

    def telemetry(self) -> Telemetry:
        return self._page.telemetry()

    def close(self) -> None:
        """Nothing: the next session plays on the same page."""


class ByHand:
    """Whatever browser opens the link that ``invite`` is given. ``port`` 0: any free one."""

    needs_rest = False
    exclusive = True

    def __init__(
        self,
        name: str,
        *,
        lan: bool,
        port: int = 0,
        timeout_s: float,
        open_s: float = OPEN_S,
        invite: Callable[[Invitation], None] = invitation.show,
    ) -> None:
        self.name, self.visits = name, 0  # pages that were opened so far
        self._link = lambda: Link(invite, lan=lan, port=port)
        self._timeout_s, self._open_s = timeout_s, open_s
        self._images = tempfile.TemporaryDirectory(prefix="tritmark-images-")
        self._opened = ExitStack()
        self._page: BrowserSession | None = None
        weakref.finalize(self, self._opened.close)

    def adapters(self) -> list[Mapping[str, Any]]:
        return [asdict(self.session().caps)]

    def session(self) -> Visit:
        """On the page that is open; where there is none (any more), a person is asked to open one."""
        if self._page is None or not self._alive():
            self.close()
            self._page = self._invited()
            self._opened.push(self._page)
            self.visits += 1
        return Visit(self._page)

    def ask(self, op: str, *, within_s: float | None = None, **fields: Any) -> dict[str, Any]:
        """What the open page says to ``choose`` or ``show``; DeviceError where there is none."""
        if self._page is None:
            raise DeviceError("no page is open")
        return self._page.ask(op, within_s=within_s, **fields)

    def close(self) -> None:
        """Let the page go; a second call does nothing."""
        self._page = None
        self._opened.close()

    def conditions(self) -> Mapping[str, Any]:
        """Nothing: browsers tell neither heat nor load, and this computer's may not be those of the page."""
        return {}

    def memory_bytes(self, caps: Caps) -> int | None:
        return None

    def forget(self, model: str) -> None:
        """Nothing: a page gets its weights anew each time."""

    def _invited(self) -> BrowserSession:
        link = self._link()
        try:
            return BrowserSession(
                link, timeout_s=self._timeout_s, images=self._images.name, hello_timeout_s=self._open_s
            )
        except DeviceError as error:
            if link.shown:
                raise VisitorError(str(error)) from error
            raise

    def _alive(self) -> bool:
        """Whether the page still answers and its GPU has not been lost."""
        try:
            self.ask("show")
            return True
        except DeviceError:
            return False


def open_device(argument: str | None, timeout_s: float) -> ByHand:
    """``argument``: None, or ``lan``."""
    if argument not in (None, LAN):
        raise DeviceError(f"browser:{argument} is unknown; say browser, or browser:{LAN} for a phone in this network")
    name = f"browser:{argument}" if argument else "browser"
    return ByHand(name, lan=argument == LAN, timeout_s=timeout_s)


def sightings() -> list[Sighting]:
    """None: nobody knows who will open a link."""
    return []
