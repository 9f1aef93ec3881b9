"""Probing: how fast a whole model would be on a device, told in half a minute by its first layers.

Layers are alike, so that a model cut to 3 layers takes two layers longer than one cut to 1, and the whole takes as much
more as it has layers more: t = t(1) + (layers - 1) (t(3) - t(1)) / 2. Embedding, head, sampling and submission are in
t(1). What is composed so is a record of kind "predicted": it says of which layers, and never passes for a measurement.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tritmark.devices.base import Bundle, Device, Session
from tritmark.engine.plan import Caps
from tritmark.results.record import Record, case_key

from .case import Case
from .measure import Arm, Tell
from .prepare import prepare
from .recording import context_of, record_of, verdict_json
from .verify import Verdict

WORKLOADS = ("decode:32", "prefill:128", "lora:r8,c128,s1")
LAYERS = (1, 3)
BUDGET_S = 30.0


def probe(
    device: Device, verdict: Verdict, cases: Sequence[Case], tell: Tell, budget_s: float = BUDGET_S
) -> Iterator[Record]:
    """A predicted record of each case; none for those that the time did not suffice for. ``verdict`` must have passed.

    Cases of one workload follow each other, so that rival formats are measured within seconds of each other. Whatever
    a device or the compiler refuses is raised.
    """
    assert verdict.caps is not None
    context = {**context_of(device), **verdict_json(verdict)}
    end = time.monotonic() + budget_s
    with device.session() as session:
        for case in cases:
            if time.monotonic() > end:
                return
            tell(case, "probe")
            yield _predicted(case, device, session, verdict.caps, context)


def composed_ns(few_ns: int, more_ns: int, lengths: tuple[int, int], layers: int) -> int:
    """The time of ``layers`` layers from that of ``lengths`` of them. Noise may make the longer model the faster one;
    a layer never takes less than nothing.
    """
    few, more = lengths
    return few_ns + max(0, more_ns - few_ns) * (layers - few) // max(1, more - few)


def _predicted(case: Case, device: Device, session: Session, caps: Caps, context: Mapping[str, Any]) -> Record:
    whole = prepare(case, caps)
    assert whole.shape is not None
    of = whole.shape["layers"]
    few, more = lengths = LAYERS[0], min(LAYERS[1], of)
    arms = [_sampled(cut(case, layers), device, session, caps) for layers in lengths]
    walls = ([sample.wall_ns for sample in arm.samples] for arm in arms)
    samples = tuple(composed_ns(few_ns, more_ns, lengths, of) for few_ns, more_ns in zip(*walls, strict=True))
    axes = {**case.axes(), "probe": list(lengths)}
    observed: dict[str, Any] = {
        "model_sha256": whole.model_sha256, "shape": whole.shape, "training": whole.training, "player": arms[0].player,
        "prompt_tokens": whole.prompt_tokens, "generated_tokens": whole.generated_tokens, "samples_ns": samples,
        "predicted_peak_bytes": whole.plan.peak_gpu_bytes, "timing": "wall",
    }  # fmt: skip
    return replace(
        record_of(case, context, reason=None, **observed),
        kind="predicted", grade="predicted", case=axes, case_key=case_key(axes),
        grade_reasons=(f"composed of {few} and {more} of {of} layers",),
    )  # fmt: skip


def cut(case: Case, layers: int) -> Case:
    """The same of the model's first layers."""
    return replace(case, model=f"{case.model}{'&' if '?' in case.model else '?'}layers={layers}")


def _sampled(case: Case, device: Device, session: Session, caps: Caps) -> Arm:
    arm = Arm(case=case, prepared=prepare(case, caps), device=device, tell=lambda case, stage: None, session=session)
    session.load(Bundle(plan=arm.prepared.plan, model=case.model, format=case.format))
    arm.warm_up()
    arm.samples = [arm.sample() for _ in range(case.repetitions)]
    return arm
