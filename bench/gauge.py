"""Gauge: what a device's memory and its queue can do, measured with two micro-Plans.

Both quantities are slopes: a step of many dispatches against a step of one, so that submission and read-back cancel
out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tritmark.devices.base import Bundle, Device, DeviceError, Session, finished
from tritmark.engine.errors import EngineError
from tritmark.engine.plan import Binding, Cost, Dispatch, Plan, Probe, Slot, Step
from tritmark.engine.wgsl import Module, render

COPY_BYTES = 64 << 20
COPIES = 8
TINY_BYTES = 256
TINY_DISPATCHES = 256
REPETITIONS = 5
LANES, LANE_BYTES = 256, 16


@dataclass(frozen=True, kw_only=True)
class Gauge:
    """Bytes read and written by a copy kernel in a second, and the time of one more dependent tiny dispatch."""

    copy_bytes_per_s: float
    dispatch_ns: float


def gauge(session: Session) -> Gauge:
    """Measure; DeviceError where the device does not play, or where one copy takes as long as many."""
    most = COPY_BYTES // 16 if session.caps.kind == "cpu" else COPY_BYTES  # software copies slower than any memory
    size = min(most, session.caps.limit("maxStorageBufferBindingSize"))
    copy_ns = _slope_ns(session, size, COPIES)
    dispatch_ns = _slope_ns(session, TINY_BYTES, TINY_DISPATCHES)
    return Gauge(copy_bytes_per_s=2 * size / copy_ns * 1e9, dispatch_ns=dispatch_ns)


def measured(session: Session) -> Gauge | None:
    """The same, None where it cannot be measured: records go without."""
    try:
        return gauge(session)
    except (DeviceError, EngineError):
        return None


def copy_ns(device: Device) -> float:
    """How long a few large copies take at best: a device that throttles takes longer than it did when it was cool."""
    with device.session() as session:
        size = min(COPY_BYTES, session.caps.limit("maxStorageBufferBindingSize"))
        session.load(_bundle(ladder(size, COPIES)))
        return min(finished(session.play(1, 2)).wall_ns for _ in range(1 + REPETITIONS))


def ladder(size: int, more: int) -> Plan:
    """Step 0 copies ``size`` bytes once, step 1 ``more`` times more, to and fro, each copy after the last."""
    module = render("copy", {})
    slots = tuple(Slot(id=name, bytes=size, role="scratch") for name in ("even", "odd"))
    return Plan(
        modules={module.hash: module.text},
        slots=slots,
        programs={"once": (_copy(module, *slots),), "often": _copies(module, slots, 1 + more)},
        columns=("zero",),
        steps=tuple(Step(program=name, values=(0,)) for name in ("once", "often")),
        probes=(Probe(name="copied", slot="odd", offset=0, bytes=4),),
        files={},
    )


def _copies(module: Module, slots: Sequence[Slot], count: int) -> tuple[Dispatch, ...]:
    return tuple(_copy(module, slots[index % 2], slots[1 - index % 2]) for index in range(count))


def _copy(module: Module, original: Slot, copied: Slot) -> Dispatch:
    size = original.bytes
    bindings = (
        Binding(slot=original.id, offset=0, bytes=size, access="read"),
        Binding(slot=copied.id, offset=0, bytes=size, access="read_write"),
    )
    grid = (-(-size // (LANES * LANE_BYTES)), 1, 1)
    return Dispatch(module=module.hash, bindings=bindings, grid=grid, label="copy", cost=Cost(bytes=2 * size))


def _slope_ns(session: Session, size: int, more: int) -> float:
    """Time of one more copy: least times of both steps, their difference shared out."""
    session.load(_bundle(ladder(size, more)))
    once_ns, often_ns = (min(_step_ns(session, at) for _ in range(1 + REPETITIONS)) for at in (0, 1))
    if often_ns <= once_ns:
        raise DeviceError("one copy and many take the same time here; the bandwidth of this device cannot be measured")
    return (often_ns - once_ns) / more


def _step_ns(session: Session, at: int) -> int:
    """By the GPU's own clock where it can be read: a fast one is done before its player has looked."""
    trace = finished(session.play(at, at + 1, "step" if "timestamp-query" in session.caps.features else "wall"))
    gpu_ns = trace.steps[0].gpu_ns if trace.steps else None
    return trace.wall_ns if gpu_ns is None else gpu_ns


def _bundle(plan: Plan) -> Bundle:
    """A plan without weights still names a model: that of the golden check."""
    return Bundle(plan=plan, model="synthetic:tiny", format="tq2_0")
