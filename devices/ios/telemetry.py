"""Telemetry: how an iPhone feels while a case runs, read over the cable by a thread.

The battery's temperature is all that an iPhone tells of its heat. What Apple's Instruments tell comes with it where the
phone lets them; where it does not, the reason stands among the methods.
"""

from __future__ import annotations

import threading
import time
from typing import Any

from ..base import DeviceError, Telemetry
from . import readings
from .cable import Cable

INTERVAL_S = 2.0
SAMPLES = 2000  # beyond this every other sample is dropped and the interval doubles


class Watcher:
    """Samples a phone from a thread. Times are ns since the watcher was made."""

    def __init__(self, udid: str, cable: Cable, interval_s: float = INTERVAL_S) -> None:
        self._udid, self._cable, self._interval_s = udid, cable, interval_s
        self._samples: list[tuple[int, dict[str, Any]]] = []
        self._methods: dict[str, str] = {}
        self._lock, self._stopped, self._start_ns = threading.Lock(), threading.Event(), time.monotonic_ns()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def telemetry(self) -> Telemetry:
        """What was seen so far."""
        with self._lock:
            return Telemetry(samples=tuple(self._samples), methods=dict(self._methods))

    def stop(self) -> None:
        """End the sampling; a sample that is being taken from a phone that is gone may end later."""
        self._stopped.set()
        self._thread.join(INTERVAL_S)

    def _watch(self) -> None:
        while not self._stopped.is_set():
            at_ns, notes = time.monotonic_ns() - self._start_ns, {}
            try:
                values = readings.battery(self._cable.ask("battery", udid=self._udid)["battery"])
                told = self._cable.ask("samples", udid=self._udid)
                values |= readings.instruments(told["rows"])
                notes = {"instruments": told["reason"]} if told["reason"] else {}
            except DeviceError as error:  # the session finds out by itself; here it explains what is missing
                values, notes = {}, {"gaps": str(error)}
            with self._lock:
                self._methods |= {name: readings.METHODS[name] for name in values} | notes
                if values:
                    self._samples.append((at_ns, values))
                if len(self._samples) >= SAMPLES:
                    del self._samples[1::2]
                    self._interval_s *= 2
            self._stopped.wait(self._interval_s)
