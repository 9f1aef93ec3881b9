"""Attention for training and its gradients give the bits of their references, whatever documents a step packs."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from engine_runs import Array
from hypothesis import HealthCheck, Phase, settings
from hypothesis import given as examples
from hypothesis import strategies as st
from op_runs import KINDS, OpRun, drawn, given, result

from tritmark.engine.graph import Graph, Value
from tritmark.engine.ops.rope import Rope
from tritmark.engine.ops.rope_cache import rope_table
from tritmark.engine.ops.self_attend import SelfAttend, SelfAttendKeyGrad, SelfAttendQueryGrad, SelfAttendTerms
from tritmark.engine.plan import Caps
from tritmark.engine.steps import StepRow

few = settings(max_examples=30, deadline=None, derandomize=True, phases=[Phase.explicit, Phase.generate],
               suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
kinds, seeds = st.sampled_from(KINDS), st.integers(0, 1 << 32)
ALL = 160  # tokens of the data set
# (most tokens of a step, heads, KV heads, head, queries of a workgroup); the first walks more keys than it has threads
CASES = ((70, 4, 2, 8, 4), (11, 2, 2, 100, 2), (11, 3, 1, 12, 1))
cases = st.sampled_from(CASES)
STEPS = 5


@pytest.fixture(scope="module")
def runs(gpu: Any) -> Any:
    """Makes each OpRun once: ``runs(build, *arguments)``."""
    return cache(lambda build, *arguments: build(gpu, *arguments))


def rows(tokens: int) -> list[StepRow]:
    """Full, partial and single-token steps, at the data's begin and within it."""
    counts = ((0, tokens), (0, 1), (3, tokens), (37, tokens - 1), (ALL - 10, 10))
    return [StepRow("op", position, count, 0) for position, count in counts]


def spans(random: np.random.Generator, row: StepRow, kind: str) -> Array:
    """Documents of the step in ``row``: one, one of each token, or random ones; rows of other steps say nonsense."""
    cut = {"one": 0.0, "single tokens": 1.0, "many": 0.3}[kind]
    begins = [0, *(i for i in range(1, row.count) if random.random() < cut), row.count]
    found = np.full((ALL, 2), 7777, np.uint32)
    for first, end in pairwise(begins):
        found[row.position + first : row.position + end] = first, end
    return found


documents = st.sampled_from(("one", "single tokens", "many"))


def normal_range(random: np.random.Generator, kind: str, shape: tuple[int, ...]) -> Array:
    """Data whose gradients, products of up to four values, are normal floats: devices may flush others."""
    return drawn(random, kind, shape, 1e4) * np.float32(1e11 if kind == "tiny" else 1)


def longest_for(caps: Caps, tile: int, tokens: int) -> int:
    """A length of documents for which the scores of ``tile`` queries, and no more, fit into a workgroup."""
    return tokens if tile == 4 else (caps.limit("maxComputeWorkgroupStorageSize") - 4096) // (4 * tile)


def attend_run(gpu: Any, case: tuple[int, int, int, int, int], onto: bool) -> OpRun:
    """Attention and all its gradients; with ``onto``, that of the queries is added to a sum so far."""
    tokens, heads, kv_heads, head, tile = case
    shape = (heads, kv_heads, head, longest_for(gpu.caps, tile, tokens))
    wide, narrow = (tokens, heads * head), (tokens, kv_heads * head)
    graph = Graph("op", tokens)
    inputs = [given("q", *wide), given("k", *narrow), given("v", *narrow), given("spans", ALL, 2, dtype="u32")]
    y, stats = result("y", *wide), result("stats", tokens, heads, 2)
    terms, dy, total = result("terms", tokens, heads, 4), given("dy", *wide), Value("total", wide, "f32", "state")
    graph.add(SelfAttend(*shape), inputs, "attend", [y, stats])
    graph.add(SelfAttendTerms(heads, head), [y, stats, dy], "terms", [terms])
    graded = [*inputs, terms, dy]
    dq = [total] if onto else [result("dq", *wide)]
    graph.add(SelfAttendQueryGrad(*shape), [*graded, *(dq if onto else [])], "queries", dq)
    graph.add(SelfAttendKeyGrad(*shape), graded, "keys", [result("dk", *narrow), result("dv", *narrow)])
    return OpRun(gpu, graph, rows(tokens))


