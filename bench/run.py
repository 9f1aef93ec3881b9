"""Run a matrix: check each device, interleave rival formats, make a record of every case whatever happens to it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from tritmark.devices.base import Device
from tritmark.devices.registry import open_device
from tritmark.engine import inference
from tritmark.engine.formats.model import Model, open_model
from tritmark.engine.plan import Caps, Plan
from tritmark.results.record import SCHEMA, Record

from . import order, provenance
from .case import Case
from .measure import Arm, Prepared, Tell, reason_of
from .verify import Verdict, verify

Prepare = Callable[[Case, Caps], Prepared]


def prepare(case: Case, caps: Caps) -> Prepared:
    """Compile a case for a device."""
    model, workload = _open_model(case.model), inference.Workload.parse(case.workload)
    compiled = inference.compile_workload(model, inference.parse_format(case.format), workload, caps, **case.options)
    return Prepared(
        plan=compiled.plan,
        first_decode=compiled.first_decode,
        model_sha256=model.sha256,
        prompt_tokens=workload.prompt,
    )


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
) -> Iterator[Record]:
    """One record a case, given as soon as its group is done. ``tell`` hears of every stage."""
    verdicts: dict[str, Verdict] = {}
    for group in order.grouped(cases, lambda case: case.group):
        device = device_of(group[0].device)
        if device.name not in verdicts:
            tell(group[0], "exactness probe and golden check")
            verdicts[device.name] = check(device)
        yield from run_group(group, device, verdicts[device.name], prepare, tell)


def run_group(
    cases: Sequence[Case], device: Device, verdict: Verdict, prepare: Prepare, tell: Tell
) -> Iterator[Record]:
    """The records of cases that differ in their format only; their repetitions are interleaved."""
    context = _context(device, verdict)
    if verdict.reason is not None or verdict.caps is None:
        yield from (
            _record(case, context, reason=verdict.reason or "the device told nothing of itself") for case in cases
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
    together = _admit(arms, device.memory_bytes(verdict.caps), verdict.caps)
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
        yield _record(case, context, reason=reasons[case.key], **observed.get(case.key, {}))


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


def _context(device: Device, verdict: Verdict) -> dict[str, Any]:
    """The record's fields that all cases of a group share."""
    caps = verdict.caps
    return {
        "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "exact": verdict.exact,
        "adapter": caps and caps.adapter,
        "driver": caps and caps.driver,
        "caps": caps and _caps_json(caps),
        "conditions": {"before": device.conditions()},
        "versions": provenance.versions(),
        "os": provenance.operating_system(),
    }


def _caps_json(caps: Caps) -> dict[str, Any]:
    return {
        **vars(caps),
        "features": list(caps.features),
        "language_features": list(caps.language_features),
        "limits": dict(caps.limits),
    }


def _record(case: Case, context: Mapping[str, Any], *, reason: str | None, **observed: Any) -> Record:
    return Record(
        schema=SCHEMA,
        id=uuid.uuid4().hex,
        kind="measured",
        status="ok" if reason is None else "failed",
        reason=reason,
        case=case.axes(),
        case_key=case.key,
        model=case.model,
        format=case.format,
        workload=case.workload,
        device=case.device,
        **context,
        **observed,
    )
