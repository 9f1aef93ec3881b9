"""GPU timestamps of a run of steps: none, a pair a step, or a pair a dispatch."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import PlayerError
from ..plan import DispatchTime, Plan, StepTime
from .gpu import Gpu
from .ledger import Ledger

MOST_QUERIES = 4096  # of a query set, by WebGPU; more passes take more sets


class Clock:
    """Hands each compute pass its timestamp writes and reads them back when the run is over."""

    def __init__(self, gpu: Gpu, ledger: Ledger, plan: Plan, steps: range, timing: str) -> None:
        if timing not in ("wall", "step", "dispatch"):
            raise PlayerError(f"timing {timing!r} is unknown; use wall, step or dispatch")
        self.timing, self.steps = timing, steps
        self._gpu, self._ledger = gpu, ledger
        self._passes: list[tuple[int, str]] = []
        self._sets: list[Any] = []
        if timing == "wall":
            return
        if "timestamp-query" not in gpu.caps.features:
            raise PlayerError(f"{gpu.caps.adapter} has no timestamp-query; use timing wall")
        passes = sum(1 if timing == "step" else len(plan.programs[plan.steps[s].program]) for s in steps)
        self._sets = [
            gpu.device.create_query_set(type="timestamp", count=min(MOST_QUERIES, 2 * passes - first))
            for first in range(0, 2 * passes, MOST_QUERIES)
        ]

    def next_pass(self, step: int, label: str) -> dict[str, Any]:
        """Keyword arguments of the next begin_compute_pass."""
        if not self._sets:
            return {}
        at, index = divmod(2 * len(self._passes), MOST_QUERIES)
        self._passes.append((step, label))
        return {
            "timestamp_writes": {
                "query_set": self._sets[at],
                "beginning_of_pass_write_index": index,
                "end_of_pass_write_index": index + 1,
            }
        }

    def collect(self, times: list[StepTime], launches: list[DispatchTime]) -> None:
        """Append what was measured."""
        if not self._sets:
            times.extend(StepTime(step=step, end_ns=None) for step in self.steps)
            return
        ticks = self._read()
        if self.timing == "dispatch":
            launches.extend(
                DispatchTime(step=step, label=label, gpu_ns=int(end - begin))
                for (step, label), (begin, end) in zip(self._passes, ticks, strict=True)
            )
            return
        origin = int(ticks[0, 0]) - (times[-1].end_ns or 0 if times else 0)
        times.extend(
            StepTime(step=step, end_ns=int(end) - origin, gpu_ns=int(end - begin))
            for (step, _), (begin, end) in zip(self._passes, ticks, strict=True)
        )

    def _read(self) -> Any:
        """(passes, 2) nanoseconds."""
        import wgpu

        count = 2 * len(self._passes)
        usage = wgpu.BufferUsage.QUERY_RESOLVE | wgpu.BufferUsage.COPY_SRC
        resolved = self._ledger.create("timestamps", count * 8, "staging", usage)
        encoder = self._gpu.device.create_command_encoder()
        for at, queries in enumerate(self._sets):
            first = at * MOST_QUERIES
            encoder.resolve_query_set(queries, 0, min(MOST_QUERIES, count - first), resolved, first * 8)
        self._gpu.device.queue.submit([encoder.finish()])
        raw = np.frombuffer(self._ledger.read(resolved, 0, count * 8), "<u8")
        self._ledger.destroy(resolved)
        return (raw.reshape(-1, 2).astype(np.float64) * self._gpu.period_ns).astype(np.int64)
