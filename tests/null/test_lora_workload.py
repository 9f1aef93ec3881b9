"""The fine-tuning benchmark: its name, its data, what it counts and what it will take."""

from __future__ import annotations

import pytest
from imagined_device import CAPS

from tritmark.bench.case import Case
from tritmark.bench.forecast import forecast
from tritmark.bench.workload import listed_workloads, parse_workload
from tritmark.engine.errors import PlanError
from tritmark.engine.formats.model import open_model
from tritmark.engine.inference import Workload, parse_format
from tritmark.engine.lora_workload import LoraWorkload, compile_lora_workload, instruction_set


@pytest.mark.parametrize("text", ["lora:r8,c128", "lora:r64,c512,s4"])
def test_a_workload_is_written_as_it_is_read(text: str) -> None:
    assert str(parse_workload(text)) == text and isinstance(parse_workload(text), LoraWorkload)
    assert isinstance(parse_workload("decode:8@16"), Workload)


@pytest.mark.parametrize("text", ["lora:r0,c128", "lora:r8", "lora:r8,c1", "lora:r8,c128,s0", "lora:8,128", "train:3"])
def test_a_workload_that_is_none_names_what_would_be(text: str) -> None:
    with pytest.raises(PlanError, match=r"lora:r8,c128"):
        parse_workload(text)


def test_commas_within_a_workload_stay_those_between_part() -> None:
    assert listed_workloads(["lora:r8,c128,prefill:8, decode:4", "lora:r4,c64,s2"]) == [
        "lora:r8,c128", "prefill:8", "decode:4", "lora:r4,c64,s2"
    ]  # fmt: skip


def test_the_shipped_set_has_the_size_of_the_published_one() -> None:
    whole = instruction_set(256)
    assert (whole.learnt.documents, whole.learnt.tokens) == (297, 41754)
    assert 0 < whole.learnt.supervised_tokens < whole.learnt.tokens < whole.learnt.slots


@pytest.mark.parametrize(("format", "most_mib"), [("tq1_0", 700), ("tq2_0", 750)])
def test_1b_fits_the_memory_that_was_promised(format: str, most_mib: int) -> None:
    case = Case(model="synthetic:1B", format=format, workload="lora:r8,c128", device="host")
    found = forecast(case, CAPS, None, None)
    assert found["fits"] and found["peak_gpu_bytes"] < most_mib << 20


def test_recomputing_layers_trades_launches_for_memory() -> None:
    model, workload = open_model("synthetic:125M"), LoraWorkload.parse("lora:r8,c128,s1")
    peaks, launches = [], []
    for layers in (0, 5, 10):
        plan = compile_lora_workload(model, parse_format("tq2_0"), workload, CAPS, recompute=layers).compiled.plan
        peaks.append(plan.peak_gpu_bytes)
        launches.append(len(plan.programs["train"]))
    assert peaks == sorted(peaks, reverse=True) and launches == sorted(launches) and len({*peaks}) == 3


@pytest.mark.parametrize(("workload", "options"), [("lora:r8,c128", {"chunk": 8}), ("prefill:8", {"recompute": 1})])
def test_options_of_the_other_kind_are_refused(workload: str, options: dict[str, int]) -> None:
    case = Case(model="synthetic:tiny", format="tq1_0", workload=workload, device="host", options=options)
    assert "is an option of" in forecast(case, CAPS, None, None)["reason"]


def test_a_run_is_about_the_first_steps_of_an_epoch() -> None:
    made = compile_lora_workload(
        open_model("synthetic:tiny"), parse_format("tq1_0"), LoraWorkload.parse("lora:r4,c128,s3"), CAPS
    )
    assert made.about["steps"] == 3 and made.about["slots"] == 3 * 128
    assert made.about["supervised_tokens"] < made.about["tokens"] <= made.about["slots"]
    assert made.about["epoch_steps"] * 128 == made.about["epoch_slots"]
    assert len(made.timed) == 6 and made.opening.stop == made.timed.start
