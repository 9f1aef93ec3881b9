"""`tritmark recommend`: on the records that ship, on devices that nobody measured, and on wrong questions."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from choice_records import both
from command_runs import tritmark
from typer.testing import CliRunner

from tritmark.bench.case import CaseError
from tritmark.bench.cli import app
from tritmark.bench.footprint import OPTIONS, TERNARY, caps_of, footprints, workloads_of
from tritmark.reports import stats
from tritmark.reports.choice import recommendation
from tritmark.reports.choice.advice import recommend_measured
from tritmark.results.record import Record, RecordError
from tritmark.results.store import Store, read

RESULTS = Path(__file__).resolve().parents[2] / "results"
FOLDERS = sorted(path.parent for path in (RESULTS / "measured").glob("*/records.jsonl"))


def printed(*arguments: str | Path) -> str:
    ended = CliRunner().invoke(app(["recommend"]), ["recommend", *map(str, arguments)])
    if ended.exception and not isinstance(ended.exception, SystemExit):
        raise ended.exception
    assert ended.exit_code == 0, ended.output
    return ended.output


def told(*arguments: str | Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in printed(*arguments, "--json").splitlines()]


def seconds(records: Sequence[Record], mix: dict[str, float], model: str, device: str) -> dict[str, float]:
    """For the mix in each format, from the medians of the longest workloads, computed here anew."""
    found = {}
    for name in TERNARY:
        total = 0.0
        for phase, tokens in mix.items():
            rates = {"prefill": stats.prefill_tps, "decode": stats.decode_tps, "train": stats.train_tps}[phase]
            alike = [r for r in records if (r.model, r.format, r.status) == (model, name, "ok") and rates(r)]
            alike = [
                r for r in alike if device.startswith(r.adapter or "") and ("web" in device) == (r.player == "web")
            ]
            longest = max(r.prompt_tokens or 0 for r in alike)
            sessions = [statistics.median(rates(r)) for r in alike if (r.prompt_tokens or 0) == longest]
            total += tokens / statistics.median(sessions)
        found[name] = total
    return found


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_the_measured_winner_is_recommended(folder: Path) -> None:
    records = read(folder)
    found = recommend_measured(records)
    assert found
    for each in found:
        times = seconds(records, dict(each.mix), each.model, each.device)
        ratio = times["tq2_0"] / times["tq1_0"]
        resident = (each.chosen or "").rpartition(">")[2]
        assert each.tie == (abs(1 - ratio) <= 0.03) and each.basis == "measured"
        assert each.tie or resident == ("tq1_0" if ratio > 1 else "tq2_0")
        assert set(each.record_ids) <= {record.id for record in records}
        options = {option.name: option for option in each.options}
        assert options["tq1_0"].seconds == pytest.approx(times["tq1_0"], rel=1e-6)


def test_bytes_are_those_that_the_device_counted() -> None:
    records = [
        r for folder in FOLDERS for r in read(folder) if r.status == "ok" and r.ledger_peak_bytes and not r.training
    ]
    for record in [r for r in records if r.model == "synthetic:125M"][:8]:
        told = footprints(record.model, [record.workload], caps_of(record.caps, record.device))[record.format]
        assert told.peak_bytes == record.ledger_peak_bytes and told.refused is None


def test_what_is_shipped_decides_the_download_and_what_is_resident_the_peak() -> None:
    found = footprints("synthetic:125M", ["decode:8"], caps_of(None, "x"))
    one, two, repacked = (found[name] for name in OPTIONS)
    assert recommendation.OPTIONS == OPTIONS
    assert two.download_bytes - one.download_bytes == 103_809_024 // 256 * (66 - 54)
    assert repacked.download_bytes == one.download_bytes and repacked.peak_bytes == two.peak_bytes
    assert (two.peak_bytes or 0) > (one.peak_bytes or 0) > one.download_bytes


def test_a_tensor_above_the_limits_of_a_device_refuses_the_option() -> None:
    found = footprints("synthetic:13B", ["decode:8"], caps_of(None, "some phone"))
    assert all(
        option.refused and "token_embd" in option.refused and option.peak_bytes is None for option in found.values()
    )


def test_a_mix_is_held_as_a_prompt_its_answer_and_a_step() -> None:
    assert workloads_of({"prefill": 512.0, "decode": 128.0, "train": 9.0}) == [
        "prefill:512", "decode:128@512", "lora:r8,c128",
    ]  # fmt: skip
    assert workloads_of({"decode": 16.0}) == ["decode:16"]


def test_a_measured_device_is_answered_for_another_mix(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        store.extend(both(90.0, 60.0, adapter="Made One") + both(500.0, 600.0, phase="prefill", adapter="Made One"))
    (found,) = told("--results", tmp_path, "--model", "synthetic:1B", "--workload", "chat")
    assert (found["device"], found["chosen"], found["basis"]) == ("Made One", "tq1_0", "measured")
    assert [row["weight"] for row in found["evidence"]] == [1.0, 1.0]
    text = printed("--device", "made one", "--results", tmp_path, "--model", "synthetic:1B", "--limits", "memory=420")
    assert "TQ2_0" in text and "needs 430 MiB, the limit is 420 MiB" in text


def test_a_published_device_is_predicted_from_its_printed_figures_and_suspect_ones_are_shown_only() -> None:
    phone, apple = (
        told("--device", "galaxy-s25 gpu", "--model", "synthetic:1B", "--workload", "decode:64"),
        told("--device", "iphone-16 gpu", "--model", "synthetic:1B", "--workload", "decode:64"),
    )
    assert phone[0]["chosen"] == "tq1_0>tq2_0" and phone[0]["basis"] == "predicted"
    assert {(row["weight"], row["grade"]) for row in phone[0]["evidence"]} == {(0.5, "published")}
    assert {(row["weight"], row["grade"]) for row in apple[0]["evidence"]} == {(0.0, "not independent")}
    assert apple[0]["record_ids"] == [] and "Probe needed" in apple[0]["sentence"]


def test_the_answer_fits_into_80_columns_and_starts_with_what_to_ship() -> None:
    lines = printed("--class", "phone-adreno", "--device", "new", "--model", "synthetic:1B").splitlines()
    assert lines[0] == "new: synthetic:1B" and lines[3].startswith("Ship TQ1_0")
    assert max(len(line) for line in lines if "tritmark" not in line) <= 80
    assert any(line.strip().startswith("tritmark probe --device android") for line in lines)


def test_pretraining_is_indifferent_and_takes_the_smaller_file() -> None:
    (found,) = told("--class", "apple", "--model", "synthetic:125M", "--workload", "pretrain")
    assert found["chosen"] == "tq1_0" and found["tie"] and "full precision" in found["sentence"]


def test_the_evaluation_prints_a_table_for_each_set_of_cells() -> None:
    text = printed("--evaluate", RESULTS / "published" / "published.csv")
    assert text.count("| ours, one probe pair |") == 4 and "| always TQ2_0         | 23/76 |" in text
    assert max(map(len, text.splitlines())) <= 80
    assert not math.isnan(float(text.split("| ours, no probe       |")[1].split("|")[2].strip(" %")))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--model", "synthetic:9B", "--class", "apple"], "no synthetic model '9B'"),
        (["--model", "synthetic:1B", "--device", "commodore"], "no device 'commodore'"),
        (["--model", "synthetic:1B"], "no device was named"),
        (["--device", "pixel"], "no model was named"),
        (["--model", "synthetic:1B", "--class", "toaster"], "class 'toaster' is unknown"),
        (["--model", "synthetic:1B", "--class", "apple", "--workload", "sing"], "workload 'sing' is unknown"),
        (["--model", "synthetic:1B", "--class", "apple", "--limits", "speed=3"], "limit 'speed=3' is unknown"),
    ],
)
def test_a_wrong_question_is_one_line(arguments: list[str], said: str) -> None:
    with pytest.raises(CaseError, match=said):
        printed(*arguments)


def test_a_wrong_question_ends_with_status_2_and_a_wrong_table_with_1(tmp_path: Path) -> None:
    ended = tritmark("recommend", "--model", "synthetic:1B", "--class", "toaster", status=2)
    assert (
        ended.stderr.startswith("tritmark: class 'toaster' is unknown; use one of desktop-nvidia") and not ended.stdout
    )
    table = tmp_path / "one.csv"
    table.write_text("source,table,model,format,device,processor,metric,value,unit,status,note\n"
                     "s,inference,1B,TQ1_0,d,gpu,decode,5,tok/s,ok,\n")  # fmt: skip
    with pytest.raises(RecordError, match="fewer than two devices"):
        printed("--evaluate", table)
