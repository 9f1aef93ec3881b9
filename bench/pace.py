"""Pace: what each kernel of a Plan takes on a device, and from that what other Plans will take there.

The launches of one kernel for one purpose are played over and over, as they follow each other in a run, so that a
launch's time holds what it waits for the one before. A kernel with other amounts of work is told from those that were
measured: in between on the line through both, beyond the largest in proportion, never below the time of the least.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from tritmark.devices.base import Bundle, Session, finished
from tritmark.engine.plan import Dispatch, Plan, Step

from .prepare import Prepared
from .profile import LAYER

LAUNCHES = 16
REPETITIONS = 3


@dataclass(frozen=True)
class Pace:
    """ns of a launch of a kernel that moves ``bytes`` and computes ``operations``."""

    bytes: int
    operations: int
    launch_ns: float

    @property
    def work(self) -> int:
        return self.operations + self.bytes


def timed_steps(prepared: Prepared) -> tuple[Step, ...]:
    """Steps of the timed region: decode steps, all of a prefill, or those of fine-tuning."""
    steps = prepared.plan.steps
    return steps[prepared.first_decode :] if prepared.decodes else steps[prepared.opening :]


def family(format: str, prepared: Prepared, dispatch: Dispatch) -> str:
    """Kernels that differ in size alone: one purpose, in one format, for one token, many or training."""
    phase = "train" if prepared.training else "one" if prepared.decodes else "many"
    return f"{format} {phase} {LAYER.sub('', dispatch.label).partition('@')[0]}"


def measure(session: Session, prepared: Prepared, model: str, format: str) -> dict[str, list[Pace]]:
    """The pace of every kernel in the last timed step of each program, by family."""
    steps = {step.program: step for step in timed_steps(prepared)}
    groups: dict[tuple[str, str], list[Dispatch]] = {}
    for name in steps:
        for dispatch in prepared.plan.programs[name]:
            groups.setdefault((name, dispatch.module), []).append(dispatch)
    plan = _repeating(prepared.plan, [(steps[name], group) for (name, _), group in groups.items()])
    session.load(Bundle(plan=plan, model=model, format=format))
    found: dict[str, list[Pace]] = {}
    for at, group in enumerate(groups.values()):
        step_ns = min(_step_ns(session, at) for _ in range(1 + REPETITIONS))
        launch_ns = step_ns / len(plan.programs[str(at)])  # of kernels of one text: sizes are part of it
        cost = group[0].cost
        found.setdefault(family(format, prepared, group[0]), []).append(Pace(cost.bytes, cost.operations, launch_ns))
    return found


def predicted_ns(prepared: Prepared, format: str, paces: Mapping[str, Sequence[Pace]]) -> float | None:
    """What the timed region will take; None where a kernel's pace is not known."""
    total = 0.0
    for step in timed_steps(prepared):
        for dispatch in prepared.plan.programs[step.program]:
            known = paces.get(family(format, prepared, dispatch))
            if not known:
                return None
            total += launch_ns(dispatch, known)
    return total


def launch_ns(dispatch: Dispatch, known: Iterable[Pace]) -> float:
    """What a launch takes, by launches of its family with more and with less work."""
    work = dispatch.cost.operations + dispatch.cost.bytes
    points = sorted(known, key=lambda pace: pace.work)
    above = next((pace for pace in points if pace.work >= work), None)
    below = next((pace for pace in reversed(points) if pace.work <= work), None)
    if below is None:
        return points[0].launch_ns
    if above is None:
        return _beyond(work, points)
    share = (work - below.work) / max(1, above.work - below.work)
    return below.launch_ns + share * (above.launch_ns - below.launch_ns)


def _beyond(work: int, points: Sequence[Pace]) -> float:
    """More work than any that was measured: as the two largest grow, or in proportion to the only one."""
    last = points[-1]
    before = next((pace for pace in reversed(points) if pace.work < last.work), Pace(0, 0, 0.0))
    slope = max(0.0, (last.launch_ns - before.launch_ns) / max(1, last.work - before.work))
    return last.launch_ns + slope * (work - last.work)


def _repeating(plan: Plan, groups: Sequence[tuple[Step, list[Dispatch]]]) -> Plan:
    """A Plan with a program and a step for each group: its launches over and over."""
    programs = {
        str(at): tuple(group[i % len(group)] for i in range(-(-LAUNCHES // len(group)) * len(group)))
        for at, (_, group) in enumerate(groups)
    }
    steps = tuple(replace(step, program=str(at)) for at, (step, _) in enumerate(groups))
    return replace(plan, programs=programs, steps=steps, probes=())


def _step_ns(session: Session, at: int) -> float:
    timed = "timestamp-query" in session.caps.features
    trace = finished(session.play(at, at + 1, "step" if timed else "wall"))
    return float(trace.steps[0].gpu_ns or trace.wall_ns)
