"""Probing on a real device: what is composed of a few layers is a prediction, says so, and is near what runs."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

import pytest
from command_runs import last, tritmark

from tritmark.bench.case import Case
from tritmark.bench.measure import WARM_UP_S
from tritmark.bench.prepare import prepare
from tritmark.bench.probing import LAYERS, composed_ns, cut
from tritmark.results.record import Record
from tritmark.results.store import read


def test_the_whole_is_composed_of_what_its_layers_take() -> None:
    assert composed_ns(100, 160, (1, 3), 11) == 400
    assert composed_ns(100, 90, (1, 3), 11) == 100  # noise
    assert composed_ns(100, 130, (1, 2), 2) == 130 and composed_ns(100, 100, (1, 1), 1) == 100
    assert LAYERS == (1, 3) and WARM_UP_S >= 0


def test_a_model_is_cut_by_its_name(gpu: Any) -> None:
    case = Case(model="synthetic:125M?seed=2", format="tq2_0", workload="decode:4", device="host")
    two = prepare(cut(case, 2), gpu.caps)
    assert cut(case, 2).model == "synthetic:125M?seed=2&layers=2"
    assert (
        two.shape and two.shape["layers"] == 2 and two.plan.peak_gpu_bytes < prepare(case, gpu.caps).plan.peak_gpu_bytes
    )


def test_a_probe_predicts_each_format_and_keeps_what_it_says_apart_from_measurements(tmp_path: Path, gpu: Any) -> None:
    ended = tritmark("probe", "--model", "synthetic:tiny", "--workload", "decode:8", "--out", tmp_path, "--json")
    assert last(ended) == {"probed": 2, "left_out": [], "out": str(tmp_path)}
    told = [Record.from_json(json.loads(line)) for line in ended.stdout.splitlines()[:-1]]
    assert told == read(tmp_path) and [record.format for record in told] == ["tq1_0", "tq2_0"]
    for record in told:
        assert (record.kind, record.grade, record.status) == ("predicted", "predicted", "ok")
        assert record.grade_reasons == ("composed of 1 and 2 of 2 layers",) and len(record.samples_ns) == 3
        assert (
            record.case_key
            != Case(model="synthetic:tiny", format=record.format, workload="decode:8", device="host").key
        )


def test_what_a_probe_predicts_is_near_what_is_measured(tmp_path: Path, gpu: Any) -> None:
    axes = ("--model", "synthetic:125M?layers=5", "--workload", "prefill:8", "--format", "tq2_0")
    tritmark("probe", *axes, "--out", tmp_path / "probe", "--budget", "120")
    tritmark("run", *axes, "--out", tmp_path / "run")
    (predicted,), (measured,) = read(tmp_path / "probe"), read(tmp_path / "run")
    ratio = statistics.median(predicted.samples_ns) / statistics.median(measured.samples_ns)
    assert 0.4 < ratio < 2.5  # machines of tests are shared; the figure of a quiet one is in bench/README.md


def test_time_that_does_not_suffice_is_said_and_a_wrong_model_is_refused(tmp_path: Path, gpu: Any) -> None:
    ended = tritmark(
        "probe", "--model", "synthetic:tiny", "--workload", "decode:8,lora:r2,c16,s1", "--budget", "1", "--json"
    )
    assert last(ended)["probed"] + len(last(ended)["left_out"]) == 4 and "lora:r2,c16,s1" in last(ended)["left_out"][-1]
    refused = tritmark("probe", "--model", "synthetic:tiny?layers=9", status=1)
    assert "has 2 layers; ?layers=9 must be between 1 and that" in refused.stderr and not refused.stdout


def test_a_measured_record_has_the_profile_of_a_step_and_the_gauge_of_its_device(tmp_path: Path, gpu: Any) -> None:
    if "timestamp-query" not in gpu.caps.features:
        pytest.skip("this GPU has no timestamp-query")
    tritmark(
        "run", "--model", "synthetic:tiny", "--workload", "prefill:8,decode:4", "--format", "tq1_0", "--out", tmp_path
    )
    for record in read(tmp_path):
        assert record.gauge and record.gauge["copy_bytes_per_s"] > 0 and record.gauge["dispatch_ns"] > 0
        assert record.shape and record.shape["layers"] == 2 and record.shape["ternary_weights"] > 0
        labels = [kernel["label"] for kernel in record.kernels]
        assert "attend" in labels and not any(label.startswith("blk.") for label in labels)
        assert all(kernel["time_ns"] > 0 and kernel["count"] > 0 for kernel in record.kernels)
        times = [kernel["time_ns"] for kernel in record.kernels]
        assert times == sorted(times, reverse=True) and sum(kernel["operations"] for kernel in record.kernels) > 0