@few
@examples(case=cases, kind=kinds, packed=documents, step=st.integers(0, STEPS - 1), seed=seeds)
def test_attention_and_its_gradients_have_the_bits_of_their_references(
    runs: Any, case: Any, kind: str, packed: str, step: int, seed: int
) -> None:
    assert differing(runs(attend_run, case, False), case, kind, packed, step, seed) == []


@settings(few, max_examples=10)
@examples(kind=kinds, packed=documents, step=st.integers(0, STEPS - 1), seed=seeds)
def test_the_gradient_of_queries_adds_onto_a_sum_so_far(
    runs: Any, kind: str, packed: str, step: int, seed: int
) -> None:
    assert differing(runs(attend_run, CASES[1], True), CASES[1], kind, packed, step, seed) == []


@settings(few, max_examples=5)
@examples(seed=seeds)
def test_scores_far_below_the_largest_weigh_nothing_in_any_gradient(runs: Any, seed: int) -> None:
    """The first token has the largest score for all, so that other keys' gradients are as small as their weights."""
    tokens, heads, kv_heads, head, _ = CASES[0]
    random, run = np.random.default_rng(seed), runs(attend_run, CASES[0], False)
    scores = random.uniform(-80, -1, (tokens, 1)) * (np.arange(tokens)[:, None] > 0)
    data = {"q": np.ones((tokens, heads * head), np.float32), "k": np.repeat(scores * head**-0.5, kv_heads * head, 1)}
    data |= {"v": drawn(random, "normal", (tokens, kv_heads * head)), "dy": drawn(random, "normal", data["q"].shape)}
    assert run.differing(0, {**data, "spans": spans(random, run.rows[0], "one")}) == []


def differing(run: OpRun, case: tuple[int, ...], kind: str, packed: str, step: int, seed: int) -> list[str]:
    random = np.random.default_rng(seed)
    tokens, heads, kv_heads, head, _ = case
    data = {name: normal_range(random, kind, (tokens, heads * head)) for name in ("q", "dy", "total")}
    data |= {name: normal_range(random, kind, (tokens, kv_heads * head)) for name in ("k", "v")}
    return run.differing(step, {**data, "spans": spans(random, run.rows[step], packed)})


def rope_run(gpu: Any, head: int) -> OpRun:
    """There and back, once onto a sum so far."""
    graph = Graph("op", 11)
    shape = (11, 3 * head)
    inputs = [given("x", *shape), given("table", 16, head // 2, 2), given("spans", ALL, 2, dtype="u32")]
    total = Value("total", shape, "f32", "state")
    graph.add(Rope(head), inputs, "rope", [result("y", *shape)])
    graph.add(Rope(head, inverse=True), inputs, "back", [result("z", *shape)])
    graph.add(Rope(head, inverse=True), [*inputs, total], "onto", [total])
    return OpRun(gpu, graph, rows(11))


@few
@examples(head=st.sampled_from((8, 100)), kind=kinds, packed=documents, step=st.integers(0, STEPS - 1), seed=seeds)
def test_rotation_by_the_position_in_the_document_has_the_bits_of_its_reference(
    runs: Any, head: int, kind: str, packed: str, step: int, seed: int
) -> None:
    run, random = runs(rope_run, head), np.random.default_rng(seed)
    data = {name: drawn(random, kind, (11, 3 * head)) for name in ("x", "total")}
    data["table"] = rope_table(16, head, 1e4, 1.0)
    assert run.differing(step, {**data, "spans": spans(random, run.rows[step], packed)}) == []
