"""Attention of many tokens in tiles gives the bits of its reference: whatever the tile, the start and the cut."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from engine_runs import Array
from hypothesis import HealthCheck, Phase, settings
from hypothesis import given as examples
from hypothesis import strategies as st
from op_runs import KINDS, OpRun, drawn, given, result

from tritmark.engine.graph import Graph
from tritmark.engine.ops import attend_tiled
from tritmark.engine.ops.attend import Attend
from tritmark.engine.steps import StepRow

few = settings(max_examples=12, deadline=None, derandomize=True, phases=[Phase.explicit, Phase.generate],
               suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
CONTEXT = 330
TOKENS = 37  # neither a multiple of a tile nor of a run
# (first position, tokens): blocks within a chunk, across two, at a chunk's end, and shorter steps than the program's
STEPS = [
    (0, TOKENS),
    (0, 1),
    (0, 16),
    (91, TOKENS),
    (96, 32),
    (111, 17),
    (128, TOKENS),
    (250, 9),
    (CONTEXT - TOKENS, TOKENS),
]
# (heads, KV heads, head, storage): on an H200 and on a phone; the last does not fill its workgroup's threads
CASES = (
    (4, 2, 64, 49152),
    (3, 3, 64, 16384),
    (2, 1, 128, 49152),
    (2, 2, 128, 16384),
    (5, 1, 20, 32768),
    (1, 1, 100, 16384),
)


@pytest.fixture(scope="module")
def runs(gpu: Any) -> Any:
    """Makes each OpRun once."""
    return cache(lambda *case: attend_run(gpu, *case))


def attend_run(gpu: Any, heads: int, kv_heads: int, head: int, storage: int, tokens: int = TOKENS) -> OpRun:
    """Compiled as for a GPU with so much workgroup memory."""
    limits = {**gpu.caps.limits, "maxComputeWorkgroupStorageSize": storage, "maxComputeInvocationsPerWorkgroup": 256}
    caps = replace(gpu.caps, kind="discrete", limits=limits)
    graph, wide = Graph("op", tokens), (tokens, heads * head)
    caches = [given(name, kv_heads, CONTEXT, head, dtype="f16") for name in ("keys", "values")]
    graph.add(
        Attend(heads, kv_heads, head, CONTEXT), [given("queries", *wide), *caches], "attend", [result("y", *wide)]
    )
    return OpRun(
        replace(gpu, caps=caps), graph, [StepRow("op", position, min(count, tokens), 0) for position, count in STEPS]
    )


def data_of(case: tuple[int, ...], kind: str, seed: int, tokens: int = TOKENS) -> dict[str, Array]:
    heads, kv_heads, head, _ = case
    random = np.random.default_rng(seed)
    data = {"queries": drawn(random, kind, (tokens, heads * head), 1e4)}
    for name in ("keys", "values"):
        found = drawn(random, kind, (kv_heads, CONTEXT, head), 1e4).astype(np.float16)
        data[name] = np.where(np.abs(found) < 2**-14, np.float16(0), found)
    return data


def is_tiled(run: OpRun) -> bool:
    (dispatch,) = run.session.plan.programs["op"]
    return "fn score_tile(" in run.session.plan.modules[dispatch.module]


@few
@examples(case=st.sampled_from(CASES), kind=st.sampled_from(KINDS), step=st.integers(0, len(STEPS) - 1),
          seed=st.integers(0, 1 << 32))  # fmt: skip
def test_tiles_have_the_bits_of_the_reference(runs: Any, case: Any, kind: str, step: int, seed: int) -> None:
    run = runs(*case)
    assert is_tiled(run)
    assert run.differing(step, data_of(case, kind, seed)) == []


@pytest.mark.parametrize("step", range(len(STEPS)))
def test_a_step_may_begin_and_end_anywhere(runs: Any, step: int) -> None:
    for case in CASES[:2]:
        assert runs(*case).differing(step, data_of(case, "normal", step)) == []


@pytest.mark.parametrize("shape", [(32, 64), (16, 64), (32, 32), (8, 32)])
def test_any_tile_gives_the_same_bits(gpu: Any, monkeypatch: Any, shape: tuple[int, int]) -> None:
    monkeypatch.setattr(attend_tiled, "SHAPES", (shape,))
    case = (2, 1, 64, 49152)
    run = attend_run(gpu, *case)
    assert is_tiled(run) and run.differing(3, data_of(case, "normal", 1)) == []


@pytest.mark.parametrize(("head", "tokens", "storage"), [(64, 7, 49152), (256, TOKENS, 16384)])
def test_few_tokens_and_heads_that_do_not_fit_are_done_singly(gpu: Any, head: int, tokens: int, storage: int) -> None:
    case = (2, 1, head, storage)
    run = attend_run(gpu, *case, tokens)
    assert not is_tiled(run) and run.differing(3, data_of(case, "normal", 1, tokens)) == []
