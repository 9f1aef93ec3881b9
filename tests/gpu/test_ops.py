"""Every op gives the bits of its reference, on any data and for full, partial and single-token steps."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from engine_runs import Array
from hypothesis import HealthCheck, Phase, settings
from hypothesis import given as examples
from hypothesis import strategies as st
from op_runs import KINDS, OpRun, dense_weight, drawn, given, halves, result, ternary_weight

from tritmark.engine.graph import Graph, Value
from tritmark.engine.ops.attend import Attend
from tritmark.engine.ops.conformance import Conformance
from tritmark.engine.ops.dense_product import DenseProduct
from tritmark.engine.ops.embed import Embed
from tritmark.engine.ops.gate import Gate
from tritmark.engine.ops.quantize_norm import QuantizeNorm, padded
from tritmark.engine.ops.rmsnorm import RmsNorm
from tritmark.engine.ops.rope_cache import RopeCache, rope_table
from tritmark.engine.ops.sample import Sample, Sampling
from tritmark.engine.ops.ternary_product import TernaryProduct
from tritmark.engine.steps import StepRow

# Shapes are few, since a software GPU compiles each anew; data and steps vary freely on them.
few = settings(max_examples=30, deadline=None, derandomize=True, phases=[Phase.explicit, Phase.generate],
               suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
kinds, seeds = st.sampled_from(KINDS), st.integers(0, 1 << 32)
DENSE = ("f32", "f16", "bf16", "q8_0", "q4_0", "q6_k")
M, EPS = 11, 1e-5
ROWS = [StepRow("op", 0, count, 0) for count in (1, 8, 10, M)]
steps = st.integers(0, len(ROWS) - 1)


@pytest.fixture(scope="module")
def runs(gpu: Any) -> Any:
    """Makes each OpRun once: ``runs(build, *arguments)``."""
    return cache(lambda build, *arguments: build(gpu, *arguments))


def norm_run(gpu: Any, cols: int, tokens: int) -> OpRun:
    graph = Graph("op", tokens)
    codes = [result("q", -(-tokens // 8) * 8, padded(cols), dtype="i8"), result("scale", tokens),
             result("sum", tokens, dtype="i32")]
    graph.add(QuantizeNorm(EPS), [given("x", tokens, cols), given("w", cols)], "norm", codes)
    graph.add(RmsNorm(EPS), [given("x", tokens, cols), given("w", cols)], "float norm", [result("y", tokens, cols)])
    graph.add(RmsNorm(EPS, last=True), [given("x", tokens, cols), given("w", cols)], "last", [result("z", 1, cols)])
    return OpRun(gpu, graph, ROWS if tokens == M else ROWS[:1])


@few
@examples(cols=st.sampled_from((100, 1028)), kind=kinds, step=steps, seed=seeds)
def test_norms_and_quantisation(runs: Any, cols: int, kind: str, step: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    data = {"x": drawn(random, kind, (M, cols)), "w": drawn(random, "normal", (cols,))}
    assert runs(norm_run, cols, M).differing(step, data) == []


def ternary_run(gpu: Any, tokens: int, kind: str, shape: tuple[int, int], scales: str, activation: str | None) -> OpRun:
    """Norm, quantisation and product: fused for one token, apart for more. Ungated products add a residual."""
    weight = ternary_weight(shape, kind, scales, activation is not None)
    graph = Graph("op", tokens)
    codes = graph.add(QuantizeNorm(EPS), [given("x", tokens, shape[1]), given("n", shape[1])], "norm")
    residual = [] if activation else [given("r", tokens, shape[0])]
    graph.add(TernaryProduct(weight, activation), [*codes, *residual], "product", [result("y", tokens, shape[0])])
    return OpRun(gpu, graph, ROWS if tokens == M else ROWS[:1], {"w": weight})


TERNARY = (
    ("tq1_0", (70, 512), "row", None), ("tq2_0", (70, 512), "block", None), ("tq1_0", (70, 768), "block", "silu"),
    ("tq2_0", (100, 256), "outer", "relu2"), ("tq2_0", (40, 352), "row", "silu"),
)  # fmt: skip


@few
@examples(case=st.sampled_from(TERNARY), kind=kinds, step=steps, single=st.booleans(), seed=seeds)
def test_ternary_products(runs: Any, case: Any, kind: str, step: int, single: bool, seed: int) -> None:
    random = np.random.default_rng(seed)
    rows, cols = case[1]
    tokens = 1 if single else M
    data = {"x": drawn(random, kind, (tokens, cols)), "n": drawn(random, "normal", (cols,)),
            "r": drawn(random, kind, (tokens, rows))}  # fmt: skip
    assert runs(ternary_run, tokens, *case).differing(0 if single else step, data) == []


def dense_run(gpu: Any, type_: str) -> OpRun:
    """The same matrix as embedding and as output head."""
    weight = dense_weight((70, 512 if type_ == "q6_k" else 352), type_)
    graph = Graph("op", M)
    graph.add(Embed(weight, M), [given("ids", 2 * M, dtype="u32")], "embed", [result("e", M, weight.cols)])
    graph.add(DenseProduct(weight), [given("x", M, weight.cols)], "head", [result("y", M, 70)])
    return OpRun(gpu, graph, [*ROWS, StepRow("op", 5, 7, 0)], {"w": weight})


@pytest.mark.parametrize("type_", DENSE)
@few
@examples(kind=kinds, step=st.integers(0, len(ROWS)), seed=seeds)
def test_embedding_and_output_head(runs: Any, type_: str, kind: str, step: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    cols = 512 if type_ == "q6_k" else 352
    ids = random.integers(0, 75, 2 * M).astype(np.uint32)  # some lie beyond the 70 rows
    assert runs(dense_run, type_).differing(step, {"ids": ids, "x": drawn(random, kind, (M, cols))}) == []


def dense_codes_run(gpu: Any, tokens: int) -> OpRun:
    """A projection that the file holds dense, into the right half of a wider matrix."""
    weight = dense_weight((70, 512), "q6_k")
    graph = Graph("op", tokens)
    codes = graph.add(QuantizeNorm(EPS), [given("x", tokens, 512), given("n", 512)], "norm")
    graph.add(DenseProduct(weight, True), [*codes, given("r", tokens, 70)], "onto", [result("y", tokens, 70)])
    graph.add(DenseProduct(weight, True, 150, 80), codes, "beside", [result("z", tokens, 150)])
    return OpRun(gpu, graph, ROWS if tokens == M else ROWS[:1], {"w": weight})


@few
@examples(kind=kinds, step=steps, single=st.booleans(), seed=seeds)
def test_dense_products_of_codes(runs: Any, kind: str, step: int, single: bool, seed: int) -> None:
    random = np.random.default_rng(seed)
    tokens = 1 if single else M
    data = {"x": drawn(random, kind, (tokens, 512)), "n": drawn(random, "normal", (512,)),
            "r": drawn(random, "normal", (tokens, 70))}  # fmt: skip
    assert runs(dense_codes_run, tokens).differing(0 if single else step, data) == []


def gate_run(gpu: Any, activation: str) -> OpRun:
    graph = Graph("op", M)
    graph.add(Gate(activation), [given("g", M, 70), given("u", M, 70)], "gate", [result("y", M, 70)])
    return OpRun(gpu, graph, ROWS)


@few
@examples(activation=st.sampled_from(("silu", "relu2")), kind=kinds, step=steps, seed=seeds)
def test_gates(runs: Any, activation: str, kind: str, step: int, seed: int) -> None:
    """Products of tiny values would be denormal, which devices may flush: those are kept to what stays normal."""
    gate, up = drawn(np.random.default_rng(seed), kind, (2, M, 70)) * np.float32(1e10 if kind == "tiny" else 1)
    assert runs(gate_run, activation).differing(step, {"g": gate, "u": up}) == []


HEADS, KV_HEADS, CONTEXT = 4, 2, 300
POSITIONS = (0, 1, 126, 127, 128, 254, 255, 256, CONTEXT - 3)


def rope_run(gpu: Any, head: int, interleaved: bool) -> OpRun:
    graph = Graph("op", 3)
    caches = [Value(name, (KV_HEADS, CONTEXT, head), "f16", "state") for name in ("keys", "values")]
    inputs = [given("qkv", 3, (HEADS + 2 * KV_HEADS) * head), given("table", CONTEXT, head // 2, 2), *caches]
    op = RopeCache(HEADS, KV_HEADS, head, interleaved)
    graph.add(op, inputs, "rope", [result("queries", 3, HEADS * head)])
    return OpRun(gpu, graph, [StepRow("op", p, count, 0) for p in POSITIONS for count in (1, 3)])


@few
@examples(head=st.sampled_from((32, 100)), interleaved=st.booleans(), kind=kinds,
          step=st.integers(0, 2 * len(POSITIONS) - 1), seed=seeds)  # fmt: skip
def test_rotation_and_cache(runs: Any, head: int, interleaved: bool, kind: str, step: int, seed: int) -> None:
    """Huge keys meet the largest fp16, tiny ones become zero."""
    qkv = drawn(np.random.default_rng(seed), kind, (3, (HEADS + 2 * KV_HEADS) * head))
    data = {"qkv": qkv, "table": rope_table(CONTEXT, head, 1e4, 1.0)}
    assert runs(rope_run, head, interleaved).differing(step, data) == []


def attend_run(gpu: Any, head: int, tokens: int) -> OpRun:
    """One token splits the context over workgroups, more walk it."""
    graph = Graph("op", tokens)
    caches = [given(name, KV_HEADS, CONTEXT, head, dtype="f16") for name in ("keys", "values")]
    op = Attend(HEADS, KV_HEADS, head, CONTEXT)
    graph.add(op, [given("queries", tokens, HEADS * head), *caches], "attend", [result("y", tokens, HEADS * head)])
    return OpRun(gpu, graph, [StepRow("op", position, tokens, 0) for position in POSITIONS])


@few
@examples(head=st.sampled_from((32, 100)), tokens=st.sampled_from((1, 3)), kind=kinds,
          step=st.integers(0, len(POSITIONS) - 1), seed=seeds)  # fmt: skip
def test_attention(runs: Any, head: int, tokens: int, kind: str, step: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    cache_shape = (KV_HEADS, CONTEXT, head)
    data = {"queries": drawn(random, kind, (tokens, HEADS * head), 1e4), "keys": halves(random, kind, cache_shape),
            "values": halves(random, kind, cache_shape)}  # fmt: skip
    assert runs(attend_run, head, tokens).differing(step, data) == []


SAMPLINGS = (Sampling(), Sampling(1.0, seed=3), Sampling(0.7, top_k=1), Sampling(1.3, top_k=5, top_p=0.9, seed=7),
             Sampling(1.0, top_p=1e-6), Sampling(100.0, top_p=0.5, seed=1), Sampling(0.01, top_k=299))  # fmt: skip


def sample_run(gpu: Any, sampling: Sampling, vocabulary: int) -> OpRun:
    graph = Graph("op", 1)
    graph.add(Sample(sampling), [given("logits", 1, vocabulary), given("tokens", 20, dtype="u32")], "sample")
    return OpRun(gpu, graph, [StepRow("op", 3, 5, draw) for draw in range(4)])


LOGITS: dict[str, Callable[[np.random.Generator, int], Array]] = {
    "normal": lambda random, v: random.normal(0, 4, v),
    "ties": lambda random, v: random.integers(-2, 3, v),
    "equal": lambda random, v: np.full(v, random.normal()),
    "spread": lambda random, v: random.normal(0, 1e6, v),
    "peak": lambda random, v: 50 * (np.arange(v) == random.integers(v)),
    "negative": lambda random, v: random.normal(-500, 4, v),
}


@settings(few, max_examples=150)
@examples(sampling=st.sampled_from(SAMPLINGS), vocabulary=st.sampled_from((7, 300)), draw=st.integers(0, 3),
          kind=st.sampled_from(sorted(LOGITS)), seed=seeds)  # fmt: skip
def test_sampling(runs: Any, sampling: Sampling, vocabulary: int, draw: int, kind: str, seed: int) -> None:
    logits = LOGITS[kind](np.random.default_rng(seed), vocabulary).astype(np.float32)
    assert runs(sample_run, sampling, vocabulary).differing(draw, {"logits": logits}) == []


def conformance_run(gpu: Any) -> OpRun:
    graph = Graph("op", 1)
    graph.add(Conformance(), [given("pairs", 100, 2)], "probe", [result("y", 100, 8, dtype="u32")])
    return OpRun(gpu, graph, ROWS[:1])


@few
@examples(seed=seeds)
def test_arithmetic_of_the_probe(runs: Any, seed: int) -> None:
    """Exponents stay where neither a product nor a half is denormal."""
    random = np.random.default_rng(seed)
    sizes = random.uniform(1, 2, (100, 2)) * np.exp2(random.integers(-12, 8, (100, 2)))
    pairs = sizes * random.choice((-1, 1), (100, 2))
    assert runs(conformance_run).differing(0, {"pairs": pairs.astype(np.float32)}) == []
