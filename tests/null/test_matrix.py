"""The matrix: how axes multiply, in which order arms take turns, and what happens when something fails.

Players here are stand-ins that compute nothing; they run as real child processes of the host device.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tritmark.bench import campaign, measure
from tritmark.bench import run as run_module
from tritmark.bench.case import Case, CaseError, expand, expand_all, read_suite
from tritmark.bench.cooldown import Rest
from tritmark.bench.gauge import ladder
from tritmark.bench.measure import joined, steady, telemetry_json
from tritmark.bench.order import grouped, turns
from tritmark.bench.prepare import Prepared
from tritmark.bench.run import run_matrix
from tritmark.bench.verify import Verdict, mismatch
from tritmark.devices.base import Bundle, Device, DeviceError, Telemetry
from tritmark.devices.host import Host, HostSession
from tritmark.engine.errors import FormatError
from tritmark.engine.plan import Caps, Plan, Probe, Slot, Step
from tritmark.results.record import Record
from tritmark.results.store import Store, held, read

PLAYER = Path(__file__).parent.parent / "devices" / "stand_in_player.py"
MATRIX = {"model": "m", "format": ["tq1_0", "tq2_0"], "workload": ["prefill:4", "decode:4"], "device": "host"}


def plan(weight_bytes: int = 64, expect: str | None = None) -> Plan:
    slot = Slot(id="w", bytes=weight_bytes, role="weight")
    probe = Probe(name="logits", slot="w", offset=0, bytes=4, expect=expect)
    steps = (Step(program="p", values=()),) * 4
    return Plan(modules={}, slots=(slot,), programs={"p": ()}, columns=(), steps=steps, probes=(probe,), files={})


def prepared(case: Case, caps: Caps) -> Prepared:
    if case.model == "broken":
        raise FormatError("broken is no model; choose another")
    if case.model == "bug":
        raise ZeroDivisionError("division\nby zero")
    weight_bytes = 1 << 60 if case.model == "huge" else 64
    first_decode = 1 if case.workload.startswith("decode") else 4
    return Prepared(plan=plan(weight_bytes), first_decode=first_decode, prompt_tokens=first_decode, model_sha256="0")


def passed(device: Device) -> Verdict:
    with device.session() as session:
        return Verdict(caps=session.caps, exact=True, reason=None)


def run(cases: Sequence[Case], *options: str, timeout_s: float = 20.0, check=passed, rest=None) -> list[Record]:
    def device(spec: str) -> Host:
        return Host(command=(sys.executable, str(PLAYER), *options), timeout_s=timeout_s)

    return list(run_matrix(cases, prepare=prepared, device_of=device, check=check, rest=rest or Rest()))


def test_lists_multiply_and_rival_formats_are_neighbours() -> None:
    cases = expand({**MATRIX, "model": ["a", "b"], "options": {"chunk": [64, 128]}})
    assert len(cases) == 2 * 2 * 2 * 2 == len({case.key for case in cases})
    assert [case.format for case in cases[:4]] == ["tq1_0", "tq2_0"] * 2
    assert cases[0].options == {"chunk": 64} and cases[2].options == {"chunk": 128}


def test_a_case_named_by_two_matrices_runs_once() -> None:
    assert len(expand_all([MATRIX, MATRIX])) == 4


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"colour": "red"}, "unknown axis 'colour'"),
        ({"options": {"speed": 1}}, "unknown option 'speed'"),
        ({"repetitions": 2}, "at least 3"),
        ({"model": []}, r"model = \[\]"),
        ({"model": None}, "model = None"),
        ({"format": [1]}, "format"),
    ],
)
def test_a_matrix_that_means_nothing_is_refused(change: dict[str, object], says: str) -> None:
    with pytest.raises(CaseError, match=says):
        expand({**MATRIX, **change})


def test_the_default_suite_compares_both_formats() -> None:
    cases = expand_all(read_suite("default"))
    groups = grouped(cases, lambda case: case.group)
    assert all(sorted(case.format for case in group) == ["tq1_0", "tq2_0"] for group in groups)
    assert {case.model for case in cases} == {"python", "synthetic:125M"}


def test_an_unknown_suite_is_refused_with_the_known_ones() -> None:
    with pytest.raises(CaseError, match="one of: default"):
        read_suite("nonesuch")


def test_a_suite_that_is_no_toml_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text("[[matrix]\n")
    with pytest.raises(CaseError, match="cannot read the suite"):
        read_suite(str(tmp_path / "x.toml"))


def test_turns_alternate_so_that_drift_falls_on_all_arms_alike() -> None:
    assert list(turns(2, 4)) == [0, 1, 1, 0, 0, 1, 1, 0]
    assert list(turns(3, 2)) == [0, 1, 2, 2, 1, 0]
    drift = {arm: sum(turn for turn, at in enumerate(turns(2, 4)) if at == arm) for arm in (0, 1)}
    assert drift[0] == drift[1]


def test_warm_up_ends_when_samples_settle_or_patience_does() -> None:
    assert not steady([100, 100]) and not steady([100, 150, 100])
    assert steady([300, 100, 101, 102]) and steady([1, 2, 4, 8, 16, 32])


def test_warm_up_goes_on_until_the_device_has_worked_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "WARM_UP_S", 0.3)
    started = time.monotonic()
    (record,) = run(expand({**MATRIX, "format": "tq1_0", "workload": "prefill:4"}), "--play-ms", "5")
    assert 6 < len(record.warmup_ns) <= 60 and time.monotonic() - started > 0.3


def test_a_case_runs_in_as_many_sessions_as_are_asked_for_one_round_after_another(tmp_path: Path) -> None:
    cases = expand({**MATRIX, "workload": "prefill:4"})
    wanted = campaign.remaining(cases, tmp_path, resume=False, sessions=campaign.Sessions(most=3))
    assert [(case.session, case.format) for case in wanted] == [(s, f) for s in (1, 2, 3) for f in ("tq1_0", "tq2_0")]
    records = run(wanted)
    assert [(record.session, record.format) for record in records] == [(case.session, case.format) for case in wanted]
    assert len({record.case_key for record in records}) == 2 and all(record.status == "ok" for record in records)
    with Store(tmp_path) as store:
        for record in records[:3]:
            store.append(record)
    left = campaign.remaining(cases, tmp_path, resume=True, sessions=campaign.Sessions(most=3))
    assert [(case.session, case.format) for case in left] == [(2, "tq2_0"), (3, "tq1_0"), (3, "tq2_0")]


def test_sessions_end_early_for_cases_that_have_settled(tmp_path: Path) -> None:
    cases = expand({**MATRIX, "workload": "prefill:4"})
    sessions = campaign.Sessions(most=3, settled=lambda records: records[0].format == "tq1_0")
    wanted = campaign.remaining(cases, tmp_path, resume=False, sessions=sessions)
    with Store(tmp_path) as store:
        for rounds in campaign._rounds(wanted, tmp_path, sessions.settled):
            for record in run(rounds):
                store.append(record)
    assert [(r.session, r.format) for r in read(tmp_path)] == [(1, "tq1_0"), (1, "tq2_0"), (2, "tq2_0"), (3, "tq2_0")]


def test_a_computer_rests_before_each_case_as_long_as_it_is_told_and_its_record_says_so() -> None:
    slept: list[float] = []
    (record,) = run(expand({**MATRIX, "format": "tq1_0", "workload": "prefill:4"}),
                    rest=Rest(pause_s=7.0, sleep=slept.append))  # fmt: skip
    assert slept == [7.0] and record.conditions and record.conditions["rest"] == {"waited_s": 7.0}


def test_every_case_is_measured_with_its_rival_interleaved() -> None:
    records = run(expand(MATRIX))
    assert [record.status for record in records] == ["ok"] * 4
    assert records[2].turns == (0, 3, 4) and records[3].turns == (1, 2, 5)
    for record in records:
        assert len(record.samples_ns) == len(record.ttft_ns) == 3 and 3 <= len(record.warmup_ns) <= 6
        assert record.exact and record.digest and record.player == "stand-in" and record.schedule == "interleaved"
        assert record.ledger_peak_bytes == 64 and record.load_ns == {"cold": (1000,), "warm": (1000,)}
        assert record.conditions and set(record.conditions) == {"before", "after"} and record.versions
        assert record.runner is None and record.telemetry is None and record.dispatches == 0
        assert record.encode_ns == ((28, 28, 28) if record.workload == "prefill:4" else (21, 21, 21))
        assert Record.from_json(json.loads(json.dumps(record.to_json()))) == record
    assert records[0].token_ns == () and [len(times) for times in records[2].token_ns] == [3, 3, 3]


def test_launches_are_counted_in_the_timed_region_alone() -> None:
    rungs = ladder(256, 3)  # a step of one dispatch, then one of four
    decode, prefill = (Prepared(plan=rungs, first_decode=at, prompt_tokens=1, model_sha256="0") for at in (1, 2))
    assert (decode.dispatches, prefill.dispatches) == (4, 5)


def test_telemetry_of_two_players_is_one_series() -> None:
    first = Telemetry(samples=((0, {"a": 1}), (5, {"a": 2})), methods={"a": "x"})
    second = Telemetry(samples=((1, {"b": 3}),), methods={"b": "y"})
    both = joined(joined(Telemetry(), first), second)
    assert telemetry_json(both) == {
        "samples": [[0, {"a": 1}], [5, {"a": 2}], [6, {"b": 3}]],
        "methods": {"a": "x", "b": "y"},
    }
    assert telemetry_json(Telemetry()) is None


def test_what_a_session_watched_is_in_the_record(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Telemetry(samples=((3, {"battery_celsius": 30.5}),), methods={"battery_celsius": "dumpsys battery"})
    monkeypatch.setattr(HostSession, "telemetry", lambda self: watched)
    (record,) = run(expand({**MATRIX, "workload": "prefill:4", "format": "tq1_0"}))
    assert record.telemetry == {
        "samples": [[3, {"battery_celsius": 30.5}]],
        "methods": {"battery_celsius": "dumpsys battery"},
    }


def test_a_phone_shows_one_page_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Host, "exclusive", True)
    opened: list[int] = []

    class Counted(HostSession):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            opened.append(1)
            assert sum(opened) == 1

        def close(self) -> None:
            super().close()
            opened.clear()

    monkeypatch.setattr(Host, "session", lambda self: Counted(self._command, self._adapter, self._timeout_s))
    records = run(expand({**MATRIX, "workload": "prefill:4"}))
    assert [(record.status, record.schedule) for record in records] == [("ok", "reopened")] * 2


def test_a_phone_rests_before_each_group_and_its_records_say_how(monkeypatch: pytest.MonkeyPatch) -> None:
    celsius = iter([30.0, 31.0, 31.0, 31.0, 35.0, 31.5, *[33.0] * 9])  # met, then found, before, after in group 1
    monkeypatch.setattr(Host, "needs_rest", True)
    monkeypatch.setattr(Host, "conditions", lambda self: {"temperatures_celsius": {"battery": next(celsius)}})
    slept: list[float] = []
    records = run(expand(MATRIX), rest=Rest(sleep=slept.append))
    first, second = (records[at].conditions["rest"] for at in (0, 2))
    assert first["reached"] and first["found"] == {"battery": 31.0} and first["goal"] == {"battery": 32.0}
    assert second["reached"] and second["found"] == {"battery": 35.0} and second["left"] == {"battery": 31.5}
    assert slept == [5.0] and [record.status for record in records] == ["ok"] * 4


@pytest.mark.parametrize(
    ("how", "says"),
    [("play:exit:3", "exit code 134"), ("load:signal:1", "SIGKILL"), ("play:refuse:5", "no such thing")],
)
def test_a_case_whose_child_fails_becomes_a_failed_row_and_its_rival_runs(how: str, says: str) -> None:
    records = run(expand(MATRIX), "--fail", how, "--format", "tq1_0")
    assert [record.status for record in records] == ["failed", "ok"] * 2
    assert all(says in str(record.reason) for record in records[::2])
    assert all(len(record.samples_ns) == 3 for record in records[1::2])


def test_a_hanging_child_becomes_a_failed_row_after_the_timeout() -> None:
    records = run(expand({**MATRIX, "workload": "decode:4"}), "--fail", "play:hang", "--format", "tq2_0", timeout_s=1.5)
    assert [record.status for record in records] == ["ok", "failed"]
    assert "took more than 1.5 s" in str(records[1].reason)


def test_a_model_that_cannot_be_read_becomes_failed_rows_and_later_models_run() -> None:
    records = run(expand({**MATRIX, "model": ["broken", "m"], "workload": "prefill:4"}))
    assert [record.status for record in records] == ["failed", "failed", "ok", "ok"]
    assert records[0].reason == "broken is no model; choose another"


def test_a_bug_costs_its_case_and_is_named_in_one_line() -> None:
    records = run(expand({**MATRIX, "model": ["bug", "m"], "workload": "prefill:4"}))
    assert [record.status for record in records] == ["failed", "failed", "ok", "ok"]
    assert records[0].reason == "ZeroDivisionError, a bug in tritmark: division by zero"


def test_a_plan_beyond_the_memory_becomes_a_failed_row_with_both_sizes() -> None:
    small = {**MATRIX, "workload": "prefill:4", "format": "tq1_0"}
    *records, later = run(expand_all([{**MATRIX, "model": "huge", "workload": "prefill:4"}, small]))
    assert len(records) == 2 and later.status == "ok"
    assert all(record.status == "failed" and "needs 1,099,511,627,776 MiB" in str(record.reason) for record in records)
    assert all(
        "MiB free" in str(record.reason) and record.predicted_peak_bytes == (1 << 60) + 4 * 256 for record in records
    )


def test_a_device_that_computes_wrongly_gets_failed_rows_and_no_numbers() -> None:
    def failed(device: Device) -> Verdict:
        return Verdict(caps=None, exact=False, reason="it computes wrongly")

    records = run(expand(MATRIX), check=failed)
    assert len(records) == 4 and all(r.status == "failed" and r.samples_ns == () and r.exact is False for r in records)


def test_a_check_that_could_not_be_made_is_made_again_for_later_cases() -> None:
    verdicts = [Verdict(caps=None, exact=None, reason="the phone is locked: unlock it", settled=False)]

    def check(device: Device) -> Verdict:
        return verdicts.pop() if verdicts else passed(device)

    records = run(expand({**MATRIX, "format": "tq1_0"}), check=check)
    assert [record.status for record in records] == ["failed", "ok"]
    assert records[0].reason == "the phone is locked: unlock it"


def test_a_device_that_goes_away_before_its_turn_costs_its_rows_alone() -> None:
    def device(spec: str) -> Host:
        if spec == "phone":
            raise DeviceError("the phone is gone: plug the cable in again")
        return Host(command=(sys.executable, str(PLAYER)), timeout_s=20)

    cases = expand({**MATRIX, "workload": "prefill:4", "device": ["phone", "host"]})
    records = list(run_matrix(cases, prepare=prepared, device_of=device, check=passed))
    assert [(record.device, record.status) for record in records] == [("phone", "failed")] * 2 + [("host", "ok")] * 2
    assert records[0].reason == "the phone is gone: plug the cable in again"


def test_outputs_that_change_between_repetitions_fail_the_case() -> None:
    records = run(expand({**MATRIX, "workload": "prefill:4"}), "--fail", "play:digest:6", "--format", "tq2_0")
    assert [record.status for record in records] == ["ok", "failed"]
    assert "two different outputs" in str(records[1].reason)


def test_without_memory_for_all_arms_children_take_turns_in_the_same_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Host, "memory_bytes", lambda self, caps: 1500)  # one plan of 1,088 bytes, not two
    most_open = []
    original = run_module.Arm.repeat

    def counting(arm: run_module.Arm, turn: int) -> None:
        import psutil

        most_open.append(len(psutil.Process().children()))
        original(arm, turn)

    monkeypatch.setattr(run_module.Arm, "repeat", counting)
    records = run(expand({**MATRIX, "workload": "decode:4"}))
    assert max(most_open) == 1
    assert records[0].turns == (0, 3, 4) and records[1].turns == (1, 2, 5)
    for record in records:  # neighbours in the order share a child: two openings each
        assert record.schedule == "reopened" and record.load_ns and len(record.load_ns["warm"]) == 2
        assert list(record.process_memory) == sorted(record.process_memory)


def test_a_probe_with_another_digest_than_expected_is_named() -> None:
    device = Host(command=(sys.executable, str(PLAYER), "--fail", "play:digest"), timeout_s=20)
    with device.session() as session:
        assert mismatch(session, Bundle(plan=plan(expect="right"), model="m", format="tq1_0")) == "logits"
        assert mismatch(session, Bundle(plan=plan(expect="right"), model="m", format="tq1_0")) is None


RUN = """
import sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from test_matrix import finish
finish(Path(sys.argv[1]))
"""


def finish(folder: Path) -> None:
    """What `tritmark run --resume` does, with stand-in players: run the cases that the folder does not hold."""
    cases = [case for case in all_cases() if (case.key, 1) not in held(folder)]

    def device(spec: str) -> Host:
        return Host(command=(sys.executable, str(PLAYER), "--play-ms", "5"), timeout_s=20)

    with Store(folder) as store:
        for record in run_matrix(cases, prepare=prepared, device_of=device, check=passed):
            store.append(record)


def all_cases() -> list[Case]:
    return expand({**MATRIX, "model": ["a", "b", "c", "broken"]})


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="kill -9 needs a Unix system")
def test_a_matrix_killed_at_any_moment_resumes_without_loss_or_repetition(tmp_path: Path) -> None:
    command = [sys.executable, "-c", RUN, str(tmp_path), str(Path(__file__).parent)]
    for seconds in (1.2, 2.3, 3.1):
        runner = subprocess.Popen(command)
        time.sleep(seconds)
        os.kill(runner.pid, signal.SIGKILL)
        runner.wait()
    subprocess.run(command, check=True, timeout=120)
    keys = [record.case_key for record in read(tmp_path)]
    assert len(keys) == len(set(keys)) and set(keys) == {case.key for case in all_cases()}
