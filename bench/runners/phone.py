"""A program of others on an Android phone: it and the libraries beside it are pushed through adb, then a model."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

from tritmark.devices.base import Device, DeviceError, Telemetry

from . import process

MODEL = "model.gguf"
INTERVAL_S = 2.0
SAMPLES = 1000  # beyond this every other sample is dropped and the interval doubles


class OnPhone:
    """A folder on a phone. One model at a time lies there."""

    def __init__(self, device: Device, program: Path) -> None:
        from tritmark.devices.android.phone import Phone

        self._program, self._serial = program, device.name.partition(":")[2]
        self._pushed: Path | None = None
        self._telemetry = Telemetry()
        self._shell = cast(Phone, device).shell()
        try:
            for path in (program, *libraries(program)):
                self._shell.push(path, path.name)
        except BaseException:
            self.close()
            raise

    def model(self, path: Path) -> str:
        if path != self._pushed:
            if self._pushed is not None:
                self._shell.remove(MODEL)
            self._pushed = None
            self._shell.push(path, MODEL)
            self._pushed = path
        return MODEL

    def run(
        self, arguments: Sequence[str], timeout_s: float, stages: int, hear: Callable[[str], None]
    ) -> process.Ended:
        """Its words come all at the end, so only the whole can be bounded."""
        watcher = Watcher(self._serial)
        try:
            done = self._shell.run((f"./{self._program.name}", *arguments), timeout_s * stages)
        finally:
            self._telemetry = watcher.stop()
        return process.Ended(status=done.status, stdout=done.stdout, stderr=done.stderr)

    def telemetry(self) -> Telemetry:
        return self._telemetry

    def close(self) -> None:
        self._shell.close()


class Watcher(threading.Thread):
    """Reads how a phone feels while a program runs on it."""

    def __init__(self, serial: str) -> None:
        super().__init__(daemon=True)
        from tritmark.devices.android.adb import Adb

        self._adb, self._stopped = Adb(serial), threading.Event()
        self._samples: list[tuple[int, dict[str, Any]]] = []
        self._methods: dict[str, str] = {}
        self.start()

    def run(self) -> None:
        from tritmark.devices.android.telemetry import sample, sources

        start_ns, interval_s = time.monotonic_ns(), INTERVAL_S
        while not self._stopped.is_set():
            at_ns = time.monotonic_ns() - start_ns
            try:
                self._samples.append((at_ns, sample(self._adb, sources(), self._methods)))
            except DeviceError as error:  # the run itself finds out; here it explains what is missing
                self._methods["gaps"] = str(error)
            if len(self._samples) >= SAMPLES:
                del self._samples[1::2]
                interval_s *= 2
            self._stopped.wait(interval_s)

    def stop(self) -> Telemetry:
        """End the reading; what was read."""
        self._stopped.set()
        self.join()
        return Telemetry(samples=tuple(self._samples), methods=self._methods)


def libraries(program: Path) -> list[Path]:
    """Shared libraries beside a program, under every name that they have there."""
    return sorted(path for path in program.parent.iterdir() if ".so" in path.suffixes and path.is_file())
