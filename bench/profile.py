"""Profile: what each kernel of one step takes, beside the bytes and operations that its Plan promises.

A pass with two timestamps around every dispatch keeps the GPU from overlapping them, so that a profile says where time
goes and never how fast a case is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tritmark.engine.plan import Dispatch, DispatchTime

from .prepare import Prepared

LAYER = re.compile(r"^blk\.\d+\.")
MOST_LAUNCHES = 2048  # of one play in a browser: a query set holds two timestamps each of 4,096


def steps_of(prepared: Prepared) -> range:
    """The steps that a profile plays: the last decode step, the last of a prefill, or one optimiser step."""
    end = len(prepared.plan.steps)
    if prepared.training:
        return range(end - (end - prepared.opening) // prepared.training["steps"], end)
    return range(end - 1, end)


def dispatches_of(prepared: Prepared) -> Iterator[Dispatch]:
    """Every launch of these steps, in order."""
    for at in steps_of(prepared):
        yield from prepared.plan.programs[prepared.plan.steps[at].program]


def kernels(dispatches: Sequence[Dispatch], times: Sequence[DispatchTime]) -> tuple[Mapping[str, Any], ...]:
    """What launches of one kernel for one purpose come to, over all layers, the longest first.

    Empty where the clock is too coarse for single dispatches: one of them took no time by it.
    """
    if len(times) != len(dispatches) or any(time.gpu_ns <= 0 for time in times):
        return ()
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for dispatch, time in zip(dispatches, times, strict=True):
        label = LAYER.sub("", dispatch.label)
        empty = {"label": label, "kernel": dispatch.module[:12], "count": 0, "time_ns": 0, "bytes": 0, "operations": 0}
        row = found.setdefault((label, dispatch.module), empty)
        row["count"] += 1
        row["time_ns"] += time.gpu_ns
        row["bytes"] += dispatch.cost.bytes
        row["operations"] += dispatch.cost.operations
    return tuple(sorted(found.values(), key=lambda row: -row["time_ns"]))
