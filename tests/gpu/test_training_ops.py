"""What training adds to the ops gives the bits of its reference, on any data and for full and partial steps."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import given as examples
from hypothesis import strategies as st
from made_models import MadeModel, add_ternary, dense_rows
from op_runs import KINDS, OpRun, drawn, given, result

from tritmark.engine.graph import Graph
from tritmark.engine.ops import fill
from tritmark.engine.ops.adamw import CHUNK, AdamW, GradientNorm
from tritmark.engine.ops.add import Add
from tritmark.engine.ops.dense_product import DenseProduct
from tritmark.engine.ops.dropout import Dropout
from tritmark.engine.ops.gate import GateGrad
from tritmark.engine.ops.quantize import Quantize
from tritmark.engine.ops.quantize_norm import padded
from tritmark.engine.ops.rmsnorm import RmsNormGrad
from tritmark.engine.ops.ternary_product import TernaryProduct, TransposedProduct
from tritmark.engine.ops.uniform import Uniform
from tritmark.engine.steps import StepRow
from tritmark.engine.weights import Weight

few = settings(max_examples=20, deadline=None, derandomize=True, phases=[Phase.explicit, Phase.generate],
               suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
kinds, seeds = st.sampled_from(KINDS), st.integers(0, 1 << 32)
M = 11
ROWS = [StepRow("op", 0, count, draw) for draw, count in enumerate((1, 8, 10, M))]
steps = st.integers(0, len(ROWS) - 1)


@pytest.fixture(scope="module")
def runs(gpu: Any) -> Any:
    """Makes each OpRun once: ``runs(build, *arguments)``."""
    return cache(lambda build, *arguments: build(gpu, *arguments))


def weight_of(shape: tuple[int, int], kind: str, scales: str) -> Weight:
    model = MadeModel("op")
    add_ternary(model, np.random.default_rng(shape[0]), "w", shape, scales)
    return Weight("w", model, ("w.weight",), kind, *shape, False, "block" if scales == "block" else "row")


def quantize_run(gpu: Any, limbs: int, cols: int) -> OpRun:
    graph = Graph("op", M)
    rows = 16 * limbs
    codes = [result("q", rows, padded(cols), dtype="i8"), result("scale", M), result("sum", rows, dtype="i32")]
    graph.add(Quantize(limbs), [given("x", M, cols)], "quantize", codes)
    return OpRun(gpu, graph, ROWS[-1:])


@few
@examples(limbs=st.sampled_from((1, 3)), cols=st.sampled_from((100, 513)), kind=kinds, seed=seeds)
def test_quantisation_to_one_or_three_limbs(runs: Any, limbs: int, cols: int, kind: str, seed: int) -> None:
    data = {"x": drawn(np.random.default_rng(seed), kind, (M, cols))}
    run = runs(quantize_run, limbs, cols)
    assert [name for name in run.differing(0, data) if name != "sum"] == []


WEIGHTS = (("tq1_0", (70, 512), "row"), ("tq2_0", (70, 512), "block"), ("tq2_0", (100, 256), "row"),
           ("tq1_0", (40, 352), "outer"), ("tq1_0", (33, 768), "block"))  # fmt: skip


def forward_run(gpu: Any, kind: str, shape: tuple[int, int], scales: str) -> OpRun:
    weight = weight_of(shape, kind, scales)
    graph = Graph("op", M)
    codes = graph.add(Quantize(3), [given("x", M, shape[1])], "quantize")
    graph.add(TernaryProduct(weight, limbs=3), [*codes, given("r", M, shape[0])], "product", [result("y", M, shape[0])])
    return OpRun(gpu, graph, ROWS, {"w": weight})


def transposed_run(gpu: Any, kind: str, shape: tuple[int, int], scales: str) -> OpRun:
    weight = weight_of(shape, kind, scales)
    graph = Graph("op", M)
    codes = graph.add(Quantize(3, weight), [given("g", M, shape[0])], "quantize")
    graph.add(TransposedProduct(weight), codes, "fresh", [result("y", M, shape[1])])
    total = result("total", M, shape[1])
    graph.add(TransposedProduct(weight), [*codes, total], "added", [total])
    return OpRun(gpu, graph, ROWS, {"w": weight})


@few
@examples(case=st.sampled_from(WEIGHTS), kind=kinds, step=steps, seed=seeds)
def test_products_of_three_limbs(runs: Any, case: Any, kind: str, step: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    data = {"x": drawn(random, kind, (M, case[1][1])), "r": drawn(random, kind, (M, case[1][0]))}
    assert runs(forward_run, *case).differing(step, data) == []


@few
@examples(case=st.sampled_from(WEIGHTS), kind=kinds, step=steps, seed=seeds)
def test_transposed_products(runs: Any, case: Any, kind: str, step: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    data = {"g": drawn(random, kind, (M, case[1][0])), "total": drawn(random, kind, (M, case[1][1]))}
    assert runs(transposed_run, *case).differing(step, data) == []


def norm_grad_run(gpu: Any, cols: int) -> OpRun:
    graph = Graph("op", M)
    inputs = [given("x", M, cols), given("w", cols), given("dy", M, cols)]
    graph.add(RmsNormGrad(1e-5), inputs, "fresh", [result("dx", M, cols)])
    graph.add(RmsNormGrad(1e-5), [*inputs, result("total", M, cols)], "added", [result("total", M, cols)])
    return OpRun(gpu, graph, ROWS)


@few
@examples(cols=st.sampled_from((100, 1028)), step=steps, seed=seeds)
def test_gradients_of_norms(runs: Any, cols: int, step: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    data = {name: drawn(random, "normal", shape) for name, shape in
            (("x", (M, cols)), ("w", (cols,)), ("dy", (M, cols)), ("total", (M, cols)))}  # fmt: skip
    assert runs(norm_grad_run, cols).differing(step, data) == []


def pointwise_run(gpu: Any) -> OpRun:
    graph = Graph("op", M)
    for activation in ("silu", "relu2"):
        inputs = [given("g", M, 70), given("u", M, 70), given("dy", M, 70)]
        outputs = [result(f"{activation}.{name}", M, 70) for name in ("g", "u")]
        graph.add(GateGrad(activation), inputs, activation, outputs)
    total, sum_ = result("total", M, 70), result("sum", M, 70)
    graph.add(Dropout(0.3, 5), [given("g", M, 70)], "dropout", [result("dropped", M, 70)])
    graph.add(Dropout(0.3, 5), [given("g", M, 70), total], "dropout", [total])
    graph.add(Dropout(0.3, 5), [given("g", M, 70), given("u", M, 70)], "dropout", [result("residual", M, 70)])
    graph.add(Add(), [given("g", M, 70), sum_], "add", [sum_])
    graph.add(Uniform(9, 0.1), [result("drawn", 2100)], "uniform")
    return OpRun(gpu, graph, ROWS)


@few
@examples(step=steps, seed=seeds)
def test_gates_dropout_and_sums(runs: Any, step: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    data = {name: drawn(random, "normal", (M, 70)) for name in ("g", "u", "dy", "total", "sum")}
    assert runs(pointwise_run).differing(step, data) == []


P = CHUNK + 1234  # two workgroups of squares, the second one partly filled
UPDATES = [StepRow("op", 0, 1, draw, rate=1e-3 * draw, keep=0.999, unbias1=10.0, unbias2=1000.0) for draw in (0, 2)]


def update_run(gpu: Any, most: float, decays: bool) -> OpRun:
    graph = Graph("op", 1)
    state = [result(name, P) for name in ("weights", "gradients", "first", "second")]
    norm = result("norm", 2)
    graph.add(GradientNorm(most), [state[1], result("log", 3)], "norm", [norm])
    graph.add(AdamW(decays=decays), [*state, norm], "update")
    return OpRun(gpu, graph, UPDATES)


@few
@examples(clips=st.booleans(), kind=st.sampled_from((*KINDS, "nan")), step=st.integers(0, 1), seed=seeds)
def test_optimiser_steps(runs: Any, clips: bool, kind: str, step: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    gradients = drawn(random, "normal" if kind == "nan" else kind, (P,))
    if kind == "nan":
        gradients[77] = np.nan
    data = {"weights": drawn(random, "normal", (P,)), "gradients": gradients, "first": drawn(random, "normal", (P,)),
            "second": abs(drawn(random, kind if kind != "nan" else "normal", (P,)))}  # fmt: skip
    run = runs(update_run, 0.5 if clips else 1e9, clips)
    differing = run.differing(step, data)
    assert [name for name in differing if kind != "nan" or name not in ("norm", "log")] == []


def test_parameters_beyond_one_side_of_a_grid_are_all_drawn_and_updated(
    gpu: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a side of eight workgroups; a real one has room for 33 million parameters."""
    monkeypatch.setattr(fill, "WIDEST", 8)
    random = np.random.default_rng(1)
    data = {name: drawn(random, "normal", (P,)) for name in ("weights", "gradients", "first")}
    assert update_run(gpu, 1e9, True).differing(1, {**data, "second": abs(data["first"])}) == []
    graph = Graph("op", 1)
    graph.add(Uniform(9, 0.1), [result("drawn", P)], "uniform")
    assert OpRun(gpu, graph, UPDATES).differing(0, {}) == []


MANY = 40  # tokens, enough for the tiled kernel of the head, and no multiple of its tile


def head_run(gpu: Any, type_: str) -> OpRun:
    model, shape = MadeModel("op"), (70, 512 if type_ == "q6_k" else 352)
    model.add("w.weight", shape, type_, dense_rows(np.random.default_rng(7), shape, type_))
    weight = Weight("w", model, ("w.weight",), type_, *shape, scaling="none")
    graph = Graph("op", MANY)
    graph.add(DenseProduct(weight), [given("x", MANY, shape[1])], "head", [result("y", MANY, 70)])
    return OpRun(gpu, graph, [StepRow("op", 0, count, 0) for count in (33, MANY)], {"w": weight})


@few
@examples(type_=st.sampled_from(("f16", "q6_k")), kind=kinds, step=st.integers(0, 1), seed=seeds)
def test_the_output_head_of_many_tokens(runs: Any, type_: str, kind: str, step: int, seed: int) -> None:
    data = {"x": drawn(np.random.default_rng(seed), kind, (MANY, 512 if type_ == "q6_k" else 352))}
    assert runs(head_run, type_).differing(step, data) == []
