"""PlayerSession: a session over a player process that speaks JSON lines, whatever stands behind that process.

Requests are ``open``, ``load``, ``play``, ``read``, ``close``. The Plan travels as a file; weights are made by the
process from the model that the bundle names.
"""

from __future__ import annotations

import base64
import json
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from tritmark.engine.plan import Caps, Trace

from .base import Bundle, Loaded, Telemetry
from .child import Child


class PlayerSession(ABC):
    """What all sessions over a child share; a subclass opens the player and knows how to watch it."""

    caps: Caps

    def __init__(self, child: Child) -> None:
        self._child = child
        self._folder = tempfile.TemporaryDirectory(prefix="tritmark-")

    def __enter__(self) -> PlayerSession:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def load(self, bundle: Bundle) -> Loaded:
        path = Path(self._folder.name) / "plan.json"
        path.write_text(json.dumps(bundle.plan.to_json()), encoding="utf-8")
        answer = self.ask(
            "load", plan=str(path), model=bundle.model, format=bundle.format, files=dict(bundle.files)
        )
        return Loaded(
            load_ns=answer["load_ns"],
            compile_ns=answer["compile_ns"],
            ledger=answer["ledger"],
            ledger_peak_bytes=answer["ledger_peak_bytes"],
        )

    def play(self, first: int, last: int, timing: str = "wall") -> Trace:
        return Trace.from_json(self.ask("play", first=first, last=last, timing=timing)["trace"])

    def read(self, slot: str, offset: int, size: int) -> bytes:
        return base64.b64decode(self.ask("read", slot=slot, offset=offset, bytes=size)["base64"])

    @abstractmethod
    def memory(self) -> tuple[tuple[int, int], ...]:
        """(ns since the session opened, resident bytes of the player's process)."""

    @abstractmethod
    def telemetry(self) -> Telemetry:
        """What was watched of the device since the session opened."""

    def ask(self, op: str, **fields: Any) -> dict[str, Any]:
        """One request to the player and its answer; DeviceError where there is none. ``within_s`` among the fields
        bounds it in place of the session's own timeout.
        """
        return self._child.ask(op, **fields)

    def close(self) -> None:
        self._child.close()
        self._folder.cleanup()

    def _open(self, **fields: Any) -> None:
        """Ask the player to open its adapter; a player that cannot is ended."""
        try:
            self.caps = caps_from_json(self.ask("open", **fields)["caps"])
        except BaseException:
            self.close()
            raise


def caps_from_json(data: Mapping[str, Any]) -> Caps:
    """Caps as a player writes them."""
    return Caps(**{**data, "features": tuple(data["features"]), "language_features": tuple(data["language_features"])})
