"""What each kernel took: bytes and operations a second, from the latest profile of a case."""

from __future__ import annotations

from pathlib import Path

from command_runs import tritmark
from session_records import made, written

from tritmark.reports.kernels import MOST_PROFILES, profiles
from tritmark.reports.page.choices import link
from tritmark.reports.page.page import html
from tritmark.reports.page.report import report


def kernel(label: str, time_ns: int) -> dict[str, object]:
    return {"label": label, "kernel": "k", "count": 4, "time_ns": time_ns, "bytes": 8000, "operations": 32000}


def test_rates_are_of_a_kernels_own_time_and_the_longest_comes_first() -> None:
    (profile,), more = profiles([made(minute=0, kernels=(kernel("small", 4000), kernel("large", 16000)))])
    assert more == 0 and profile.title.startswith("made:1B tq1_0 decode:9, made GPU")
    assert profile.rows == (("large", "4", "4.0", "80.0", "0", "2"), ("small", "4", "1.0", "20.0", "2", "8"))


def test_the_latest_profile_of_each_case_counts() -> None:
    many = [made(minute=i, workload=f"decode:{9 + i}", kernels=(kernel("x", 10),)) for i in range(MOST_PROFILES + 2)]
    found, more = profiles([*many, made(minute=99, kernels=(kernel("later", 10),))])
    assert len(found) == MOST_PROFILES and more == 2 and found[0].rows[0][0] == "later"
    assert profiles([made(minute=0)]) == ([], 0)


def test_the_page_and_the_terminal_show_them(tmp_path: Path) -> None:
    records = [made(minute=0, kernels=(kernel("ffn_down", 16000),))]
    page = html(report(records, []))
    assert "GOP/s" in page and f'<td><a href="{link([records[0].id])}">' in page
    shown = tritmark("show", written(tmp_path / "found", *records), "--kernels").stdout
    assert "ffn_down" in shown and "GOP/s" in shown
    assert "no record holds" in tritmark("show", written(tmp_path / "none", made(minute=1)), "--kernels").stdout
