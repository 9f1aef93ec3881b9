"""Android phones as devices: reached through adb, their own browser plays Plans. Needs the extra `android`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..base import Device, DeviceError
from ..registry import Sighting

if TYPE_CHECKING:
    from .signs import Listed


def open_device(argument: str | None, timeout_s: float) -> Device:
    """The phone with the serial number ``argument``, or the only one that is ready."""
    from .discovery import find
    from .phone import Phone

    return Phone(find(argument).serial, timeout_s)


def sightings() -> list[Sighting]:
    """Every phone that adb sees, ready or with what to do about it. What an earlier run left on one is undone."""
    from .discovery import listed_phones

    try:
        return [_sighting(phone) for phone in listed_phones()]
    except DeviceError as error:
        return [Sighting(device="android", state="unavailable", detail="", remedy=str(error))]


def _sighting(phone: Listed) -> Sighting:
    from .adb import Adb
    from .apps import choose_app
    from .claim import recover
    from .discovery import remedy
    from .phone import described

    spec, detail = f"android:{phone.serial}", phone.model or ""
    if problem := remedy(phone):
        return Sighting(device=spec, state=phone.state, detail=detail, remedy=problem)
    state = "not answering"
    try:
        adb = Adb(phone.serial)
        detail, state = described(adb), "not restored"
        recover(adb)
        state = "no WebGPU"
        app = choose_app(adb)
    except DeviceError as error:
        return Sighting(device=spec, state=state, detail=detail, remedy=str(error))
    return Sighting(device=spec, state="ready", detail=f"{detail}, {app.package} {app.version}")
