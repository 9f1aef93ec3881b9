"""The launches of one token, in every shape that a GPU or a processor can give them: the bits of their reference."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from op_runs import OpRun, dense_weight, drawn, given, halves, result, ternary_weight

from tritmark.engine.graph import Graph, Node, Value
from tritmark.engine.ops.attend import Attend
from tritmark.engine.ops.attend_token import TokenAttend, fits_token, most_span
from tritmark.engine.ops.choice import spelled
from tritmark.engine.ops.dense_product import DenseProduct
from tritmark.engine.ops.normed_product import NormedProduct, matvec_shapes
from tritmark.engine.ops.quantize_norm import QuantizeNorm
from tritmark.engine.ops.rope_cache import RopeCache, rope_table
from tritmark.engine.ops.ternary_product import TernaryProduct
from tritmark.engine.steps import StepRow

PHONE = {"maxComputeInvocationsPerWorkgroup": 256, "maxComputeWorkgroupStorageSize": 16384}
PRODUCTS = (
    ("tq1_0", (70, 768), "row", None), ("tq2_0", (100, 1024), "row", "silu"), ("tq1_0", (70, 512), "block", "relu2"),
    ("tq2_0", (70, 600), "outer", None),
)  # fmt: skip
CONTEXT = 300
POSITIONS = (0, 1, 5, 126, 127, 128, 255, 256, CONTEXT - 1)


def acting(gpu: Any, kind: str, limits: dict[str, int] | None = None, tuned: dict[str, str] | None = None) -> Any:
    """``gpu`` with the caps of another kind of device, with smaller limits or with shapes chosen."""
    caps = replace(gpu.caps, kind=kind, limits={**gpu.caps.limits, **(limits or {})}, tuned=tuned or {})
    return replace(gpu, caps=caps)


@pytest.mark.parametrize("kind", ["discrete", "cpu"])
@pytest.mark.parametrize("case", PRODUCTS, ids=[f"{c[0]}-{c[2]}-{c[3]}" for c in PRODUCTS])
def test_a_product_has_the_same_bits_in_every_shape(gpu: Any, case: Any, kind: str) -> None:
    type_, shape, scales, activation = case
    random = np.random.default_rng(3)
    weight = ternary_weight(shape, type_, scales, activation is not None)
    product = TernaryProduct(weight, activation)
    data = {"x": drawn(random, "mixed", (1, shape[1])), "n": drawn(random, "normal", (shape[1],)),
            "r": drawn(random, "normal", (1, shape[0]))}  # fmt: skip
    shapes = matvec_shapes(product, acting(gpu, kind).caps)
    assert len(shapes) > 1
    for chosen in shapes[:: max(1, len(shapes) // 4)]:
        inputs = (given("x", 1, shape[1]), given("n", shape[1]), *([] if activation else [given("r", 1, shape[0])]))
        graph = Graph("op", 1)
        graph.nodes.append(
            Node(NormedProduct(QuantizeNorm(1e-5), product), inputs, (result("y", 1, shape[0]),), "product")
        )
        tuned = acting(gpu, kind, tuned={product.key: spelled(chosen)})
        assert OpRun(tuned, graph, [StepRow("op", 0, 1, 0)], {"w": weight}).differing(0, data) == [], chosen


@pytest.mark.parametrize("kind", ["discrete", "cpu"])
@pytest.mark.parametrize("type_", ["f16", "q6_k"])
def test_a_dense_product_has_the_same_bits_in_every_shape(gpu: Any, type_: str, kind: str) -> None:
    random, cols = np.random.default_rng(4), 512 if type_ == "q6_k" else 800
    weight = dense_weight((70, cols), type_)
    product, data = DenseProduct(weight), {"x": drawn(random, "mixed", (3, cols))}
    shapes = product.choice(Node(product, (), (result("y", 3, 70),), "head"), acting(gpu, kind).caps).shapes
    assert len(shapes) >= 4
    for shape in shapes[:: max(1, len(shapes) // 3)]:
        graph = Graph("op", 3)
        graph.add(product, [given("x", 3, cols)], "head", [result("y", 3, 70)])
        tuned = acting(gpu, kind, tuned={product.key: shape})
        assert OpRun(tuned, graph, [StepRow("op", 0, 3, 0)], {"w": weight}).differing(0, data) == [], shape


def attend_run(gpu: Any, heads: tuple[int, int, int], context: int, interleaved: bool) -> OpRun:
    count, kv_count, head = heads
    caches = [Value(name, (kv_count, context, head), "f16", "state") for name in ("keys", "values")]
    inputs = (given("qkv", 1, (count + 2 * kv_count) * head), given("table", context, head // 2, 2), *caches)
    op = TokenAttend(RopeCache(count, kv_count, head, interleaved), Attend(count, kv_count, head, context))
    graph = Graph("op", 1)
    graph.nodes.append(Node(op, inputs, (result("y", 1, count * head),), "attend"))
    return OpRun(gpu, graph, [StepRow("op", p, 1, 0) for p in POSITIONS if p < context])


@pytest.mark.parametrize("limits", [{}, PHONE], ids=["large", "phone"])
@pytest.mark.parametrize("interleaved", [False, True])
@pytest.mark.parametrize(("heads", "context"), [((4, 2, 32), CONTEXT), ((2, 2, 128), CONTEXT), ((3, 1, 104), 100)])
def test_attention_with_its_rotation_has_the_bits_of_both(
    gpu: Any, heads: tuple[int, int, int], context: int, interleaved: bool, limits: dict[str, int]
) -> None:
    device = acting(gpu, "discrete", limits)
    run, random = attend_run(device, heads, context, interleaved), np.random.default_rng(context)
    count, kv_count, head = heads
    for step, position in enumerate(row.position for row in run.rows):
        caches = {name: halves(random, "normal", (kv_count, context, head)) for name in ("keys", "values")}
        qkv = drawn(random, "normal", (1, (count + 2 * kv_count) * head))
        data = {"qkv": qkv, "table": rope_table(context, head, 1e4, 1.0), **caches}
        assert run.differing(step, data) == [], position


def test_a_small_device_splits_a_long_context_over_workgroups(gpu: Any) -> None:
    device = acting(gpu, "discrete", PHONE)
    assert most_span(128, device.caps) < -(-CONTEXT // 128)
    kernels = attend_run(device, (2, 2, 128), CONTEXT, False).session.plan.programs["op"]
    assert [dispatch.label for dispatch in kernels] == ["attend", "attend.join"]


def test_a_head_that_no_load_divides_takes_the_launches_apart(gpu: Any) -> None:
    caps = acting(gpu, "discrete").caps
    assert not fits_token(Attend(4, 4, 100, 256), caps) and fits_token(Attend(4, 4, 104, 256), caps)
