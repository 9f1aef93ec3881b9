"""A campaign on a phone from its first check to its last record, as ``tritmark run --device android`` makes it.

The phone is the stand-in behind the real adb server, its browser a real Chromium; a real phone runs the same where one
is plugged in.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from engine_runs import reference_run
from stand_in_phone import Phone

from tritmark.bench import campaign
from tritmark.bench.case import expand
from tritmark.bench.measure import combined_digest
from tritmark.devices.android.adb import Adb
from tritmark.devices.session import caps_from_json
from tritmark.engine.formats.model import open_model
from tritmark.engine.inference import Workload, compile_workload, parse_format
from tritmark.results.record import Record
from tritmark.results.store import read

MODEL, WORKLOAD = "synthetic:tiny", "decode:2"


def run(folder: Path, device: str, stages: list[str]) -> list[Record]:
    """The records that the results folder holds after a run of both formats."""
    cases = expand({"model": MODEL, "workload": WORKLOAD, "device": device})
    campaign.check(cases)
    campaign.run(
        cases,
        folder,
        timeout_s=240.0,
        rest_timeout_s=0.0,
        tell=lambda case, stage: stages.append(f"{case.format}: {stage}"),
        each=lambda record: None,
    )
    return read(folder)


def is_what_numpy_computes(record: Record) -> bool:
    """Whether the NumPy reference of the same Plan gives the same digest."""
    assert record.caps
    model = open_model(MODEL)
    caps, workload = caps_from_json(record.caps), Workload.parse(WORKLOAD)
    compiled = compile_workload(model, parse_format(record.format), workload, caps)
    arrays = reference_run(compiled, model, record.format).arrays
    digests = {name: hashlib.sha256(arrays[name].tobytes()).hexdigest() for name in ("tokens", "logits")}
    return compiled.plan.hash == record.plan_hash and combined_digest(digests) == record.digest


def test_both_formats_run_on_a_phone_and_leave_nothing_there(
    phone: Phone, untouched: Callable[[Phone], dict[str, Any]], tmp_path: Path
) -> None:
    before = untouched(phone)
    stages: list[str] = []
    records = run(tmp_path / "results", "android", stages)
    assert untouched(phone) == before
    assert stages[0] == "tq1_0: exactness probe and golden check" and "tq2_0: repetition 3" in stages
    assert [(record.format, record.status, record.reason) for record in records] == [
        ("tq1_0", "ok", None),
        ("tq2_0", "ok", None),
    ]
    for record in records:
        told_by_the_page(record)
        told_by_adb(record)


def told_by_the_page(record: Record) -> None:
    """What it computed and how it was measured."""
    assert record.exact is True and is_what_numpy_computes(record)
    assert (record.device, record.player, record.schedule) == ("android", "web", "reopened")
    assert record.caps and record.caps["dialect"] == "tint" and record.caps["backend"].startswith("WebGPU")
    assert record.caps["limits"]["maxBufferSize"] >= 256 << 20
    assert len(record.samples_ns) == len(record.ttft_ns) == 3 and record.generated_tokens == 3
    assert all(len(times_ns) == 2 for times_ns in record.token_ns)
    assert record.ledger and record.ledger["weight"] > 0


def told_by_adb(record: Record) -> None:
    """How the phone felt before, meanwhile and afterwards."""
    assert record.telemetry and record.conditions
    samples, methods = record.telemetry["samples"], record.telemetry["methods"]
    assert samples[0][1]["battery_celsius"] == 29.1 and methods["battery_celsius"] == "dumpsys battery"
    assert any("pss_bytes" in values for _, values in samples) and any("rss_bytes" in values for _, values in samples)
    assert record.process_memory
    before, after, rest = (record.conditions[name] for name in ("before", "after", "rest"))
    assert before["battery"] == after["battery"] == {"percent": 67.0, "plugged": True}
    assert before["android"] == "14" and before["browser"].startswith("com.android.chrome")
    assert rest["reached"] is True and rest["goal"]["thermal_status"] == 0 and rest["left"]["battery"] == 29.1


@pytest.mark.device
def test_both_formats_run_on_a_real_phone(android_phone: Adb, tmp_path: Path) -> None:
    before = android_phone.reverses(), android_phone.text("settings get global debug_app")
    records = run(tmp_path / "results", f"android:{android_phone.serial}", [])
    assert [(record.status, record.reason) for record in records] == [("ok", None)] * 2
    assert all(is_what_numpy_computes(record) for record in records)
    assert (android_phone.reverses(), android_phone.text("settings get global debug_app")) == before
