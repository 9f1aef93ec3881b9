"""llama-bench on a phone: pushed with its libraries, run, watched, and gone afterwards.

The phone is the stand-in behind the real adb server, the program a stand-in that prints what a real one printed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from llama_bench_runs import program
from stand_in_phone import Phone
from stand_in_phone.fixtures import phone, plugged_in  # noqa: F401

from tritmark.bench.case import Case, expand
from tritmark.bench.cooldown import Rest
from tritmark.bench.run import run_matrix
from tritmark.bench.runners.base import open_runner
from tritmark.devices.registry import open_device
from tritmark.results.record import Record


def run(cases: list[Case]) -> Iterator[Record]:
    return run_matrix(
        cases,
        device_of=lambda spec: open_device(spec, timeout_s=20.0),
        runner_of=lambda spec: open_runner(spec, timeout_s=5.0),
        rest=Rest(timeout_s=0.0),
    )


def cases(folder: Path, phone: Phone, how: str, **axes: object) -> list[Case]:  # noqa: F811
    spec = f"llama.cpp={program(folder, how)}"
    return expand({"model": "synthetic:tiny", "device": f"android:{phone.serial}", "runner": spec, **axes})


def test_a_phone_gives_records_with_telemetry_and_keeps_nothing(phone: Phone, tmp_path: Path) -> None:  # noqa: F811
    folder = phone.files / "data/local/tmp"
    before = sorted(folder.rglob("*"))
    records = run(cases(tmp_path, phone, "gpu", workload=["prefill:8", "decode:4"]))
    first = next(records)
    there = {path.name for path in folder.glob("tritmark-*/*")}
    assert first.reason is None and first.samples_ns == (8_000_000, 16_000_000, 24_000_000)
    assert there == {"llama-bench", "libggml.so", "model.gguf"}
    assert first.telemetry and "battery_celsius" in first.telemetry["samples"][0][1]
    assert first.telemetry["methods"]["battery_celsius"] == "dumpsys battery"
    assert first.conditions and first.conditions["before"]["battery"]["percent"] and "rest" in first.conditions
    others = list(records)
    assert [record.status for record in others] == ["ok"] * 3 and others[-1].generated_tokens == 5
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize(
    ("how", "says"),
    [("no-gpu", "names no GPU"), ("crash", "exit code 3 (ggml.c:1"), ("signal", "signal 9 (SIGKILL")],
)
def test_what_goes_wrong_on_a_phone_is_a_row_without_numbers(phone: Phone, tmp_path: Path, how: str, says: str) -> None:  # noqa: F811
    records = list(run(cases(tmp_path, phone, how, workload="prefill:8")))
    status = "fallback" if how == "no-gpu" else "failed"
    assert all(record.status == status and says in str(record.reason) for record in records) and len(records) == 2
    assert not list((phone.files / "data/local/tmp").glob("tritmark-*"))
