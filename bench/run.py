"""Run a matrix: check each device, interleave rival formats, make a record of every case whatever happens to it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from tritmark.devices.base import Device, DeviceError
from tritmark.devices.registry import open_device
from tritmark.engine.plan import Caps, Plan
from tritmark.results.record import Record

from . import order
from .case import OURS, Case
from .cooldown import Rest
from .foreign import run_foreign
from .measure import Arm, Tell, reason_of
from .prepare import Prepare, prepare
from .recording import context_of, record_of, verdict_json
from .runners.base import Runner, open_runner
from .verify import Verdict, verify


@dataclass(kw_only=True)
class Bench:
    """Where cases find their devices and engines, and what is already known of these."""

    tell: Tell = lambda case, stage: None
    prepare: Prepare = prepare
    device_of: Callable[[str], Device] = open_device
    check: Callable[[Device], Verdict] = verify
    runner_of: Callable[[str], Runner] = open_runner
    rest: Rest = field(default_factory=Rest)
    devices: dict[str, Device] = field(default_factory=dict)
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    runners: dict[str, Runner] = field(default_factory=dict)

    def device(self, spec: str) -> Device:
        """What a device keeps between sessions serves all groups."""
        if spec not in self.devices:
            self.devices[spec] = self.device_of(spec)
        return self.devices[spec]

    def verdict(self, device: Device) -> Verdict:
        if device.name not in self.verdicts:
            verdict = self.check(device)
            if not verdict.settled:
                return verdict
            self.verdicts[device.name] = verdict
        return self.verdicts[device.name]

    def close(self) -> None:
        """Other engines keep files between their cases; those are removed."""
        for runner in self.runners.values():
            runner.close()


def run_matrix(cases: Sequence[Case], **bench: Any) -> Generator[Record, None, None]:
    """One record a case, given as soon as its group is done; ``bench``: fields of Bench, ``tell`` hears every stage.

    What other engines keep is removed when the iterator ends or is closed.
    """
    yield from run_rounds([cases], Bench(**bench))


def run_rounds(rounds: Iterable[Sequence[Case]], bench: Bench) -> Generator[Record, None, None]:
    """The same for one matrix after another; each is asked for once the one before it is done."""
    with closing(bench):
        for cases in rounds:
            for group in order.grouped(cases, lambda case: case.group):
                yield from _records_of(group, bench)


def _records_of(group: Sequence[Case], bench: Bench) -> Iterator[Record]:
    spec, stage = group[0].runner, partial(bench.tell, group[0])
    try:
        device = bench.device(group[0].device)
    except DeviceError as error:  # it was there when the run began: a phone that was pulled out, perhaps
        yield from (record_of(case, context_of(None), reason=reason_of(error)) for case in group)
        return
    bench.rest.meet(device)
    if spec != OURS:
        if spec not in bench.runners:
            bench.runners[spec] = bench.runner_of(spec)
        yield run_foreign(group[0], device, bench.runners[spec], stage, bench.rest.wait(device, stage))
        return
    stage("exactness probe and golden check")
    verdict = bench.verdict(device)
    context = context_of(device, bench.rest.wait(device, stage)) | verdict_json(verdict)
    yield from run_group(group, device, verdict, bench, context)


def run_group(
    cases: Sequence[Case], device: Device, verdict: Verdict, bench: Bench, context: Mapping[str, Any]
) -> Iterator[Record]:
    """The records of cases that differ in their format only; their repetitions are interleaved."""
    if verdict.reason is not None or verdict.caps is None:
        yield from (
            record_of(case, context, reason=verdict.reason or "the device told nothing of itself") for case in cases
        )
        return
    arms: list[Arm] = []
    reasons: dict[str, str | None] = {}
    for case in cases:
        try:
            bench.tell(case, "compile")
            arms.append(Arm(case=case, prepared=bench.prepare(case, verdict.caps), device=device, tell=bench.tell))
        except Exception as error:
            reasons[case.key] = reason_of(error)
    together = _admit(arms, device.memory_bytes(verdict.caps), verdict.caps) and not device.exclusive
    try:
        _take_turns(arms, together)
    finally:
        for arm in arms:
            arm.close()
    after = {"conditions": {**context["conditions"], "after": device.conditions()}}
    observed = {arm.case.key: arm.observed() for arm in arms}
    reasons |= {arm.case.key: arm.failure for arm in arms}
    schedule = {"schedule": "interleaved" if together else "reopened"}
    for case in cases:
        yield record_of(case, {**context, **after, **schedule}, reason=reasons[case.key], **observed.get(case.key, {}))


def _admit(arms: Sequence[Arm], free_bytes: int | None, caps: Caps) -> bool:
    """Fail the arms that do not fit the device's memory; whether the others fit it all at once."""
    for arm in arms:
        arm.failure = does_not_fit(arm.prepared.plan, free_bytes, caps)
    peaks_bytes = [arm.prepared.plan.peak_gpu_bytes for arm in arms if arm.failure is None]
    return free_bytes is None or sum(peaks_bytes) <= free_bytes


def does_not_fit(plan: Plan, free_bytes: int | None, caps: Caps) -> str | None:
    """Why ``plan`` cannot be held, or None where it can or nobody knows."""
    if free_bytes is None or plan.peak_gpu_bytes <= free_bytes:
        return None
    return (
        f"the plan needs {plan.peak_gpu_bytes / 2**20:,.0f} MiB of GPU memory and {caps.adapter} has "
        f"{free_bytes / 2**20:,.0f} MiB free; choose a smaller model or workload"
    )


def _take_turns(arms: Sequence[Arm], together: bool) -> None:
    """Every repetition of every arm, in ABBA order; with one child at a time an arm reopens at its turn."""
    if together:
        for arm in arms:
            arm.attempt(arm.ready)
    for turn, at in enumerate(order.turns(len(arms), arms[0].case.repetitions if arms else 0)):
        arm = arms[at]
        if arm.session is None and arm.failure is None:
            for other in arms:
                other.close()
            arm.attempt(arm.ready)
        arm.attempt(arm.repeat, turn)
