"""What a runner is, and which there are. A runner is written ``NAME[:OPTION][=PATH]``, as in ``llama.cpp:cpu=PATH``.

Further ones come as entry points of the group ``tritmark.runners`` (README.md shows one). Runners are imported when
they are asked for.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any, Protocol

from tritmark.devices.base import Device
from tritmark.devices.registry import TIMEOUT_S

from ..case import OURS, Case

GROUP = "tritmark.runners"
KNOWN = {"llama.cpp": "tritmark.bench.runners.llama_bench", "qvac": "tritmark.bench.runners.llama_bench"}


class RunnerError(Exception):
    """A runner did not do what was asked; the message is one line. ``observed``: record fields that hold anyway."""

    def __init__(self, message: str, observed: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.observed = dict(observed or {})


class FallbackError(RunnerError):
    """The engine computed elsewhere than it was asked to: its figures are of another processor."""


class Runner(Protocol):
    """Another engine. It may keep files between cases; `close` removes all it made."""

    label: str  # what its rows are called where the build is not known, as in "llama.cpp:cpu"

    def measure(self, case: Case, device: Device, tell: Callable[[str], None]) -> Mapping[str, Any]:
        """Fields of a Record that were observed; RunnerError or DeviceError where there is no result to believe."""

    def close(self) -> None:
        """Remove everything; a second call does nothing."""


@dataclass(frozen=True)
class Spec:
    """A runner as it is written."""

    name: str
    option: str | None
    path: str | None

    @property
    def label(self) -> str:
        return self.name + (f":{self.option}" if self.option else "")


def parse_spec(text: str) -> Spec:
    """``llama.cpp:cpu=/opt/llama/llama-bench``: name, option, path."""
    left, _, path = text.partition("=")
    name, _, option = left.partition(":")
    return Spec(name, option or None, path or None)


def names() -> list[str]:
    """All runners, ours first."""
    return [OURS, *KNOWN, *sorted(entry.name for entry in entry_points(group=GROUP) if entry.name not in KNOWN)]


def open_runner(text: str, timeout_s: float = TIMEOUT_S) -> Runner:
    """The runner that ``text`` names; RunnerError for one that is unknown or cannot be meant that way.

    A provider is a function ``open_runner(spec, timeout_s)``; ``timeout_s`` bounds each thing the engine does.
    """
    spec = parse_spec(text)
    if spec.name in KNOWN:
        module: Any = importlib.import_module(KNOWN[spec.name])
        ours: Runner = module.open_runner(spec, timeout_s)
        return ours
    for entry in entry_points(group=GROUP, name=spec.name):
        found: Runner = entry.load()(spec, timeout_s)
        return found
    raise RunnerError(f"unknown runner {spec.name!r}; known: {', '.join(names())} (see bench/runners/README.md)")
