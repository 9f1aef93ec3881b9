"""Replay: a record's Plan made again from its case and caps, and played where that is possible.

What a record says of its plan, its output, its buffers and its losses follows from case, caps and revision alone, on
every device that computes exactly. So a false one is found whoever signed it. A time does not follow: it is measured
again where the same adapter is here, and both are told.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from tritmark.devices.base import Bundle, Device, DeviceError
from tritmark.devices.session import caps_from_json
from tritmark.engine.errors import EngineError
from tritmark.engine.plan import problems
from tritmark.results.bundles.faults import Fault, Note
from tritmark.results.record import Record

from .case import OURS, Case
from .measure import Arm, combined_digest, reason_of
from .prepare import Prepared, prepare
from .provenance import versions
from .run import does_not_fit
from .verify import Verdict, verify

MOST = 4  # records that a replay takes on unless more are asked for, the smallest first
AGAIN = 3  # samples of a time that is measured again
MADS = 3.0
PLAN_FACTS = ("shader_hash", "model_sha256", "predicted_peak_bytes", "prompt_tokens", "generated_tokens", "dispatches",
              "shape")  # fmt: skip

Tell = Callable[[Record, str], None]


@dataclass(kw_only=True)
class Replay:
    """What came of it. ``remade``: records whose plan was compiled again to the same hash; ``played``: whose output
    came again.
    """

    faults: list[Fault] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    remade: list[str] = field(default_factory=list)
    played: list[str] = field(default_factory=list)

    def wrong(self, record: Record, name: str, says: str) -> None:
        self.faults.append(Fault(check="replay", record_id=record.id, field=name, says=says))

    def note(self, record: Record, says: str, *, settled: bool = False) -> None:
        self.notes.append(Note(check="replay", record_id=record.id, says=says, settled=settled))


def replay(
    records: Sequence[Record],
    device: Device,
    *,
    most: int = MOST,
    revision: str | None = None,
    check: Callable[[Device], Verdict] = verify,
    tell: Tell = lambda record, stage: None,
) -> Replay:
    """Replay the ``most`` smallest records on ``device``. ``revision``: of this program, None to look it up."""
    found = Replay()
    chosen = sorted(filter(replayable, records), key=_work)[:most]
    verdict = check(device) if chosen else None
    for record in chosen:
        tell(record, "compile")
        prepared = _remade(record, revision or versions()["revision"], found)
        if prepared is None or verdict is None:
            continue
        if verdict.reason is not None:
            found.note(record, f"not played: {verdict.reason}")
            continue
        tell(record, "play")
        try:
            _play(record, prepared, device, found)
        except (DeviceError, EngineError) as error:
            found.note(record, f"not played: {reason_of(error)}")
    return found


def replayable(record: Record) -> bool:
    """Whether there is a plan to make again: not of other engines, printed figures, predictions and failed cases."""
    ours = record.runner is None and record.case.get("runner", OURS) == OURS
    return ours and record.kind == "measured" and record.status == "ok" and record.caps is not None


def _work(record: Record) -> int:
    """About how much there is to compute: bytes of weights times tokens, those that are learnt from three times."""
    tokens = (record.prompt_tokens or 0) + (record.generated_tokens or 0)
    return (record.ledger or {}).get("weight", 0) * (tokens or 3 * (record.training or {}).get("slots", 1))


def _remade(record: Record, here: str, found: Replay) -> Prepared | None:
    """The plan, compiled again; None where it cannot be. What of it the record has wrong joins ``found``."""
    source = record.case.get("model", "")
    if not source.startswith("synthetic:") and not Path(source).is_file():
        found.note(record, f"not replayed: it needs the model {source}, which is not here")
        return None
    try:
        prepared = prepare(_case(record), caps_from_json(dict(record.caps or {})))
    except (EngineError, OSError) as error:
        found.note(record, f"not replayed: it does not compile here: {reason_of(error)}")
        return None
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        found.wrong(record, "case", f"its case or caps are none ({type(error).__name__}: {error})")
        return None
    if not source.startswith("synthetic:") and prepared.model_sha256 != record.model_sha256:
        found.note(record, f"not replayed: the {source} here is another file")
        return None
    if prepared.plan.hash == record.plan_hash:
        found.remade.append(record.id)
        _hold_facts(record, prepared, found)
    else:
        _other_plan(record, prepared, here, found)
    return prepared


def _case(record: Record) -> Case:
    return Case(**{**record.case, "session": record.session})


def _hold_facts(record: Record, prepared: Prepared, found: Replay) -> None:
    """Everything that follows from a plan of this hash; what older records did not say is not held against them."""
    own = {name: getattr(prepared, name, None) for name in PLAN_FACTS}
    own |= {"shader_hash": prepared.plan.shader_hash, "predicted_peak_bytes": prepared.plan.peak_gpu_bytes}
    for name, value in own.items():
        told = getattr(record, name)
        if told is not None and told != value:
            found.wrong(record, name, f"{_short(told)}, and {_short(value)} by the plan compiled again")
    told = {name: value for name, value in (record.training or {}).items() if name != "losses"}
    if record.training and told != dict(prepared.training or {}):
        found.wrong(record, "training", "its counts are not those of the plan compiled again")


def _other_plan(record: Record, prepared: Prepared, here: str, found: Replay) -> None:
    there = (record.versions or {}).get("revision", "unknown")
    if there == here and not there.endswith("+") and there != "unknown":
        found.wrong(record, "plan_hash", f"{_short(record.plan_hash)}, and {_short(prepared.plan.hash)} compiled again")
    elif there.endswith("+") or there == "unknown":
        found.note(record, f"made by uncommitted changes to {there.rstrip('+')[:10]}: its plan cannot be made again")
    else:
        found.note(
            record, f"made by another revision: check out {there[:10]} (here: {here[:10]}) to make its plan again"
        )


def _play(record: Record, prepared: Prepared, device: Device, found: Replay) -> None:
    """Play the record's own plan, or where this device cannot the same case compiled for it."""
    case = _case(record)
    with device.session() as session:
        own = not list(problems(prepared.plan, session.caps))
        if not own:
            prepared = prepare(case, session.caps)
        if reason := does_not_fit(prepared.plan, device.memory_bytes(session.caps), session.caps):
            found.note(record, f"not played: {reason}")
            return
        loaded = session.load(Bundle(plan=prepared.plan, model=case.model, format=case.format))
        arm = Arm(case=case, prepared=prepared, device=device, tell=lambda case, stage: None, session=session)
        arm.repeat(0) if prepared.training else arm.sample()  # a repetition of decode plays it twice
        same_plan = own and record.id in found.remade
        _hold_output(record, arm, same_plan, found)
        if same_plan and record.ledger and dict(record.ledger) != dict(loaded.ledger):
            found.wrong(record, "ledger", f"{_short(record.ledger)}, and {_short(loaded.ledger)} when played")
        if (record.adapter, record.player) == (session.caps.adapter, arm.player):
            found.note(record, _measured_again(record, arm), settled=True)


