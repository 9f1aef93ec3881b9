"""Layers whose weights are learnt whole: every op gives the bits of its reference, for full and partial steps."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import given as examples
from hypothesis import strategies as st
from op_runs import KINDS, OpRun, drawn, given, result

from tritmark.engine.grad import backward
from tritmark.engine.graph import Graph, Value
from tritmark.engine.ops.latent_product import LatentProduct, LatentTransposed
from tritmark.engine.ops.quantize import Quantize
from tritmark.engine.ops.quantize_norm import padded
from tritmark.engine.ops.ternarize import CHUNK, Ternarize
from tritmark.engine.ops.weight_grad import RUN, WeightGrad
from tritmark.engine.steps import StepRow

few = settings(max_examples=15, deadline=None, derandomize=True, phases=[Phase.explicit, Phase.generate],
               suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
kinds, seeds = st.sampled_from(KINDS), st.integers(0, 1 << 32)
M = 11
ROWS = [StepRow("op", 0, count, draw) for draw, count in enumerate((1, 8, 10, M))]
steps = st.integers(0, len(ROWS) - 1)
SHAPES = ((33, 100), (70, 256), (5, 516))


@pytest.fixture(scope="module")
def runs(gpu: Any) -> Any:
    """Makes each OpRun once: ``runs(build, *arguments)``."""
    return cache(lambda build, *arguments: build(gpu, *arguments))


def ternarize_run(gpu: Any, rows: int, cols: int) -> OpRun:
    op = Ternarize(rows, cols)
    (words, _), (scales, _) = op.shapes(())
    graph = Graph("op", 1)
    graph.add(op, [given("w", rows, cols)], "op", [result("words", *words, dtype="u32"), result("scales", *scales)])
    return OpRun(gpu, graph, ROWS[:1])


@few
@examples(shape=st.sampled_from((*SHAPES, (33, CHUNK // 32 + 4))), kind=kinds, seed=seeds)
def test_latent_weights_become_the_words_of_a_file(runs: Any, shape: tuple[int, int], kind: str, seed: int) -> None:
    """The reference packs its trits as formats/ packs those of a model. The last shape has two chunks of magnitudes."""
    data = {"w": drawn(np.random.default_rng(seed), kind, shape)}
    assert runs(ternarize_run, *shape).differing(0, data) == []


def product_run(gpu: Any, rows: int, cols: int, limbs: int) -> OpRun:
    graph = Graph("op", M)
    codes = graph.add(Quantize(limbs), [given("x", M, cols)], "quantize")
    made = graph.add(Ternarize(rows, cols), [given("w", rows, cols)], "ternarize")
    product = LatentProduct(rows, cols, limbs)
    graph.add(product, [*codes, *made], "product", [result("y", M, rows)])
    graph.add(product, [*codes, *made, given("r", M, rows)], "added", [result("z", M, rows)])
    return OpRun(gpu, graph, ROWS)


@few
@examples(shape=st.sampled_from(SHAPES), limbs=st.sampled_from((1, 3)), kind=kinds, step=steps, seed=seeds)
def test_products(runs: Any, shape: tuple[int, int], limbs: int, kind: str, step: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    data = {"x": drawn(random, kind, (M, shape[1])), "r": drawn(random, kind, (M, shape[0])),
            "w": drawn(random, "normal", shape)}  # fmt: skip
    assert runs(product_run, *shape, limbs).differing(step, data) == []


def transposed_run(gpu: Any, rows: int, cols: int) -> OpRun:
    graph = Graph("op", M)
    words, scales = graph.add(Ternarize(rows, cols), [given("w", rows, cols)], "ternarize")
    codes = graph.add(Quantize(3), [given("g", M, rows), scales], "quantize")
    total = result("total", M, cols)
    graph.add(LatentTransposed(rows, cols), [*codes, words], "fresh", [result("y", M, cols)])
    graph.add(LatentTransposed(rows, cols), [*codes, words, total], "added", [total])
    return OpRun(gpu, graph, ROWS)


@few
@examples(shape=st.sampled_from(SHAPES), kind=kinds, step=steps, seed=seeds)
def test_transposed_products(runs: Any, shape: tuple[int, int], kind: str, step: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    data = {"g": drawn(random, kind, (M, shape[0])), "total": drawn(random, kind, (M, shape[1])),
            "w": drawn(random, "mixed", shape)}  # fmt: skip
    assert runs(transposed_run, *shape).differing(step, data) == []


MANY = RUN + 45  # tokens: two runs of a column's largest, and several chunks that workgroups share; no multiple of 8
MANY_ROWS = [StepRow("op", 0, count, draw) for draw, count in enumerate((3, 65, RUN + 1, MANY))]


def weight_grad_run(gpu: Any, rows: int, cols: int, limbs: int) -> OpRun:
    graph, held = Graph("op", MANY), limbs * -(-MANY // 8) * 8
    codes = [result("q", held, padded(cols), dtype="i8"), result("scale", MANY)]
    graph.add(Quantize(limbs), [given("x", MANY, cols)], "quantize", [*codes, result("sum", held, dtype="i32")])
    inputs, total = [given("dy", MANY, rows), *codes], result("total", rows, cols)
    graph.add(WeightGrad(rows, cols, limbs), inputs, "fresh", [result("y", rows, cols)])
    graph.add(WeightGrad(rows, cols, limbs), [*inputs, total], "added", [total])
    return OpRun(gpu, graph, MANY_ROWS)


# Few tiles, so that workgroups share tokens and another kernel joins them; and tiles enough for one workgroup each.
@few
@examples(shape=st.sampled_from(((5, 100), (70, 132))), limbs=st.sampled_from((1, 3)), kind=kinds,
          step=st.integers(0, len(MANY_ROWS) - 1), seed=seeds)  # fmt: skip
def test_gradients_of_weights(runs: Any, shape: tuple[int, int], limbs: int, kind: str, step: int, seed: int) -> None:
    """Codes and scales beyond the step's tokens are whatever lay there before, and must not count."""
    random = np.random.default_rng(seed)
    rows, cols = shape
    data = {"dy": drawn(random, kind, (MANY, rows)), "x": drawn(random, kind, (MANY, cols)),
            "q": random.integers(-128, 128, (limbs * -(-MANY // 8) * 8, padded(cols)), np.int8),
            "scale": drawn(random, "huge", (MANY,)), "total": drawn(random, kind, shape)}  # fmt: skip
    differing = runs(weight_grad_run, rows, cols, limbs).differing(step, data)
    assert [name for name in differing if name in ("y", "total")] == []


def test_sums_that_f32_cannot_hold_are_rounded_once(gpu: Any) -> None:
    """20,000 tokens of one sign: sums of single limbs pass 2^24, and that of all of them 2^45."""
    tokens, side = 20_000, 8
    graph = Graph("op", tokens)
    q, scale, _ = graph.add(Quantize(), [given("x", tokens, side)], "quantize")
    graph.add(WeightGrad(side, side), [given("dy", tokens, side), q, scale], "grad", [result("y", side, side)])
    run = OpRun(gpu, graph, [StepRow("op", 0, tokens, 0)])
    values = np.random.default_rng(4).uniform(0.9, 1, (2, tokens, side)).astype(np.float32)
    for sign in (1, -1):
        assert run.differing(0, {"x": values[0], "dy": sign * values[1]}) == []


@pytest.mark.parametrize("limbs", [1, 3])
def test_a_layer_and_its_gradients_as_one_graph(gpu: Any, limbs: int) -> None:
    """Two layers with the same latent weights, the second with a residual; gradients add up in what was there."""
    side = 36
    graph = Graph("op", M)
    w, x, g = given("w", side, side), given("x", M, side), given("g", M, side)
    made, y = graph.add(Ternarize(side, side), [w], "ternarize"), x
    for layer in ("first", "second"):
        codes = graph.add(Quantize(limbs), [y], f"{layer}.quantize")
        (y,) = graph.add(LatentProduct(side, side, limbs), [*codes, *made, y], layer)
    gradients: dict[Value, Value] = {w: result("dw", side, side), x: result("dx", M, side)}
    backward(graph, list(graph.nodes), {y: g}, gradients)
    random = np.random.default_rng(limbs)
    data = {"w": drawn(random, "normal", (side, side)), "dw": drawn(random, "normal", (side, side)),
            **{name: drawn(random, "normal", (M, side)) for name in ("x", "g", "dx")}}  # fmt: skip
    run = OpRun(gpu, graph, ROWS)
    assert [name for name in run.differing(2, data) if name != "g"] == []
