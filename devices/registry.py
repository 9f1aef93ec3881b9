"""Registry: which kinds of devices there are, how one is named, and what could be one right now.

A device is written ``KIND`` or ``KIND:WHICH``. A kind is a provider module; further ones come as entry points of the
group ``tritmark.devices`` (see README.md). Providers are imported when they are asked for.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Protocol

from .base import Device, DeviceError

TIMEOUT_S = 600.0
GROUP = "tritmark.devices"
OURS = {
    "host": "tritmark.devices.host",
    "chromium": "tritmark.devices.browser.chromium",
    "dawn": "tritmark.devices.browser.dawn",
    "browser": "tritmark.devices.browser.byhand",
    "android": "tritmark.devices.android",
    "ios": "tritmark.devices.ios",
}


@dataclass(frozen=True, kw_only=True)
class Sighting:
    """Something that could be a device. ``device``: what to give to --device. ``remedy``: what to do where ``state`` is
    not ``ready``.
    """

    device: str
    state: str
    detail: str
    remedy: str | None = None


class Provider(Protocol):
    """A module, or an object, that knows one kind of devices."""

    def open_device(self, argument: str | None, timeout_s: float) -> Device:
        """The device that ``argument`` (what follows ``KIND:``) names; None: the only one, or the first choice."""

    def sightings(self) -> list[Sighting]:
        """What could be a device of this kind now; never raises."""


def kinds() -> list[str]:
    """All kinds of devices, ours first."""
    return [*OURS, *sorted(entry.name for entry in entry_points(group=GROUP) if entry.name not in OURS)]


def provider(kind: str) -> Provider:
    """The provider of a kind; DeviceError for a kind that nobody provides."""
    if kind in OURS:
        module: Provider = importlib.import_module(OURS[kind])
        return module
    for entry in entry_points(group=GROUP, name=kind):
        found: Provider = entry.load()
        return found
    raise DeviceError(f"unknown device {kind!r}; known: {', '.join(kinds())} (see `tritmark devices`)")


def open_device(spec: str, *, timeout_s: float = TIMEOUT_S) -> Device:
    """The device that ``spec`` names, as in ``host``, ``host:H200``, ``android:SERIAL``."""
    kind, _, argument = spec.partition(":")
    return provider(kind).open_device(argument or None, timeout_s)


def sightings() -> Iterator[Sighting]:
    """What could be a device right now, kind by kind."""
    for kind in kinds():
        yield from provider(kind).sightings()
