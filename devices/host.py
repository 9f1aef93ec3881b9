"""Host: this machine as a device. The player is a child process: a WebGPU library may abort the one it is in.

A session speaks the player's JSON lines: ``open``, ``load``, ``play``, ``read``, ``close``. The Plan travels as a
file, weights are read by the child from the model the bundle names.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from tritmark.engine.plan import Caps, Trace

from .base import Bundle, DeviceError, Loaded
from .child import Child

PLAYER = (sys.executable, "-m", "tritmark.engine.players.serve")
TIMEOUT_S = 600.0


class HostSession:
    """A child process with one open adapter."""

    def __init__(self, command: Sequence[str], adapter: str | None, timeout_s: float) -> None:
        self._child = Child(command, timeout_s)
        self._folder = tempfile.TemporaryDirectory(prefix="tritmark-")
        try:
            self.caps = _caps(self._child.ask("open", adapter=adapter)["caps"])
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> HostSession:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def load(self, bundle: Bundle) -> Loaded:
        path = Path(self._folder.name) / "plan.json"
        path.write_text(json.dumps(bundle.plan.to_json()), encoding="utf-8")
        answer = self._child.ask("load", plan=str(path), model=bundle.model, format=bundle.format)
        return Loaded(
            load_ns=answer["load_ns"],
            compile_ns=answer["compile_ns"],
            ledger=answer["ledger"],
            ledger_peak_bytes=answer["ledger_peak_bytes"],
        )

    def play(self, first: int, last: int, timing: str = "wall") -> Trace:
        return Trace.from_json(self._child.ask("play", first=first, last=last, timing=timing)["trace"])

    def read(self, slot: str, offset: int, size: int) -> bytes:
        return base64.b64decode(self._child.ask("read", slot=slot, offset=offset, bytes=size)["base64"])

    def memory(self) -> tuple[tuple[int, int], ...]:
        return self._child.memory.samples()

    def close(self) -> None:
        self._child.close()
        self._folder.cleanup()


class Host:
    """This machine. ``adapter`` is part of an adapter's name, or None for the system's first choice."""

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


def _caps(data: Mapping[str, Any]) -> Caps:
    return Caps(**{**data, "features": tuple(data["features"]), "language_features": tuple(data["language_features"])})


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


def open_device(spec: str, *, timeout_s: float = TIMEOUT_S) -> Host:
    """The device that ``spec`` names: ``host``, or ``host:`` and part of an adapter's name."""
    kind, _, adapter = spec.partition(":")
    if kind != "host":
        raise DeviceError(f"unknown device {spec!r}; known: host, host:ADAPTER (see `tritmark devices`)")
    return Host(adapter or None, timeout_s=timeout_s)