def _hold_output(record: Record, arm: Arm, same_plan: bool, found: Replay) -> None:
    """The digest and the losses. Of the same plan they must come again; of another plan for the same case they do
    unless a revision changed what is computed or read back, so that a difference is not the record's fault.
    """
    told, came = (record.training or {}).get("losses"), combined_digest(arm.digests)
    losses_hold = not record.training or list(told or ()) == list(arm.losses)
    if record.digest == came and losses_hold:
        found.played.append(record.id)
        if not same_plan:
            found.note(record, "its output came again all the same", settled=True)
    elif not same_plan:
        found.note(record, "another plan gave another output here, which does not say that the record is wrong")
    if same_plan and record.digest != came:
        found.wrong(record, "digest", f"{_short(record.digest)}, and {_short(came)} when played")
    if same_plan and not losses_hold:
        found.wrong(record, "training.losses", "other losses came when the steps were played")


def _measured_again(record: Record, arm: Arm) -> str:
    """How long the work takes on this adapter now, beside what the record says."""
    arm.warm_up()
    before, now = median(record.samples_ns), median([arm.sample().wall_ns for _ in range(AGAIN)])
    mad = median([abs(ns - before) for ns in record.samples_ns])
    within = "within" if abs(now - before) <= MADS * mad else "beyond"
    return (
        f"measured again: {now / 1e6:,.4g} ms, {within} {MADS:g} MAD of its {before / 1e6:,.4g} ± {mad / 1e6:,.3g} ms"
    )


def _short(value: Any) -> str:
    """A value that fits a line: the start of a hash, the sum of a ledger."""
    if isinstance(value, Mapping):
        return f"{sum(value.values()):,} in all of {', '.join(value)}"
    text = f"{value:,}" if isinstance(value, int) else str(value)
    return text if len(text) < 24 else text[:16]
