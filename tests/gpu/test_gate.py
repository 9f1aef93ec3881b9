"""The gate measures a regression again on this machine's GPU before it fails."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from command_runs import last, tritmark
from session_records import written

from tritmark.results.record import Record
from tritmark.results.store import read

pytestmark = pytest.mark.usefixtures("gpu")


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Record:
    out = tmp_path_factory.mktemp("measured") / "one"
    tritmark("run", "--model", "synthetic:tiny", "--format", "tq1_0", "--workload", "prefill:8", "--out", out, "--json")
    return read(out)[0]


def copies(record: Record, slowdown: float) -> Iterator[Record]:
    """Made sessions: a measured one with its samples ``slowdown`` times as long, within 1 %, and nothing else timed."""
    for session in (1, 2, 3):
        samples = tuple(round(ns * slowdown * (0.98 + session / 100)) for ns in record.samples_ns)
        yield replace(record, id=f"made {session}", session=session, samples_ns=samples, load_ns=None, compile_ns=None,
                      process_memory=())  # fmt: skip


def test_a_regression_that_is_there_is_confirmed_by_three_fresh_sessions(measured: Record, tmp_path: Path) -> None:
    base, new = (written(tmp_path / name, *copies(measured, by)) for name, by in (("base", 0.01), ("new", 1.0)))
    ended = tritmark("gate", base, new, "--pause", "0", "--json", status=1)
    (regression,) = last(ended)["regressions"]
    assert (regression["metric"], regression["state"]) == ("prefill_tps", "confirmed")
    fresh = read(tmp_path / "new-again")
    assert [record.session for record in fresh] == [1, 2, 3] and {record.digest for record in fresh} == {
        measured.digest
    }
    assert "--confirm" in tritmark("gate", base, new, status=2).stderr  # the folder is there already


def test_a_regression_that_is_not_there_passes(measured: Record, tmp_path: Path) -> None:
    base, new = (written(tmp_path / name, *copies(measured, by)) for name, by in (("base", 20.0), ("new", 2000.0)))
    ended = tritmark("gate", base, new, "--pause", "0", "--json")
    assert last(ended)["regressions"][0]["state"] == "not confirmed" and not last(ended)["closed"]
