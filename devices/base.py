"""What a device is: a provider that opens sessions, each a context manager over one player.

A device carries a `Bundle` (a Plan and where its weights come from) to a player and brings Traces back. It knows how
to reach a player and how the machine around it feels (heat, battery, memory); it must not know models, formats or
benchmarks.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from tritmark.engine.plan import Caps, Plan, Trace


class DeviceError(Exception):
    """A device or its player did not do what was asked; the message is one line."""


def finished(trace: Trace) -> Trace:
    """``trace`` if its play went well; DeviceError with its reason otherwise."""
    if trace.status != "ok":
        raise DeviceError(trace.reason or "the player failed without a reason")
    return trace


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """What a player needs to run: the Plan, and the model and format that its weight files are made from.

    ``files``: GGUF files that other slots are filled from, by the prefix of these slots' names (models/source.py).
    """

    plan: Plan
    model: str
    format: str
    files: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """What loading a bundle took, and the GPU buffers it left."""

    load_ns: int  # weights from file to GPU
    compile_ns: int  # all pipelines
    ledger: Mapping[str, int]  # live GPU bytes by role
    ledger_peak_bytes: int


@dataclass(frozen=True, kw_only=True)
class Telemetry:
    """What was watched from outside while a player ran: (ns since its session opened, value by name), and how.

    Names carry units (``battery_celsius``, ``pss_bytes``); ``methods`` tells for each name how it was read.
    """

    samples: tuple[tuple[int, Mapping[str, Any]], ...] = ()
    methods: Mapping[str, str] = field(default_factory=dict)


class Session(AbstractContextManager["Session"], Protocol):
    """One player with one open adapter. A player that is gone, silent or unwilling raises DeviceError."""

    caps: Caps

    def load(self, bundle: Bundle) -> Loaded:
        """Make the plan's buffers and pipelines; replaces what was loaded before."""

    def play(self, first: int, last: int, timing: str = "wall") -> Trace:
        """Play steps ``first`` up to but not including ``last``."""

    def read(self, slot: str, offset: int, size: int) -> bytes:
        """``size`` bytes of a slot."""

    def memory(self) -> tuple[tuple[int, int], ...]:
        """(ns since the session opened, resident bytes of the player's process), from opening until now."""

    def telemetry(self) -> Telemetry:
        """What was watched of the device since the session opened."""

    def close(self) -> None:
        """End the player; a second call does nothing."""


class Device(Protocol):
    """Something that plays Plans."""

    name: str
    needs_rest: bool  # a phone: cases wait until it has cooled down
    exclusive: bool  # one session at a time: a phone shows one page, and hides and slows down the others

    def adapters(self) -> list[Mapping[str, Any]]:
        """Every adapter there, as its player describes it."""

    def session(self) -> Session:
        """Open a player; DeviceError where it cannot start or finds no adapter."""

    def conditions(self) -> Mapping[str, Any]:
        """Battery, temperatures, load, clocks and free memory now, as far as the device tells."""

    def memory_bytes(self, caps: Caps) -> int | None:
        """Bytes free for GPU buffers now, or None where nothing tells."""

    def forget(self, model: str) -> None:
        """Drop what is cached of a model's file, so that the next load is a cold one; does nothing where it cannot."""
