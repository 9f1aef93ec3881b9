"""Products of matrices give the bits of their references on the GPU: any shape, kernel, workgroup size and cut."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from engine_runs import Array, read_value
from hypothesis import HealthCheck, Phase, settings
from hypothesis import given as examples
from hypothesis import strategies as st
from made_models import MadeModel, dense_rows
from op_runs import KINDS, OpRun, drawn, given, result

from tritmark.engine.graph import Graph
from tritmark.engine.ops import matmul
from tritmark.engine.ops.dense_transposed import DenseTransposed
from tritmark.engine.ops.matmul import MatMul
from tritmark.engine.steps import StepRow
from tritmark.engine.weights import Weight

few = settings(max_examples=15, deadline=None, derandomize=True, phases=[Phase.explicit, Phase.generate],
               suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
kinds, seeds = st.sampled_from(KINDS), st.integers(0, 1 << 32)
M = 11
ROWS = [StepRow("op", 0, count, 0) for count in (1, 10, M)]
steps = st.integers(0, len(ROWS) - 1)


@pytest.fixture(scope="module")
def runs(gpu: Any) -> Any:
    """Makes each OpRun once: ``runs(build, *arguments)``."""
    return cache(lambda build, *arguments: build(gpu, *arguments))


def kernels(run: OpRun) -> list[str]:
    """Which kernel of MatMul each launch is, by a line that only one has."""
    plan = run.session.plan
    texts = [plan.modules[dispatch.module] for dispatch in plan.programs["op"]]
    return ["tiled" if "fn add_blocks(" in text else "rows" for text in texts]


def sides(transposed: bool, rows: int, columns: int) -> tuple[int, int]:
    return (columns, rows) if transposed else (rows, columns)


# (transpose a, transpose b, tokens, M, N, K): no side a multiple of a tile, a quad or a block but where that matters.
TILED = ((False, True, "m", 41, 37, 264), (True, False, "k", 37, 41, 11), (False, False, "m", 45, 33, 7),
         (True, True, "", 33, 50, 259))  # fmt: skip
SKINNY = ((False, True, "m", M, 5, 1100), (True, False, "k", 5, 37, 601), (False, False, "m", M, 8, 513),
          (True, True, "", 9, 3, 270))  # fmt: skip


def matmul_run(gpu: Any, case: tuple[Any, ...], adds: bool, kind: str = "cpu") -> OpRun:
    """Compiled for a kind of device: it decides the kernel, and a processor tiles small results already."""
    transpose_a, transpose_b, tokens, m, n, k = case
    graph = Graph("op", M)
    y = result("y", m, n)
    inputs = [given("a", *sides(transpose_a, m, k)), given("b", *sides(transpose_b, k, n)), *([y] if adds else [])]
    graph.add(MatMul(transpose_a, transpose_b, -0.3 if adds else 1.0, tokens), inputs, "product", [y])
    long = [StepRow("op", 0, 600, 0)] if k == 601 else []  # more than two blocks of terms
    return OpRun(replace(gpu, caps=replace(gpu.caps, kind=kind)), graph, [*ROWS, *long])


def matmul_data(case: tuple[Any, ...], kind: str, seed: int) -> dict[str, Array]:
    random = np.random.default_rng(seed)
    transpose_a, transpose_b, _, m, n, k = case
    return {"a": drawn(random, kind, sides(transpose_a, m, k)), "b": drawn(random, kind, sides(transpose_b, k, n)),
            "y": drawn(random, "normal", (m, n))}  # fmt: skip


@few
@examples(case=st.sampled_from(TILED), adds=st.booleans(), kind=kinds, step=steps, seed=seeds)
def test_large_results_are_tiled(runs: Any, case: Any, adds: bool, kind: str, step: int, seed: int) -> None:
    run = runs(matmul_run, case, adds)
    assert kernels(run) == ["tiled"]
    assert run.differing(step, matmul_data(case, kind, seed)) == []


@few
@examples(case=st.sampled_from(SKINNY), adds=st.booleans(), kind=kinds, step=st.integers(0, 3), seed=seeds)
def test_small_results_share_their_terms(runs: Any, case: Any, adds: bool, kind: str, step: int, seed: int) -> None:
    run = runs(matmul_run, case, adds)
    assert kernels(run) == ["rows"]
    assert run.differing(min(step, len(run.rows) - 1), matmul_data(case, kind, seed)) == []


@pytest.mark.parametrize("case", [*TILED[:2], *SKINNY])
def test_both_kernels_and_any_number_of_slices_give_the_same_bits(gpu: Any, case: Any) -> None:
    """What a processor tiles, an imagined discrete GPU shares by terms, and where both do, in more slices."""
    run, data = matmul_run(gpu, case, True, "discrete"), matmul_data(case, "mixed", 3)
    assert kernels(run) == ["rows"] and run.differing(2, data) == []


@pytest.mark.parametrize(("lanes", "items"), [(4, 4), (16, 1)])
def test_tiles_of_any_size_give_the_same_bits(gpu: Any, monkeypatch: Any, lanes: int, items: int) -> None:
    monkeypatch.setattr(matmul, "LANES", lanes)
    monkeypatch.setattr(matmul, "ITEMS", items)
    run = matmul_run(gpu, TILED[0], True)
    assert kernels(run) == ["tiled"] and run.differing(1, matmul_data(TILED[0], "mixed", 4)) == []
    assert transposed_run(gpu, "q8_0").differing(2, transposed_data("q8_0", "mixed", 6)) == []


LONG = ((False, True, "m", 41, 37, 1100), (False, False, "m", 33, 40, 770))  # more blocks of terms than teams, and cut


@pytest.mark.parametrize("case", LONG)
def test_teams_that_share_the_terms_of_a_tile_give_the_same_bits(gpu: Any, monkeypatch: Any, case: Any) -> None:
    """As on a GPU with few tiles to do."""
    monkeypatch.setattr(matmul, "FILLING_TILES", 1)
    for slices in (2, 3):
        monkeypatch.setattr(matmul, "TILE_SLICES", slices)
        run = matmul_run(gpu, case, True, "discrete")
        assert kernels(run) == ["tiled"] and "fn take(" in next(iter(run.session.plan.modules.values()))
        assert run.differing(1, matmul_data(case, "mixed", 7)) == []


def test_a_gpu_with_many_tiles_takes_larger_ones(gpu: Any, monkeypatch: Any) -> None:
    for name in ("FILLING_TILES", "MANY_TILES"):
        monkeypatch.setattr(matmul, name, 1)
    case = (False, True, "", 70, 90, 264)
    run = matmul_run(gpu, case, True, "discrete")
    assert "const LANES: u32 = 16u" in next(iter(run.session.plan.modules.values()))
    assert run.differing(2, matmul_data(case, "mixed", 10)) == []


@pytest.mark.parametrize("adds", [True, False])
def test_teams_pass_back_the_same_gradient(gpu: Any, monkeypatch: Any, adds: bool) -> None:
    monkeypatch.setattr(matmul, "TILE_SLICES", 2)
    run = transposed_run(replace(gpu, caps=replace(gpu.caps, kind="discrete")), "f16", 800, adds)
    assert "fn take(" in next(iter(run.session.plan.modules.values()))
    assert run.differing(2, transposed_data("f16", "mixed", 8, 800)) == []


def test_rows_after_the_steps_tokens_stay(runs: Any) -> None:
    """Whatever lies there, NaN even, neither changes nor counts."""
    for case in (TILED[0], TILED[1], SKINNY[0], SKINNY[1]):
        run, data = runs(matmul_run, case, True), matmul_data(case, "normal", 5)
        data["a"][10:] = np.nan
        if case[2] == "k":
            data["b"][10:] = np.nan
        assert run.differing(1, data) == []
        y = read_value(run.session, run.graph.nodes[0].outputs[0])
        assert np.isfinite(y[:10]).all() and (case[2] == "k" or (y[10:] == data["y"][10:]).all())


COLS = {"f16": 100, "f32": 37, "q8_0": 64, "q6_k": 256}


def head(type_: str, rows: int) -> Weight:
    model, shape = MadeModel("op"), (rows, COLS[type_])
    model.add("w.weight", shape, type_, dense_rows(np.random.default_rng(rows), shape, type_))
    return Weight("w", model, ("w.weight",), type_, *shape, scaling="none")


def transposed_run(gpu: Any, type_: str, rows: int = 290, adds: bool = True) -> OpRun:
    weight, graph, y = head(type_, rows), Graph("op", M), result("y", M, COLS[type_])
    graph.add(DenseTransposed(weight), [given("g", M, rows), *([y] if adds else [])], "head", [y])
    return OpRun(gpu, graph, ROWS, {"w": weight})


def transposed_data(type_: str, kind: str, seed: int, rows: int = 290) -> dict[str, Array]:
    random = np.random.default_rng(seed)
    return {"g": drawn(random, kind, (M, rows)), "y": drawn(random, "normal", (M, COLS[type_]))}


@pytest.mark.parametrize("type_", COLS)
@few
@examples(kind=kinds, step=steps, seed=seeds)
def test_gradients_pass_back_through_the_output_head(runs: Any, type_: str, kind: str, step: int, seed: int) -> None:
    assert runs(transposed_run, type_).differing(step, transposed_data(type_, kind, seed)) == []


@pytest.mark.parametrize("rows", [256, 261])
def test_a_first_gradient_needs_no_total(runs: Any, rows: int) -> None:
    assert runs(transposed_run, "f16", rows, False).differing(1, transposed_data("f16", "mixed", 1, rows)) == []


@pytest.mark.parametrize("adds", [True, False])
def test_a_weight_above_the_binding_limit_gives_the_same_bits(gpu: Any, adds: bool) -> None:
    """Three ranges of one block of 256 rows; the reference knows of none."""
    limits = {**gpu.caps.limits, "maxStorageBufferBindingSize": 9 * 32 * 256 * 2}
    run = transposed_run(replace(gpu, caps=replace(gpu.caps, limits=limits)), "f16", 600, adds)
    assert len(run.session.plan.programs["op"]) == 3
    for kind in ("normal", "mixed"):
        assert run.differing(2, transposed_data("f16", kind, 2, 600)) == []
