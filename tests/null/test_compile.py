"""From graph to Plan: fusion, shared scratch, tiling, and a kernel's own signature."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from imagined_device import CAPS
from made_models import MadeModel, Recipe, made_model

from tritmark.engine.compile import Compiler
from tritmark.engine.errors import PlanError
from tritmark.engine.formats.model import open_model
from tritmark.engine.graph import Graph, Value
from tritmark.engine.inference import Workload, compile_workload, parse_format
from tritmark.engine.ops.rmsnorm import RmsNorm
from tritmark.engine.plan import Caps, Cost, Plan
from tritmark.engine.weights import Image

TINY = open_model("synthetic:tiny")


def plan_of(model: object, caps: Caps = CAPS, workload: str = "decode:4@20") -> Plan:
    return compile_workload(model, parse_format("tq1_0"), Workload.parse(workload), caps).plan


def limited(**limits: int) -> Caps:
    return replace(CAPS, limits={**CAPS.limits, **limits})


def labels(plan: Plan, program: str) -> list[str]:
    return [d.label for d in plan.programs[program]]


def test_one_token_at_a_time_norms_are_part_of_products() -> None:
    plan = plan_of(TINY)
    assert not any(label.endswith("_norm") and label.startswith("blk.") for label in labels(plan, "decode"))
    assert sum(label.endswith("_norm") for label in labels(plan, "prefill_last")) == 2 * 4 + 1


def test_without_workgroup_memory_norms_stay_apart() -> None:
    plan = plan_of(TINY, limited(maxComputeWorkgroupStorageSize=1024))
    assert "blk.0.attn_norm" in labels(plan, "decode")


def test_codes_that_a_dense_product_reads_are_not_fused_away() -> None:
    plan = plan_of(made_model(Recipe(down_type="q4_0")))
    assert "blk.0.ffn_sub_norm" in labels(plan, "decode") and "blk.0.attn_norm" not in labels(plan, "decode")


def test_projections_of_the_same_input_are_one_product_where_tiles_allow() -> None:
    assert "blk.0.attn_q+attn_k+attn_v" in labels(plan_of(TINY), "decode")
    uneven = labels(plan_of(made_model(Recipe(embedding=400, kv_heads=2))), "decode")
    assert {"blk.0.attn_q", "blk.0.attn_k", "blk.0.attn_v"} <= set(uneven)


def test_scratch_is_shared_but_never_within_a_dispatch() -> None:
    plan = plan_of(TINY)
    scratch = {slot.id for slot in plan.slots if slot.role == "scratch"}
    assert len(scratch) < 12
    for dispatch in (d for program in plan.programs.values() for d in program):
        bound = [b.slot for b in dispatch.bindings if b.slot in scratch]
        assert len(bound) == len(set(bound)), dispatch.label


def test_layers_share_their_modules() -> None:
    two, four = (made_model(Recipe(layers=layers)) for layers in (2, 4))
    assert plan_of(two).modules == plan_of(four).modules


@pytest.mark.parametrize("limit", [1 << 17, 1 << 18, 1 << 20])
def test_tiles_cover_every_row_once_below_the_limit(limit: int) -> None:
    model = made_model(Recipe(embedding=512, heads=8, kv_heads=8, feed_forward=1024, vocabulary=1500))
    plan = plan_of(model, limited(maxStorageBufferBindingSize=limit), "decode:2@8")
    slots = plan.slot_by_id
    for program in plan.programs.values():
        windows: dict[str, list[tuple[int, int]]] = {}
        for binding in (b for d in program for b in d.bindings):
            assert binding.access == "uniform" or binding.bytes <= limit
            if slots[binding.slot].role == "weight" and binding.slot.startswith("blk."):
                windows.setdefault(binding.slot, []).append((binding.offset, binding.offset + binding.bytes))
        for slot, spans in windows.items():
            spans = sorted(set(spans))
            assert spans[0][0] == 0 and spans[-1][1] == slots[slot].bytes
            assert all(a[1] == b[0] for a, b in pairwise(spans))


def test_a_kernel_and_its_op_must_agree_on_buffers() -> None:
    compiler = Compiler(CAPS, Image(MadeModel("none"), "none"))
    tokens = Value("t", (4,), "u32", "input")
    with pytest.raises(PlanError, match=r"disagree on the buffers \['logits'\]"):
        compiler.dispatch("argmax", {"VOCAB": 5, "WG": 32, "AHEAD": 1}, {"tokens": tokens}, (1, 1, 1), "x", Cost())


def test_a_graph_gives_fresh_values_the_shapes_of_its_op() -> None:
    graph = Graph("g", 3)
    x, w = Value("x", (3, 8), role="input"), Value("w", (8,), role="input")
    y, = graph.add(RmsNorm(1e-5), [x, w], "norm")
    z, = graph.add(RmsNorm(1e-5, last=True), [y, w], "last")
    assert (y.shape, z.shape, y.role, y.bytes) == ((3, 8), (1, 8), "scratch", 96)
    assert [n.label for n in graph.consumers(w)] == ["norm", "last"] and list(graph.consumers(z)) == []
