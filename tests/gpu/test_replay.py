"""Replay on this machine's GPU: really measured records hold, and what is changed in them and signed anew is found."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from command_runs import last, tritmark

from tritmark.bench.case import Case
from tritmark.bench.provenance import versions
from tritmark.bench.replay import Replay, replay
from tritmark.bench.run import run_matrix
from tritmark.bench.verify import Verdict
from tritmark.devices.base import Device
from tritmark.devices.host import Host
from tritmark.results.bundles import bundle, signing
from tritmark.results.record import Record

pytestmark = pytest.mark.usefixtures("gpu")
CASES = [Case(model="synthetic:tiny", format="tq2_0", workload=workload, device="host")
         for workload in ("decode:4", "lora:r2,c8,s2")]  # fmt: skip


@pytest.fixture(scope="module")
def measured() -> list[Record]:
    records = list(run_matrix(CASES, check=trusted))
    assert [record.status for record in records] == ["ok", "ok"]
    return records


def trusted(device: Device) -> Verdict:
    """The checks of a device have their own tests, and take a while."""
    with device.session() as session:
        return Verdict(caps=session.caps, exact=True, reason=None)


def distrusted(device: Device) -> Verdict:
    """Plans are compiled, and nothing is played."""
    return Verdict(caps=None, exact=False, reason="it computes wrongly")


def signed(records: Sequence[Record], folder: Path) -> Path:
    """A bundle of these, signed by a key of its own: a valid signature in any case."""
    out = folder / "made.tritmark"
    key = folder / "key.pem"
    own = signing.key_of(key) if key.exists() else signing._make(key)
    bundle.write(records, out, own, versions())
    return out


def replayed(*records: Record, **changed: Any) -> Replay:
    return replay([replace(record, **changed) for record in records], Host(), check=trusted)


def test_an_untouched_bundle_verifies_with_its_replay(measured: list[Record], tmp_path: Path) -> None:
    ended = tritmark("verify", signed(measured, tmp_path), "--replay", "--json")
    result = last(ended)
    assert result["held"] and result["faults"] == 0 and result["known_key"] is None
    assert set(result["recompiled"]) == set(result["played"]) == {record.id for record in measured}
    notes = [json.loads(line)["note"]["says"] for line in ended.stdout.splitlines()[:-1]]
    assert len(notes) == 2 and all("measured again" in says for says in notes)


def test_a_changed_digest_that_was_signed_anew_is_found_by_playing(measured: list[Record], tmp_path: Path) -> None:
    false = replace(measured[0], digest="0" * 64)
    assert bundle.check(signed([false], tmp_path)).faults == ()  # nothing but a replay can know
    ended = tritmark("verify", tmp_path / "made.tritmark", "--replay", status=1)
    assert f"{false.id}  digest: 0000000000000000, and {str(measured[0].digest)[:16]} when played" in ended.stdout


def test_a_changed_decode_rate_that_was_signed_anew_is_found_by_its_redundancy(
    measured: list[Record], tmp_path: Path
) -> None:
    false = replace(measured[0], samples_ns=tuple(ns // 10 for ns in measured[0].samples_ns), encode_ns=())
    faults = bundle.check(signed([false], tmp_path)).faults
    assert {(fault.check, fault.field) for fault in faults} == {("arithmetic", "samples_ns")} and len(faults) == 2


def test_buffers_and_losses_are_held_against_what_is_played(measured: list[Record]) -> None:
    record = measured[1]
    ledger = dict(record.ledger or {})
    moved = {**ledger, "state": ledger["state"] - 4, "scratch": ledger["scratch"] + 4}  # the sum stays what it was
    found = replayed(record, ledger=moved, training={**(record.training or {}), "losses": [5.0, 4.0]})
    assert {fault.field for fault in found.faults} == {"ledger", "training.losses"} and found.played == []


FALSE: dict[str, Any] = {
    "shader_hash": "0" * 64, "model_sha256": "0" * 64, "predicted_peak_bytes": 4096, "prompt_tokens": 9,
    "generated_tokens": 7, "dispatches": 3, "shape": {"layers": 1},
}  # fmt: skip


def test_facts_of_the_plan_are_held_against_the_plan_compiled_again(measured: list[Record]) -> None:
    found = replay([replace(measured[0], **FALSE)], Host(), check=distrusted)
    assert {fault.field for fault in found.faults} == set(FALSE) and found.remade == [measured[0].id]
    assert [note.says for note in found.notes] == ["not played: it computes wrongly"]
    counts = {**(measured[1].training or {}), "tokens": 1}
    told = replay([replace(measured[1], training=counts)], Host(), check=distrusted)
    assert [fault.field for fault in told.faults] == ["training"]


def test_another_plan_of_the_same_revision_is_a_fault_and_of_another_advice(measured: list[Record]) -> None:
    false = replace(measured[0], plan_hash="0" * 64, versions={"revision": "b" * 40})
    here = replay([false], Host(), revision="b" * 40, check=trusted)
    assert [fault.field for fault in here.faults] == ["plan_hash"] and here.remade == []
    there = replay([false], Host(), revision="c" * 40, check=trusted)
    assert there.faults == [] and there.played == [false.id]
    assert "check out bbbbbbbbbb" in there.notes[0].says and "came again all the same" in there.notes[1].says


def test_what_cannot_be_replayed_is_named_and_no_replay_at_all_does_not_hold(
    measured: list[Record], tmp_path: Path
) -> None:
    case = {**measured[0].case, "model": "/nowhere/2B.gguf"}
    found = replayed(measured[0], case=case)
    assert found.faults == [] and "needs the model /nowhere/2B.gguf" in found.notes[0].says
    published = replace(measured[0], kind="published", grade="published")
    ended = tritmark("verify", signed([published], tmp_path), "--replay", status=1)
    assert "0 plans compiled again" in ended.stdout


def test_a_case_that_nobody_wrote_is_a_fault(measured: list[Record]) -> None:
    found = replayed(measured[0], case={**measured[0].case, "speed": 2})
    assert [fault.field for fault in found.faults] == ["case"]


def test_the_smallest_come_first(measured: list[Record]) -> None:
    seen: list[str] = []
    replay(measured, Host(), most=1, check=distrusted, tell=lambda record, stage: seen.append(record.id))
    assert set(seen) == {measured[0].id}
