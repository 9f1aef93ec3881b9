"""Telemetry: how an iPhone feels while a case runs, read over the cable by a thread.

The battery's temperature is all that an iPhone tells of its heat. What Apple's Instruments tell comes with it where the
phone lets them; where it does not, the reason stands among the methods.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..base import DeviceError
from ..watcher import Watcher
from . import readings
from .cable import Cable

INTERVAL_S = 2.0


class PhoneWatcher(Watcher):
    """Watches a phone over its cable."""

    def __init__(self, udid: str, cable: Cable, interval_s: float = INTERVAL_S) -> None:
        self._udid, self._cable = udid, cable
        super().__init__(interval_s)

    def look(self) -> tuple[Mapping[str, Any], Mapping[str, str]]:
        try:
            values = readings.battery(self._cable.ask("battery", udid=self._udid)["battery"])
            told = self._cable.ask("samples", udid=self._udid)
        except DeviceError as error:
            return {}, {"gaps": str(error)}
        values |= readings.instruments(told["rows"])
        notes = {"instruments": told["reason"]} if told["reason"] else {}
        return values, {name: readings.METHODS[name] for name in values} | notes
