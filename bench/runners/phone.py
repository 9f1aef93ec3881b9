"""A program of others on an Android phone: it and the libraries beside it are pushed through adb, then a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

from tritmark.devices.base import Device, Telemetry

from . import process

MODEL = "model.gguf"


class OnPhone:
    """A folder on a phone. One model at a time lies there."""

    def __init__(self, device: Device, program: Path) -> None:
        from tritmark.devices.android.phone import Phone

        self._device = cast(Phone, device)
        self._program = program
        self._pushed: Path | None = None
        self._telemetry = Telemetry()
        self._shell = self._device.shell()
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
        watcher = self._watcher()
        try:
            done = self._shell.run((f"./{self._program.name}", *arguments), timeout_s * stages)
        finally:
            watcher.stop()
            self._telemetry = watcher.telemetry()
        return process.Ended(status=done.status, stdout=done.stdout, stderr=done.stderr)

    def telemetry(self) -> Telemetry:
        return self._telemetry

    def close(self) -> None:
        self._shell.close()

    def _watcher(self) -> Any:
        from tritmark.devices.android.adb import Adb
        from tritmark.devices.android.telemetry import Watcher

        no_browser: Any = None
        return Watcher(Adb(self._device.name.partition(":")[2]), no_browser)


def libraries(program: Path) -> list[Path]:
    """Shared libraries beside a program, under every name that they have there."""
    return sorted(path for path in program.parent.iterdir() if ".so" in path.suffixes and path.is_file())
