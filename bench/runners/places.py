"""Places where a program of others runs: this computer, or a folder on an Android phone that is deleted afterwards."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from tritmark.devices.base import Device, Telemetry

from . import process
from .base import RunnerError

ON_PHONE = "android"


class Place(Protocol):
    """Where ``program`` is there to be run."""

    def model(self, path: Path) -> str:
        """The name of a model file there; it is carried there first where it has to be."""

    def run(
        self, arguments: Sequence[str], timeout_s: float, stages: int, hear: Callable[[str], None]
    ) -> process.Ended:
        """Run the program to its end; each of its ``stages`` may take ``timeout_s``. ``hear`` gets what it says."""

    def telemetry(self) -> Telemetry:
        """What was watched during the last run."""

    def close(self) -> None:
        """Remove what was carried there."""


class Here:
    """This computer."""

    def __init__(self, program: Path) -> None:
        self._program = program

    def model(self, path: Path) -> str:
        return str(path)

    def run(
        self, arguments: Sequence[str], timeout_s: float, stages: int, hear: Callable[[str], None]
    ) -> process.Ended:
        """It tells of each stage, so silence for ``timeout_s`` is a stage that takes too long."""
        beside = os.pathsep.join(filter(None, (str(self._program.parent), os.environ.get("LD_LIBRARY_PATH"))))
        command = (str(self._program), *arguments)
        return process.run(command, silence_s=timeout_s, hear=hear, environment={"LD_LIBRARY_PATH": beside})

    def telemetry(self) -> Telemetry:
        return Telemetry()

    def close(self) -> None:
        """Nothing was carried."""


def place_of(device: Device, program: Path) -> Place:
    """The place that a device is; RunnerError for one that runs no programs of others."""
    kind = device.name.partition(":")[0]
    if kind == "host":
        return Here(program)
    if kind == ON_PHONE:
        from .phone import OnPhone

        return OnPhone(device, program)
    raise RunnerError(f"{program.name} runs on host and {ON_PHONE}, not on {device.name}; leave that runner out there")
