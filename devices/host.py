"""Host: this machine as a device. The player is a child process: a WebGPU library may abort the one it is in."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from tritmark.engine.plan import Caps

from .base import DeviceError, Telemetry
from .child import Child
from .registry import TIMEOUT_S, Sighting
from .session import PlayerSession

PLAYER = (sys.executable, "-m", "tritmark.engine.players.serve")
SIGHTING_TIMEOUT_S = 60.0


class HostSession(PlayerSession):
    """A child process with one open adapter."""

    def __init__(self, command: Sequence[str], adapter: str | None, timeout_s: float) -> None:
        super().__init__(Child(command, timeout_s))
        self._open(adapter=adapter)

    def memory(self) -> tuple[tuple[int, int], ...]:
        return self._child.memory.samples()

    def telemetry(self) -> Telemetry:
        """Nothing beside memory: what else this machine tells, `conditions` reads before and after."""
        return Telemetry()


class Host:
    """This machine. ``adapter`` is part of an adapter's name, or None for the system's first choice."""

    needs_rest = False
    exclusive = False

    def __init__(
        self, adapter: str | None = None, *, command: Sequence[str] = PLAYER, timeout_s: float = TIMEOUT_S
    ) -> None:
        self.name = f"host:{adapter}" if adapter else "host"
        self._adapter, self._command, self._timeout_s = adapter, command, timeout_s

    def adapters(self) -> list[Mapping[str, Any]]:
        child = Child(self._command, self._timeout_s)
        try:
            return list(child.ask("adapters")["adapters"])
        finally:
            child.close()

    def session(self) -> HostSession:
        return HostSession(self._command, self._adapter, self._timeout_s)

    def conditions(self) -> Mapping[str, Any]:
        from .conditions import read_conditions

        return read_conditions()

    def memory_bytes(self, caps: Caps) -> int | None:
        """Free system memory for an adapter that shares it; for a discrete one what NVIDIA's driver tells."""
        if caps.kind in ("cpu", "integrated"):
            import psutil

            return psutil.virtual_memory().available
        return _nvidia_free_bytes(caps.adapter)

    def forget(self, model: str) -> None:
        """Drop a model file's pages from the system's file cache (Linux; other systems keep theirs)."""
        if not hasattr(os, "posix_fadvise") or not os.path.isfile(model):
            return
        file = os.open(model, os.O_RDONLY)
        try:
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(file)


def _nvidia_free_bytes(adapter: str) -> int | None:
    query = ("nvidia-smi", "--query-gpu=name,memory.free", "--format=csv,noheader,nounits")
    try:
        rows = subprocess.run(query, capture_output=True, text=True, timeout=10, check=True).stdout.splitlines()
    except (OSError, subprocess.SubprocessError):
        return None
    for name, _, free_mib in (row.rpartition(",") for row in rows):
        if name.strip() and name.strip() in adapter:
            return int(free_mib) * 1024 * 1024
    return None


def open_device(argument: str | None, timeout_s: float) -> Host:
    """The host; ``argument`` is part of an adapter's name."""
    return Host(argument, timeout_s=timeout_s)


def sightings() -> list[Sighting]:
    """Every adapter that a player finds on this machine."""
    try:
        found = Host(timeout_s=SIGHTING_TIMEOUT_S).adapters()
    except DeviceError as error:
        return [Sighting(device="host", state="no player", detail=str(error), remedy="see tritmark doctor")]
    return [
        Sighting(device=f"host:{caps['adapter']}", state="ready", detail=f"{caps['backend']}, {caps['kind']}")
        for caps in found
    ]
