"""Workloads, formats and prompts become steps; what cannot run is refused in one line before any GPU is touched."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from imagined_device import CAPS
from made_models import Recipe, made_model

from tritmark.engine.errors import PlanError
from tritmark.engine.formats.model import open_model
from tritmark.engine.inference import (
    Workload,
    compile_generation,
    compile_logits,
    compile_workload,
    parse_format,
    synthetic_prompt,
)
from tritmark.engine.plan import problems
from tritmark.engine.steps import KV_CHUNK, decode_rows, prefill_rows

MODEL = open_model("synthetic:tiny")
TQ1 = parse_format("tq1_0")


@pytest.mark.parametrize("text", ["tq1_0", "tq2_0", "tq1_0>tq2_0", "tq2_0>tq1_0"])
def test_a_format_reads_back(text: str) -> None:
    assert str(parse_format(text)) == text
    assert parse_format(text).resident == text.rpartition(">")[2]


@pytest.mark.parametrize("text", ["", "tq3_0", "f16", "tq1_0>", ">tq1_0", "tq1_0>f16", "tq1_0>tq2_0>tq1_0", "TQ1_0"])
def test_an_unknown_format_is_refused(text: str) -> None:
    with pytest.raises(PlanError, match="is unknown") as caught:
        parse_format(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("text", "prompt", "generated"), [("prefill:512", 512, 0), ("decode:128", 1, 128),
                                                           ("decode:7@512", 512, 7)])  # fmt: skip
def test_a_workload_reads_back(text: str, prompt: int, generated: int) -> None:
    workload = Workload.parse(text)
    assert (str(workload), workload.prompt, workload.generated) == (text, prompt, generated)


@pytest.mark.parametrize("text", ["", "prefill", "prefill:0", "prefill:-1", "prefill:8@2", "decode:x", "train:5",
                                  "decode:4@", "prefill:512 "])  # fmt: skip
def test_an_unknown_workload_is_refused(text: str) -> None:
    with pytest.raises(PlanError, match="is unknown") as caught:
        Workload.parse(text)
    assert "\n" not in str(caught.value)


@given(tokens=st.integers(1, 700), chunk=st.integers(1, 700), generated=st.integers(0, 9))
def test_rows_cover_every_position_once(tokens: int, chunk: int, generated: int) -> None:
    rows = [*prefill_rows(tokens, chunk), *decode_rows(tokens, generated)]
    covered = [p for row in rows for p in range(row.position, row.kv_length)]
    assert covered == list(range(tokens + generated))
    assert [row.program for row in rows].count("prefill_last") == 1
    assert [row.draw for row in rows if row.program != "prefill"] == list(range(generated + 1))
    assert all((row.to_step().values[3] - 1) * KV_CHUNK < row.kv_length for row in rows)


def test_the_synthetic_prompt_stays_inside_the_vocabulary_and_varies() -> None:
    prompt = synthetic_prompt(512, 300)
    assert set(prompt) <= set(range(512)) and len(set(prompt)) > 100
    assert synthetic_prompt(512, 10) == prompt[:10]


@pytest.mark.parametrize(
    ("prompt", "generate", "says"),
    [([], 1, "no tokens"), ([512], 1, "512 is outside the vocabulary 0..511"), ([-1], 1, "outside the vocabulary"),
     ([1] * 2049, 0, "2049 positions exceed the model's context of 2048"), ([1, 2], 2047, "exceed")],
)  # fmt: skip
def test_a_bad_prompt_is_refused_in_one_line(prompt: list[int], generate: int, says: str) -> None:
    with pytest.raises(PlanError, match=says) as caught:
        compile_generation(MODEL, TQ1, prompt, generate, CAPS)
    assert "\n" not in str(caught.value)
    if generate == 1:
        with pytest.raises(PlanError, match=says):
            compile_logits(MODEL, prompt, TQ1, CAPS)


@pytest.mark.parametrize("recipe", [Recipe(), Recipe(feed_forward=352, kv_heads=1, head_type="q8_0"),
                                    Recipe(embedding=512, scales="block"), Recipe(down_type="q4_0")])  # fmt: skip
@pytest.mark.parametrize("kind", ["cpu", "discrete"])
def test_every_compiled_plan_is_valid(recipe: Recipe, kind: str) -> None:
    caps = replace(CAPS, kind=kind)
    for resident in ("tq1_0", "tq2_0"):
        compiled = compile_workload(made_model(recipe), parse_format(resident), Workload.parse("decode:4@200"), caps)
        assert list(problems(compiled.plan, caps)) == []
        assert compiled.rows[compiled.first_decode].program == "decode"


def test_a_device_without_integer_dots_needs_no_feature() -> None:
    plain = replace(CAPS, language_features=())
    plan = compile_workload(MODEL, TQ1, Workload.parse("decode:2"), plain).plan
    assert not plan.features and list(problems(plan, plain)) == []
    assert not any("dot4I8Packed" in text for text in plan.modules.values())


def test_one_tile_above_the_binding_limit_is_refused_in_one_line() -> None:
    small = replace(CAPS, limits={**CAPS.limits, "maxStorageBufferBindingSize": 1024})
    with pytest.raises(PlanError, match="binding limit") as caught:
        compile_workload(MODEL, TQ1, Workload.parse("decode:2"), small)
    assert "\n" not in str(caught.value)


def test_costs_count_weights_once_and_two_operations_a_weight() -> None:
    """The tiny model's projections: 2 layers of 4 E^2 + 3 E F weights, and the head's V E."""
    decode = compile_workload(MODEL, TQ1, Workload.parse("decode:2"), CAPS).plan.programs["decode"]
    weights = 2 * (4 * 256 * 256 + 3 * 256 * 512) + 512 * 256
    assert 2 * weights <= sum(d.cost.operations for d in decode) <= 2.2 * weights
    least_bytes = 2 * (4 * 256 * 256 + 3 * 256 * 512) * 13 * 4 // 256 + 512 * 256 * 2
    assert least_bytes <= sum(d.cost.bytes for d in decode) <= 1.3 * least_bytes
    assert len(decode) <= 2 * 8 + 5


def test_weights_lie_apart_and_within_their_file() -> None:
    plan = compile_workload(MODEL, TQ1, Workload.parse("decode:2"), CAPS).plan
    spans = sorted((r.offset, r.offset + r.bytes) for slot in plan.slots for r in slot.ranges)
    assert all(end <= start for (_, end), (start, _) in pairwise(spans))
    assert all(offset % 256 == 0 for offset, _ in spans) and spans[-1][1] <= next(iter(plan.files.values()))
