"""The gate: what closes it, what it takes to confirm, and what it says of the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from command_runs import last, tritmark
from session_records import failed, made, written

from tritmark.reports.comparison import rendering
from tritmark.reports.comparison.comparison import compare
from tritmark.reports.comparison.gate import CONFIRMED, REFUTED, UNCONFIRMED, Gate, cases_of, gate, regressed
from tritmark.results.record import Record, RecordError

JITTER = (0.99, 1.0, 1.01, 1.005, 0.995)


def recorded(day: int, slowdown: float = 1.0, sessions: int = 5, **fields: Any) -> list[Record]:
    """Sessions of one case; ``slowdown``: of decoding alone."""
    return [
        made(minute=day * 1440 + n, slowdown={"decode": slowdown * JITTER[n % 5]}, **fields) for n in range(sessions)
    ]


BASE = recorded(0)
SLOWER = recorded(1, 1.3)


def decided(new: list[Record], fresh: list[Record] | None = None) -> Gate:
    return gate(compare(BASE, new), BASE, fresh)


def test_nothing_slower_leaves_it_open() -> None:
    for new in (recorded(1), recorded(1, 1 / 1.3), recorded(1, 1.3, sessions=2)):
        assert not decided(new).closed and not decided(new).regressions


def test_what_is_undecided_passes_and_is_said() -> None:
    told = rendering.gate_text(decided(recorded(1, 1.3, sessions=2)))
    assert told.startswith("no regression\n") and "10 undecided" in told


def test_a_regression_closes_it_once_fresh_sessions_agree() -> None:
    (regression,) = decided(SLOWER, recorded(2, 1.25)).regressions
    assert regression.state == CONFIRMED and regression.why == "slower in 5 fresh sessions"
    assert decided(SLOWER, recorded(2, 1.25)).closed


@pytest.mark.parametrize("again", [1.0, 1.02, 0.8])
def test_fresh_sessions_that_do_not_agree_open_it(again: float) -> None:
    found = decided(SLOWER, recorded(2, again))
    assert not found.closed and found.regressions[0].state == REFUTED
    assert "passed: 1 regression not confirmed" in rendering.gate_text(found)


def test_it_stays_closed_where_nobody_measured_again_or_too_little() -> None:
    for fresh in (None, [], recorded(2, 1.0, sessions=2), recorded(2, 1.0, workload="decode:5")):
        found = decided(SLOWER, fresh)
        assert found.closed and found.regressions[0].state == UNCONFIRMED
    assert "1 regression unconfirmed" in rendering.gate_text(decided(SLOWER))


def test_only_what_regressed_is_tested_again() -> None:
    fresh = recorded(2, 1.3)
    noisy = [made(minute=2880 + n, slowdown={"decode": 1.3 * JITTER[n], "load": 3.0}) for n in range(5)]
    for each in (fresh, noisy):
        regressions = decided(SLOWER, each).regressions
        assert [r.again and r.again.metric.name for r in regressions] == ["decode_tps"]
        assert regressions[0].again is not None and regressions[0].again.p_adjusted is not None


def test_a_case_that_fails_now_is_a_regression_too() -> None:
    base, new = [*BASE, *recorded(0, format="tq2_0")], [*recorded(1), failed(minute=1500, format="tq2_0")]
    comparison = compare(base, new)
    assert [each.case for each in regressed(comparison)] == ["made:1B tq2_0 decode:9 on host"]
    assert [records[0].format for records in cases_of(regressed(comparison), new)] == ["tq2_0"]
    states = {"again": [failed(minute=2900, format="tq2_0")], "ran": recorded(2, format="tq2_0"), "none": []}
    found = {name: gate(comparison, base, fresh) for name, fresh in states.items()}
    assert {name: each.regressions[0].state for name, each in found.items()} == {
        "again": CONFIRMED, "ran": REFUTED, "none": UNCONFIRMED}  # fmt: skip
    assert "failed: out of memory; it failed again" in " ".join(rendering.gate_text(found["again"]).split())


def test_a_slower_case_that_fails_when_measured_again_is_confirmed() -> None:
    assert decided(SLOWER, [failed(minute=2900)]).regressions[0].why == "it fails now: out of memory"


def test_fresh_sessions_of_another_machine_are_refused() -> None:
    with pytest.raises(RecordError, match="adapter"):
        decided(SLOWER, recorded(2, 1.3, adapter="another"))


def test_memory_that_grew_is_confirmed_by_one_session() -> None:
    grown = [made(minute=9, ledger_peak_bytes=99 << 20)]
    found = gate(compare(BASE, grown), BASE, grown)
    assert found.closed and found.regressions[0].why == "larger in 1 fresh session"


def test_the_command_exits_with_1_for_a_confirmed_regression_and_writes_its_page(tmp_path: Path) -> None:
    base, new = written(tmp_path / "base", *BASE), written(tmp_path / "new", *SLOWER)
    slow, fine = written(tmp_path / "slow", *recorded(2, 1.3)), written(tmp_path / "fine", *recorded(2))
    page = tmp_path / "summary.md"
    page.write_text("# before\n")
    ended = tritmark("gate", base, new, "--confirm", slow, "--summary", page, "--json", status=1)
    assert last(ended)["closed"] and last(ended)["regressions"][0]["state"] == CONFIRMED
    told = page.read_text()
    assert told.startswith(
        "# before\n## Tritmark: 1 regression confirmed\n\n- regression: made:1B tq1_0 decode:9 on host"
    )
    assert "decode 100 -> 76.9 tok/s (-23.1 %" in told and "| made:1B tq1_0 decode:9 on host | decode, tok/s |" in told
    assert "passed: 1 regression not confirmed" in tritmark("gate", base, new, "--confirm", fine).stdout
    assert "unconfirmed" in tritmark("gate", base, new, "--no-rerun", status=1).stdout


def test_the_command_exits_with_2_for_what_it_cannot_judge(tmp_path: Path) -> None:
    base, new = written(tmp_path / "base", *BASE), written(tmp_path / "new", *SLOWER)
    other = written(tmp_path / "other", *recorded(1, adapter="another"))
    assert "--across 'adapter'" in tritmark("gate", base, other, status=2).stderr
    refused = tritmark("gate", base, new, status=2).stderr  # of a revision that this checkout is not
    assert (
        "it is of revision aaaaaaaaaaaa" in refused and "--confirm" in refused and not (tmp_path / "new-again").exists()
    )
