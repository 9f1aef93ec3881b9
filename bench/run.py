"""Run a matrix: check each device, interleave rival formats, make a record of every case whatever happens to it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import cache, lru_cache, partial
from typing import Any

from tritmark.devices.base import Device, DeviceError
from tritmark.devices.registry import open_device
from tritmark.engine import inference
from tritmark.engine.errors import PlanError
from tritmark.engine.formats.model import Model, open_model
from tritmark.engine.lora_workload import LoraWorkload, compile_lora_workload
from tritmark.engine.plan import Caps, Plan
from tritmark.results.record import Record

from . import order
from .case import OURS, Case
from .cooldown import Rest
from .foreign import run_foreign
from .measure import Arm, Prepared, Tell, reason_of
from .recording import context_of, record_of, verdict_json
from .runners.base import Runner, open_runner
from .verify import Verdict, verify
from .workload import parse_workload

Prepare = Callable[[Case, Caps], Prepared]


def prepare(case: Case, caps: Caps) -> Prepared:
    """Compile a case for a device."""
    model, workload = _open_model(case.model), parse_workload(case.workload)
    fmt = inference.parse_format(case.format)
    if isinstance(workload, LoraWorkload):
        return _prepare_lora(model, fmt, workload, caps, case.options)
    _refuse(case.options, "recompute", "a lora: workload")
    compiled = inference.compile_workload(model, fmt, workload, caps, **case.options)
    return Prepared(
        plan=compiled.plan,
        first_decode=compiled.first_decode,
        model_sha256=model.sha256,
        prompt_tokens=workload.prompt,
    )


def _prepare_lora(
    model: Model, fmt: inference.Format, workload: LoraWorkload, caps: Caps, options: Mapping[str, Any]
) -> Prepared:
    _refuse(options, "chunk", "prefill or decode")
    lora = compile_lora_workload(model, fmt, workload, caps, **options)
    steps = len(lora.compiled.plan.steps)
    return Prepared(
        plan=lora.compiled.plan, first_decode=steps, model_sha256=model.sha256, prompt_tokens=None,
        training=lora.about, opening=lora.opening.stop,
    )  # fmt: skip


def _refuse(options: Mapping[str, Any], name: str, of: str) -> None:
    if name in options:
        raise PlanError(f"{name} is an option of {of} alone; leave it out")


@lru_cache(maxsize=1)
def _open_model(spec: str) -> Model:
    """The model of the last case, most likely: its digest is computed once, not once a case."""
    return open_model(spec)


def run_matrix(
    cases: Sequence[Case],
    *,
    tell: Tell = lambda case, stage: None,
    prepare: Prepare = prepare,
    device_of: Callable[[str], Device] = open_device,
    check: Callable[[Device], Verdict] = verify,
    runner_of: Callable[[str], Runner] = open_runner,
    rest: Rest | None = None,
) -> Generator[Record, None, None]:
    """One record a case, given as soon as its group is done. ``tell`` hears of every stage.

    Other engines keep files between their cases; those are removed when the iterator ends or is closed.
    """
    verdicts: dict[str, Verdict] = {}
    runners: dict[str, Runner] = {}
    device_of = cache(device_of)  # what a device keeps between sessions serves all groups
    rest = rest or Rest()
    with ExitStack() as open_runners:
        for group in order.grouped(cases, lambda case: case.group):
            spec, stage = group[0].runner, partial(tell, group[0])
            try:
                device = device_of(group[0].device)
            except DeviceError as error:  # it was there when the run began: a phone that was pulled out, perhaps
                yield from (record_of(case, context_of(None), reason=reason_of(error)) for case in group)
                continue
            rest.meet(device)
            if spec != OURS:
                if spec not in runners:
                    runners[spec] = runner_of(spec)
                    open_runners.callback(runners[spec].close)
                yield run_foreign(group[0], device, runners[spec], stage, rest.wait(device, stage))
                continue
            verdict = verdicts.get(device.name)
            if verdict is None:
                stage("exactness probe and golden check")
                verdict = check(device)
                if verdict.settled:
                    verdicts[device.name] = verdict
            yield from run_group(group, device, verdict, prepare, tell, rest.wait(device, stage))


def run_group(
    cases: Sequence[Case],
    device: Device,
    verdict: Verdict,
    prepare: Prepare,
    tell: Tell,
    rested: Mapping[str, Any] | None = None,
) -> Iterator[Record]:
    """The records of cases that differ in their format only; their repetitions are interleaved."""
    context = context_of(device, rested) | verdict_json(verdict)
    if verdict.reason is not None or verdict.caps is None:
        yield from (
            record_of(case, context, reason=verdict.reason or "the device told nothing of itself") for case in cases
        )
        return
    arms: list[Arm] = []
    reasons: dict[str, str | None] = {}
    for case in cases:
        try:
            tell(case, "compile")
            arms.append(Arm(case=case, prepared=prepare(case, verdict.caps), device=device, tell=tell))
        except Exception as error:
            reasons[case.key] = reason_of(error)
    together = _admit(arms, device.memory_bytes(verdict.caps), verdict.caps) and not device.exclusive
    try:
        _take_turns(arms, together)
    finally:
        for arm in arms:
            arm.close()
    context["conditions"]["after"] = device.conditions()
    observed = {arm.case.key: arm.observed() for arm in arms}
    reasons |= {arm.case.key: arm.failure for arm in arms}
    context["schedule"] = "interleaved" if together else "reopened"
    for case in cases:
        yield record_of(case, context, reason=reasons[case.key], **observed.get(case.key, {}))


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
