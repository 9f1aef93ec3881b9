"""Columns that records know: a device with its processor or player, found by a part of its name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tritmark.results.record import Record

from ..stats import OURS
from .hardware import Place, column_of, place_of
from .next_measurement import devices_of
from .pairs import FORMATS, phase_of


@dataclass(frozen=True, kw_only=True)
class Column:
    """``caps``: what the device said of itself, None where nobody asked it."""

    name: str
    place: Place
    command_device: str
    caps: Mapping[str, Any] | None


def columns(records: Iterable[Record]) -> list[Column]:
    """Of everything that ran, in the order of the records; the last word on a device holds."""
    found: dict[str, Column] = {}
    for record in records:
        if record.status == "ok" and record.format in FORMATS and phase_of(record):
            place, name = place_of(record), column_of(record)
            known = found.get(name)
            printed = record.figure is not None
            found[name] = Column(
                name=name, place=place, caps=record.caps or (known.caps if known else None),
                command_device=devices_of(place.known.family, place.hardware) if printed else record.device,
            )  # fmt: skip
    return list(found.values())


def matching(known: Iterable[Column], name: str) -> list[Column]:
    """Those whose name has ``name`` in it, whatever the case; the one of exactly that name alone where there is one."""
    parts = [column for column in known if name.lower() in column.name.lower()]
    exact = [column for column in parts if column.name.lower() == name.lower()]
    return exact or parts


def described(name: str, hardware: str, bytes_per_s: float | None) -> Column:
    """A device that nobody measured, of one of hardware.CLASSES, as this project's engine would find it."""
    place = Place(engine=OURS, hardware=hardware, body=name, column=name, bytes_per_s=bytes_per_s)
    return Column(name=name, place=place, command_device=devices_of(place.known.family, hardware), caps=None)
