"""A case measured by another engine: its runner does the work, here it becomes a record beside ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tritmark.devices.base import Device
from tritmark.results.record import Record

from .case import Case
from .measure import reason_of
from .recording import context_of, record_of
from .runners.base import FallbackError, Runner, RunnerError

SCHEDULE = "own process"  # all repetitions in a row, in a process of the engine's own


def run_foreign(
    case: Case, device: Device, runner: Runner, tell: Callable[[str], None], rested: Mapping[str, Any] | None
) -> Record:
    """The record of ``case``, whatever happens to it."""
    context = {**context_of(device, rested), "runner": runner.label, "schedule": SCHEDULE}
    observed: dict[str, Any] = {}
    reason, fallback = None, False
    try:
        observed = dict(runner.measure(case, device, tell))
    except Exception as error:
        reason, fallback = reason_of(error), isinstance(error, FallbackError)
        observed = dict(error.observed) if isinstance(error, RunnerError) else {}
    conditions = {**context["conditions"], "after": device.conditions(), **observed.pop("conditions", {})}
    return record_of(case, context, reason=reason, fallback=fallback, conditions=conditions, **observed)
