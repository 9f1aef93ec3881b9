"""iPhones as devices: Safari plays Plans, driven over the cable. Needs the extra `ios`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..base import Device, DeviceError
from ..registry import Sighting

if TYPE_CHECKING:
    from .cable import Cable


def open_device(argument: str | None, timeout_s: float) -> Device:
    """The iPhone with the UDID ``argument``, or the only one there is; ``+inject`` behind it keeps to the cable."""
    from .iphone import INJECT, IPhone

    udid, _, option = (argument or "").partition("+")
    if option not in ("", INJECT):
        raise DeviceError(f"ios:{argument}: behind the + may stand only {INJECT}")
    return IPhone(_find(udid), timeout_s, inject=option == INJECT)


def sightings() -> list[Sighting]:
    """Every iPhone that is plugged in, ready or with what to do about it. None of them is asked for trust."""
    from .cable import Cable

    cable = Cable()
    try:
        return [_sighting(cable, phone) for phone in cable.ask("list")["phones"]]
    except DeviceError as error:
        return [Sighting(device="ios", state="unavailable", detail="", remedy=str(error))]
    finally:
        cable.close()


def _find(udid: str) -> str:
    """The UDID of a phone that is plugged in."""
    from .cable import Cable
    from .remedies import NONE

    cable = Cable()
    try:
        there = [phone["udid"] for phone in cable.ask("list")["phones"]]
    finally:
        cable.close()
    named = [each for each in there if not udid or each.replace("-", "").lower() == udid.replace("-", "").lower()]
    if len(named) == 1:
        return str(named[0])
    if named:
        choices = " or ".join(f"--device ios:{each}" for each in named)
        raise DeviceError(f"{len(named)} iPhones are plugged in; name one: {choices}")
    raise DeviceError(f"no iPhone {udid} is plugged in; there are: {', '.join(there)}" if there else NONE)


def _sighting(cable: Cable, phone: Mapping[str, Any]) -> Sighting:
    from .readings import described
    from .remedies import state

    udid, detail = phone["udid"], ""
    try:
        info = cable.ask("info", udid=udid)
        detail = described(info)
        ios = str(info["values"].get("ProductVersion", ""))
        is_state, remedy = state(ios, info["paired"], None)
        if is_state == "ready":
            is_state, remedy = state(ios, True, cable.ask("inspector", udid=udid)["on"])
    except DeviceError as error:
        is_state, remedy = "not answering", str(error)
    return Sighting(device=f"ios:{udid}", state=is_state, detail=detail, remedy=remedy)
