"""What a benchmark must keep to be believed, asked of it as a whole; the parts have tests of their own.

The others of the eight: a killed matrix resumes (test_matrix.py), equal arms are not told apart and slower ones are
(test_comparison.py), every number of a page leads to its record (test_report.py), published cells carry the audit's
grade (test_graded.py), exports come back as they were (test_exchange.py).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from imagined_device import CAPS

from tritmark.bench.case import Case
from tritmark.bench.prepare import prepare
from tritmark.bench.run import does_not_fit
from tritmark.reports import readme, sessions, tables
from tritmark.reports.choice.advice import recommend_measured
from tritmark.reports.comparison.comparison import compare
from tritmark.reports.comparison.rivals import sentences
from tritmark.reports.pictures.drawn import PICTURES
from tritmark.results.record import Record
from tritmark.results.store import read

FOLDERS = sorted(path.parent for path in (Path(__file__).parents[2] / "results/measured").glob("*/records.jsonl"))


@pytest.fixture(scope="module")
def measured() -> list[Record]:
    return [record for folder in FOLDERS for record in read(folder)]


def test_work_that_fell_back_to_another_processor_is_in_no_ranking(measured: list[Record]) -> None:
    """A row with the best numbers of all, had they been believed."""
    fell = [replace(r, status="fallback", reason="it ran elsewhere", samples_ns=(1, 1, 1), id=f"fell {r.id}",
                    format="tq1_0") for r in measured]  # fmt: skip
    assert tables.row(fell[0])["Status"] == "fallback"
    assert list(sentences([*measured, *fell])) == list(sentences(measured))
    assert readme.table([[*measured, *fell]]) == readme.table([measured])
    assert not sessions.grouped(fell) and recommend_measured([*measured, *fell]) == recommend_measured(measured)
    assert compare(measured, [*measured, *fell]).findings == compare(measured, measured).findings
    assert all(picture.draw(fell) is None for picture in PICTURES)


def test_a_model_that_does_not_fit_is_refused_with_its_bytes_and_those_there_are() -> None:
    plan = prepare(Case(model="synthetic:13B", format="tq2_0", workload="decode:8", device="host"), CAPS).plan
    reason = does_not_fit(plan, 2 << 30, CAPS)
    assert reason and f"{plan.peak_gpu_bytes / 2**20:,.0f} MiB" in reason and "2,048 MiB free" in reason
    assert does_not_fit(plan, plan.peak_gpu_bytes, CAPS) is None


def test_the_plan_of_every_case_that_ran_told_its_peak_within_5_percent(measured: list[Record]) -> None:
    ran = [r for r in measured if r.status == "ok" and r.ledger_peak_bytes and r.predicted_peak_bytes]
    assert len(ran) >= 40
    assert all(abs(r.predicted_peak_bytes / r.ledger_peak_bytes - 1) <= 0.05 for r in ran)  # type: ignore[operator]
