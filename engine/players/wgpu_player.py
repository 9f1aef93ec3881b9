"""The reference player: replays a Plan through wgpu (Vulkan, Metal, DX12) and hands back Traces.

Buffers, pipelines and bind groups exist once per loaded Plan; a step only encodes. Timing is an argument of the one
loop.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ..errors import PlayerError
from ..plan import STEP_STRIDE_BYTES, Dispatch, DispatchTime, Plan, Slot, StepTime, Trace, validate
from . import native
from .clock import Clock
from .gpu import Gpu, open_gpu
from .ledger import Ledger

__all__ = ["Session", "WeightSource", "load", "open_gpu"]

UPLOAD_BYTES = 16 << 20
STEPS_AT_ONCE = 512  # timed steps a query set holds; WebGPU allows 4096 queries


class WeightSource(Protocol):
    """Where the bytes of weight slots come from."""

    def parts(self, slot: Slot) -> Iterator[npt.NDArray[np.uint8]]:
        """The slot's content in pieces."""


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
        self.load_ns = self.compile_ns = 0

    def fill(self, source: WeightSource) -> None:
        """Create every buffer and write its initial content."""
        started = time.perf_counter_ns()
        for slot in self.plan.slots:
            self.buffers[slot.id] = self.ledger.create(slot.id, slot.bytes, slot.role)
            self._write_initial(slot, source)
        self.steps = self.ledger.create("steps", max(1, len(self.plan.steps)) * STEP_STRIDE_BYTES, "steps")
        table = np.zeros((len(self.plan.steps), STEP_STRIDE_BYTES // 4), "<u4")
        for row, step in zip(table, self.plan.steps, strict=True):
            row[: len(step.values)] = step.values
        self.device.queue.write_buffer(self.steps, 0, table)
        self._settle()
        self.load_ns = time.perf_counter_ns() - started

    def _write_initial(self, slot: Slot, source: WeightSource) -> None:
        if slot.inline is not None:
            padded = slot.inline + bytes(-len(slot.inline) % 4)
            self.device.queue.write_buffer(self.buffers[slot.id], 0, padded)
        offset = 0
        for part in source.parts(slot) if slot.ranges else ():
            if offset + part.nbytes > slot.bytes:
                raise PlayerError(
                    f"the weight file holds more than {slot.bytes:,} bytes for {slot.id}; it belongs to another plan"
                )
            for first in range(0, part.nbytes, UPLOAD_BYTES):
                piece = part[first : first + UPLOAD_BYTES]
                self.device.queue.write_buffer(self.buffers[slot.id], offset + first, piece)
                if piece.nbytes == UPLOAD_BYTES:
                    self._settle()
            offset += part.nbytes
        if slot.ranges and offset != sum(r.bytes for r in slot.ranges):
            raise PlayerError(f"the weight file holds {offset:,} bytes for {slot.id}, the plan expects {slot.bytes:,}")

    def build(self) -> None:
        """Create pipelines and bind groups."""
        started = time.perf_counter_ns()
        pipelines: dict[str, tuple[Any, Any]] = {}
        groups: dict[object, Any] = {}
        for name, dispatches in self.plan.programs.items():
            self.launches[name] = [self._launch(d, pipelines, groups) for d in dispatches]
        self._settle()
        self.compile_ns = time.perf_counter_ns() - started

    def _launch(
        self, dispatch: Dispatch, pipelines: dict[str, tuple[Any, Any]], groups: dict[object, Any]
    ) -> native.Launch:
        if dispatch.module not in pipelines:
            pipelines[dispatch.module] = self._pipeline(dispatch)
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
            shader = self.device.create_shader_module(label=dispatch.label, code=self.plan.modules[dispatch.module])
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
        for step in steps:
            encoder = self.device.create_command_encoder()
            self._encode(encoder, step, clock)
            self.device.queue.submit([encoder.finish()])
        encode_ns = time.perf_counter_ns() - started
        self._settle()
        clock.collect(times, launches)
        return encode_ns

    def _encode(self, encoder: Any, step: int, clock: Clock) -> None:
        row = self.plan.steps[step]
        launches = self.launches[row.program]
        for run in [[launch] for launch in launches] if clock.timing == "dispatch" else [launches]:
            compute = encoder.begin_compute_pass(**clock.next_pass(step, run[0].label))
            native.encode(compute, run, row.values, step * STEP_STRIDE_BYTES)
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

    def write(self, slot: str, data: bytes, offset: int = 0) -> None:
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
