"""IPhone: an iPhone as a device: Safari plays Plans."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from tritmark.engine.plan import Caps

from ..base import Bundle, DeviceError, Loaded
from ..browser.session import BrowserSession
from . import readings
from .claim import Claim, cable_to, claim
from .injected import InjectedSafari
from .lan import LanError, LanSafari
from .remedies import state

PAGE_BYTES = 1_500_000_000  # a web process has about this much before Safari ends it (WebKit PR 49472)
INJECTED_BYTES = 64 << 20  # of weights: some twenty seconds of loading over the cable
TRUST_S = 30.0
INJECT = "inject"


class InjectedSession(BrowserSession):
    """A session over the cable alone. ``because``: why the network was of no use; None where nobody asked for it."""

    because: str | None = None

    def load(self, bundle: Bundle) -> Loaded:
        size = sum(part.bytes for slot in bundle.plan.slots for part in slot.ranges)
        if self.because and size > INJECTED_BYTES:
            raise DeviceError(
                f"{self.because} (over the cable alone go at most {INJECTED_BYTES / 2**20:.0f} MiB of weights, here "
                f"are {size / 2**20:,.0f}; --device ios:UDID+{INJECT} sends them nevertheless)"
            )
        return super().load(bundle)


class IPhone:
    """One phone. ``inject``: over the cable alone, whatever the network could do."""

    needs_rest = True
    exclusive = True

    def __init__(self, udid: str, timeout_s: float, *, inject: bool = False) -> None:
        self.name = f"ios:{udid}+{INJECT}" if inject else f"ios:{udid}"
        self._udid, self._timeout_s, self._inject = udid, timeout_s, inject
        self._route: str | None = None
        self._images = tempfile.TemporaryDirectory(prefix="tritmark-images-")

    def adapters(self) -> list[Mapping[str, Any]]:
        with self.session() as session:
            return [asdict(session.caps)]

    def session(self) -> BrowserSession:
        held = claim(self._udid)
        _admit(held)
        if not self._inject and held.lan_failure is None:
            try:
                session = BrowserSession(LanSafari(held), timeout_s=self._timeout_s, images=self._images.name)
                self._route = "network"
                return session
            except LanError as error:
                held.lan_failure = str(error)
        injected = InjectedSession(InjectedSafari(held), timeout_s=self._timeout_s, images=self._images.name)
        injected.because = None if self._inject else held.lan_failure
        self._route = "cable"
        return injected

    def conditions(self) -> Mapping[str, Any]:
        """What the phone tells now; ``unreachable`` says why where it tells nothing. ``route``: of the last session."""
        route = {"route": self._route} if self._route else {}
        try:
            with cable_to(self._udid) as cable:
                info = cable.ask("info", udid=self._udid)
                battery = cable.ask("battery", udid=self._udid)["battery"] if info["paired"] else {}
            return readings.conditions(info, battery) | route
        except DeviceError as error:
            return {"unreachable": str(error), **route}

    def memory_bytes(self, caps: Caps) -> int | None:
        """What Safari leaves to a page, however much the phone has."""
        return PAGE_BYTES

    def forget(self, model: str) -> None:
        """Nothing: a page gets its weights anew each time."""


def _admit(held: Claim) -> None:
    """DeviceError with what to do where Safari of this phone cannot play; asks for trust where there is none yet."""
    info = held.cable.ask("info", udid=held.udid)
    ios = str(info["values"].get("ProductVersion", ""))
    problem, remedy = state(ios, info["paired"], None)
    if problem == "not trusted":
        held.cable.ask("pair", udid=held.udid, wait_s=TRUST_S)
    elif remedy is not None:
        raise DeviceError(f"the iPhone {held.udid} has iOS {ios}: {remedy}")
