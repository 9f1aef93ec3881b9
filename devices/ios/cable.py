"""Cable: this computer's side of the process that speaks to iPhones (worker.py), started when it is first needed."""

from __future__ import annotations

import importlib.util
import sys
from threading import Lock
from typing import Any

from ..base import DeviceError
from ..child import Child
from .remedies import MISSING

WORKER = (sys.executable, "-m", "tritmark.devices.ios.worker")
TIMEOUT_S = 90.0  # longer than the worker gives any phone
PROCESS = "the process that speaks to the iPhone"


class Worker(Child):
    """The process itself."""

    @property
    def alive(self) -> bool:
        return self._process.poll() is None


class Cable:
    """Any thread may ask. A worker that has died is started again by the next question."""

    def __init__(self) -> None:
        self._worker: Worker | None = None
        self._lock = Lock()

    def ask(self, op: str, **fields: Any) -> dict[str, Any]:
        """The worker's answer; DeviceError with what a person can do where it has none."""
        if importlib.util.find_spec("pymobiledevice3") is None:
            raise DeviceError(MISSING)
        with self._lock:
            if self._worker is None or not self._worker.alive:
                self._close()
                self._worker = Worker(WORKER, TIMEOUT_S)
            try:
                return self._worker.ask(op, **fields)
            except DeviceError as error:
                raise DeviceError(str(error).replace("the player", PROCESS, 1)) from error

    def close(self) -> None:
        """End the worker, and whatever it holds on the phone; a second call does nothing."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self._worker is not None:
            self._worker.close()
            self._worker = None
