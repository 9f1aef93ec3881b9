"""The reference player: replays a Plan through wgpu (Vulkan, Metal, DX12) and hands back Traces.

Buffers, pipelines and bind groups exist once per loaded Plan; a step only encodes. Timing is an argument of the one
loop.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import PlayerError
from ..plan import STEP_STRIDE_BYTES, Dispatch, DispatchTime, Plan, StepTime, Trace, validate
from ..threads import mapped
from . import native
from .clock import Clock
from .gpu import Gpu, open_gpu
from .ledger import Ledger
from .upload import WeightSource, upload

__all__ = ["Session", "WeightSource", "load", "open_gpu"]

STEPS_AT_ONCE = 512  # timed steps a query set holds; WebGPU allows 4096 queries
# Of a submission, so that no driver takes it for a hang. More steps would be encoded for longer before any is played.
MOST_STEPS, MOST_BYTES, MOST_OPERATIONS = 4, 2 << 30, 1 << 36


def load(gpu: Gpu, plan: Plan, source: WeightSource) -> Session:
    """Validate ``plan``, create its buffers and pipelines and upload its weights. Raises PlanError or PlayerError."""
    validate(plan, gpu.caps)
    session = Session(gpu, plan)
    try:
        session.fill(source)
        session.build()
    except Exception:
        session.close()
        raise
    return session


class Session:
    """A loaded Plan. ``load_ns`` and ``compile_ns`` say what loading cost."""

    def __init__(self, gpu: Gpu, plan: Plan) -> None:
        self.plan, self.gpu, self.device = plan, gpu, gpu.device
        self.ledger = Ledger(gpu.device)
        self.buffers: dict[str, Any] = {}
        self.launches: dict[str, list[native.Launch]] = {}
        self._handles: list[Any] = []  # wgpu objects whose native handles the launches hold
        self._together = {name: _steps_together(dispatches) for name, dispatches in plan.programs.items()}
        self.load_ns = self.compile_ns = 0

    def fill(self, source: WeightSource) -> None:
        """Create every buffer and write its initial content."""
        started = time.perf_counter_ns()
        for slot in self.plan.slots:
            self.buffers[slot.id] = self.ledger.create(slot.id, slot.bytes, slot.role)
            if slot.inline is not None:
                self.write(slot.id, slot.inline + bytes(-len(slot.inline) % 4))
        upload([slot for slot in self.plan.slots if slot.ranges], source, self.write, self._settle)
        self.steps = self.ledger.create("steps", max(1, len(self.plan.steps)) * STEP_STRIDE_BYTES, "steps")
        table = np.zeros((len(self.plan.steps), STEP_STRIDE_BYTES // 4), "<u4")
        for row, step in zip(table, self.plan.steps, strict=True):
            row[: len(step.values)] = step.values
        self.device.queue.write_buffer(self.steps, 0, table)
        self._settle()
        self.load_ns = time.perf_counter_ns() - started

    def build(self) -> None:
        """Create pipelines and bind groups."""
        started = time.perf_counter_ns()
        firsts = {d.module: d for dispatches in self.plan.programs.values() for d in reversed(dispatches)}
        pipelines = dict(zip(firsts, mapped(self._pipeline, firsts.values()), strict=True))
        groups: dict[object, Any] = {}
        for name, dispatches in self.plan.programs.items():
            self.launches[name] = [self._launch(d, pipelines, groups) for d in dispatches]
        self._settle()
        self.compile_ns = time.perf_counter_ns() - started

    def _launch(
        self, dispatch: Dispatch, pipelines: dict[str, tuple[Any, Any]], groups: dict[object, Any]
    ) -> native.Launch:
        layout, pipeline = pipelines[dispatch.module]
        key = (dispatch.module, dispatch.bindings)
        if key not in groups:
            groups[key] = self._group(layout, dispatch)
        self._handles += (pipeline, groups[key])
        x, y, z = (side if isinstance(side, int) else -1 - self.plan.columns.index(side) for side in dispatch.grid)
        return native.Launch(native.handle(pipeline), native.handle(groups[key]), (x, y, z), dispatch.label)

    def _group(self, layout: Any, dispatch: Dispatch) -> Any:
        entries = [{"binding": 0, "resource": {"buffer": self.steps, "offset": 0, "size": STEP_STRIDE_BYTES}}]
        entries += [
            {"binding": i, "resource": {"buffer": self.buffers[b.slot], "offset": b.offset, "size": b.bytes}}
            for i, b in enumerate(dispatch.bindings, 1)
        ]
        return self.device.create_bind_group(layout=layout, entries=entries)

    def _pipeline(self, dispatch: Dispatch) -> tuple[Any, Any]:
        kinds = {"uniform": "uniform", "read": "read-only-storage", "read_write": "storage"}
        entries: list[dict[str, Any]] = [
            {"binding": 0, "visibility": 4, "buffer": {"type": "uniform", "has_dynamic_offset": True}}
        ]
        entries += [
            {"binding": i, "visibility": 4, "buffer": {"type": kinds[b.access]}}
            for i, b in enumerate(dispatch.bindings, 1)
        ]
        try:
            layout = self.device.create_bind_group_layout(entries=entries)
            shader = native.trusted_module(self.device, dispatch.label, self.plan.modules[dispatch.module])
            pipeline = self.device.create_compute_pipeline(
                layout=self.device.create_pipeline_layout(bind_group_layouts=[layout]),
                compute={"module": shader, "entry_point": "main"},
            )
        except Exception as error:  # wgpu's error classes differ by version; the text names line and column
            raise PlayerError(f"{dispatch.label} does not compile: {' '.join(str(error).split())}") from error
        return layout, pipeline

    def play(self, first: int = 0, last: int | None = None, timing: str = "wall") -> Trace:
        """Play steps first..last (half open). ``timing``: "wall", "step" (a timestamp pair a step), "dispatch" (a pair
        a launch).
        """
        last = len(self.plan.steps) if last is None else last
        if not 0 <= first < last <= len(self.plan.steps):
            raise PlayerError(f"steps {first}..{last} are outside the plan's {len(self.plan.steps)}")
        times: list[StepTime] = []
        launches: list[DispatchTime] = []
        started, encode_ns = time.perf_counter_ns(), 0
        for start in range(first, last, STEPS_AT_ONCE):
            encode_ns += self._play_some(range(start, min(start + STEPS_AT_ONCE, last)), timing, times, launches)
        wall_ns = time.perf_counter_ns() - started
        return Trace(
            plan_hash=self.plan.hash,
            player="wgpu",
            status="ok",
            reason=None,
            timing=timing,
            wall_ns=wall_ns,
            steps=tuple(times),
            digests=self.digests(),
            ledger=self.ledger.by_role(),
            ledger_peak_bytes=self.ledger.peak_bytes,
            dispatches=tuple(launches),
            encode_ns=encode_ns,
        )

    def _play_some(self, steps: range, timing: str, times: list[StepTime], launches: list[DispatchTime]) -> int:
        """Play ``steps``; the time of encoding and submitting them."""
        clock = Clock(self.gpu, self.ledger, self.plan, steps, timing)
        started = time.perf_counter_ns()
        for some in self._submissions(steps):
            encoder = self.device.create_command_encoder()
            self._encode(encoder, some, clock)
            self.device.queue.submit([encoder.finish()])
        encode_ns = time.perf_counter_ns() - started
        self._settle()
        clock.collect(times, launches)
        return encode_ns

    def _submissions(self, steps: range) -> Iterator[range]:
        """``steps``, short ones of one program together: between submissions a GPU idles 10 to 20 us."""
        first = steps.start
        for step in steps:
            program = self.plan.steps[first].program
            following = self.plan.steps[step + 1].program if step + 1 < steps.stop else None
            if following != program or step + 1 - first >= self._together[program]:
                yield range(first, step + 1)
                first = step + 1

    def _encode(self, encoder: Any, steps: range, clock: Clock) -> None:
        """One compute pass for all ``steps``, or as many as ``clock`` times."""
        compute = encoder.begin_compute_pass() if clock.timing == "wall" else None
        for step in steps:
            row = self.plan.steps[step]
            launches = self.launches[row.program]
            for run in [[launch] for launch in launches] if clock.timing == "dispatch" else [launches]:
                part = compute or encoder.begin_compute_pass(**clock.next_pass(step, run[0].label))
                native.encode(part, run, row.values, step * STEP_STRIDE_BYTES)
                if compute is None:
                    part.end()
        if compute is not None:
            compute.end()

    def digests(self) -> dict[str, str]:
        """SHA-256 of each probe's bytes."""
        return {p.name: hashlib.sha256(self.read(p.slot, p.offset, p.bytes)).hexdigest() for p in self.plan.probes}

    def read(self, slot: str, offset: int = 0, size: int | None = None) -> bytes:
        """Bytes of a slot, read back through a small staging buffer."""
        if slot not in self.buffers:
            raise PlayerError(f"the plan has no slot {slot}")
        whole = self.plan.slot_by_id[slot].bytes
        size = whole - offset if size is None else size
        if offset < 0 or size <= 0 or offset + size > whole:
            raise PlayerError(f"bytes {offset}..{offset + size} lie outside {slot} ({whole:,} bytes)")
        return self.ledger.read(self.buffers[slot], offset, size)

    def write(self, slot: str, data: bytes | npt.NDArray[np.uint8], offset: int = 0) -> None:
        """Overwrite bytes of a slot (a new prompt, a cleared cache)."""
        self.device.queue.write_buffer(self.buffers[slot], offset, data)

    def _settle(self) -> None:
        """Wait until the device has done everything submitted."""
        self.device.queue.submit([])
        native.wait(self.device)
        self.ledger.check()

    def close(self) -> None:
        """Free every buffer."""
        self.launches.clear()
        self._handles.clear()
        self.buffers.clear()
        self.ledger.close()


def _steps_together(dispatches: Sequence[Dispatch]) -> int:
    """How many steps of a program make one submission."""
    moved, done = sum(d.cost.bytes for d in dispatches), sum(d.cost.operations for d in dispatches)
    return max(1, min(MOST_STEPS, MOST_BYTES // max(1, moved), MOST_OPERATIONS // max(1, done)))
