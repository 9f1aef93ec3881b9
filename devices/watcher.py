"""Watcher: what a device tells of itself while a session is open, asked from a thread at an interval.

It keeps times and bounds the series; what is asked, a subclass knows.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from .base import Telemetry

SAMPLES = 2000  # beyond this every other sample is dropped and the interval doubles


class Watcher(ABC):
    """Samples from a thread, which starts with the watcher. Times are ns since then."""

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._samples: list[tuple[int, Mapping[str, Any]]] = []
        self._methods: dict[str, str] = {}
        self._lock, self._stopped, self._start_ns = threading.Lock(), threading.Event(), time.monotonic_ns()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    @abstractmethod
    def look(self) -> tuple[Mapping[str, Any], Mapping[str, str]]:
        """What is told now by name, and by name how it was read; ``gaps`` among the latter says why values are missing.

        Raises nothing: a session finds out by itself that its device is gone.
        """

    def telemetry(self) -> Telemetry:
        """What was seen so far."""
        with self._lock:
            return Telemetry(samples=tuple(self._samples), methods=dict(self._methods))

    def stop(self) -> None:
        """End the sampling; a sample that is being taken from a device that is gone may end later."""
        self._stopped.set()
        self._thread.join(self._interval_s)

    def _watch(self) -> None:
        while not self._stopped.is_set():
            at_ns = time.monotonic_ns() - self._start_ns
            values, methods = self.look()
            with self._lock:
                self._methods |= methods
                if values:
                    self._samples.append((at_ns, values))
                if len(self._samples) >= SAMPLES:
                    del self._samples[1::2]
                    self._interval_s *= 2
            self._stopped.wait(self._interval_s)
