"""Published figures as records: every one, graded, and never to be taken for a measurement."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tritmark.reports import stats
from tritmark.reports.audit.graded import published_records
from tritmark.results.record import Record

PUBLISHED = Path(__file__).parents[2] / "results/published/published.csv"
HEADER = "source,table,model,format,device,processor,metric,value,unit,status,note"


@pytest.fixture(scope="module")
def records() -> list[Record]:
    return published_records(PUBLISHED)


def one(records: list[Record], line: int) -> Record:
    return next(record for record in records if record.figure and record.figure["line"] == line)


def test_every_published_figure_is_a_record_that_a_folder_can_hold(records: list[Record]) -> None:
    assert len(records) == 398 == len({record.id for record in records})
    assert [Record.from_json(record.to_json()) for record in records] == records
    assert published_records(PUBLISHED) == records


def test_none_of_them_has_a_sample_or_a_rate_of_ours(records: list[Record]) -> None:
    assert {record.kind for record in records} == {"published"}
    assert not any(record.samples_ns or stats.decode_tps(record) or stats.train_tps(record) for record in records)
    assert not any(record.grade == "measured" for record in records)


def test_cells_that_the_audit_names_carry_its_grade_and_its_arithmetic(records: list[Record]) -> None:
    counts = Counter(record.grade for record in records)
    assert all((record.grade == "published") == (not record.grade_reasons) for record in records)
    assert counts["published"] > 200 and counts["not independent"] >= 48  # three columns of eight models in two formats
    peak = next(r for r in records if r.workload == "vram_peak" and r.model == "13B" and r.format == "tq1_0")
    assert peak.grade == "impossible" and "2,789" in peak.grade_reasons[0]
    epochs = [r for r in records if r.workload == "epoch_time" and r.format == "tq1_0" and r.device == "pixel-9 gpu"]
    assert len(epochs) >= 6 and {r.grade for r in epochs if r.status == "ok"} == {"suspect"}
    assert any("throughput x time" in reason for reason in epochs[0].grade_reasons)


def test_what_did_not_run_has_its_reason_and_no_figure(records: list[Record]) -> None:
    failed = [record for record in records if record.status == "failed"]
    assert len(failed) == 26
    assert all(r.reason and "as published" in r.reason and r.figure and r.figure["value"] is None for r in failed)


def test_a_figure_that_is_no_number_stands_as_failed_and_impossible(tmp_path: Path) -> None:
    row = "made (Feb 2025),t,1B,TQ1_0,d,gpu,decode,nan,tok/s,ok,"
    (tmp_path / "t.csv").write_text(f"{HEADER}\n{row}\n")
    (record,) = published_records(tmp_path / "t.csv")
    assert (record.status, record.grade, record.started_at[:10]) == ("failed", "impossible", "2025-02-01")
    assert record.reason == "nan printed, as published"
