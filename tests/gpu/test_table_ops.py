"""Tables and norms that learn, and fills: the GPU gives the bits of the references."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import given as examples
from hypothesis import strategies as st
from op_runs import KINDS, OpRun, drawn, given, result

from tritmark.engine.graph import Graph
from tritmark.engine.ops.embed_table import UNROLLED, EmbedTable, EmbedTableGrad
from tritmark.engine.ops.fill import CHUNK, Fill
from tritmark.engine.ops.rmsnorm_weight_grad import RmsNormWeightGrad
from tritmark.engine.steps import StepRow

few = settings(max_examples=30, deadline=None, derandomize=True, phases=[Phase.explicit, Phase.generate],
               suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
kinds, seeds = st.sampled_from(KINDS), st.integers(0, 1 << 32)
M, N = 300, 310  # tokens of a step, more than one turn of the sort; tokens in all
COUNTS = {0: 1, 3: 7, 1: 257, 2: 267, N - M: M}  # by position of the first token
ROWS = [StepRow("op", position, count, draw) for draw, (position, count) in enumerate(COUNTS.items())]
steps = st.integers(0, len(ROWS) - 1)
TABLES = ((1, 4), (5, 12), (70, 260))  # rows and columns; the last more columns than a workgroup has


@pytest.fixture(scope="module")
def runs(gpu: Any) -> Any:
    """Makes each OpRun once: ``runs(build, *arguments)``."""
    return cache(lambda build, *arguments: build(gpu, *arguments))


def table_run(gpu: Any, rows: int, cols: int) -> OpRun:
    graph = Graph("op", M)
    ids, dx, total = given("ids", N, dtype="u32"), given("dx", M, cols), result("total", rows, cols)
    graph.add(EmbedTable(M), [ids, given("table", rows, cols)], "embed", [result("x", M, cols)])
    graph.add(EmbedTableGrad(rows), [ids, dx], "fresh", [result("dtable", rows, cols)])
    graph.add(EmbedTableGrad(rows), [ids, dx, total], "added", [total])
    return OpRun(gpu, graph, ROWS)


@few
@examples(shape=st.sampled_from(TABLES), kind=kinds, beyond=st.booleans(), step=steps, seed=seeds)
def test_learnt_tables(runs: Any, shape: tuple[int, int], kind: str, beyond: bool, step: int, seed: int) -> None:
    """Any tokens; ids beyond the table take its last row."""
    random = np.random.default_rng(seed)
    data = {
        "ids": random.integers(0, 2 * shape[0] if beyond else shape[0], N).astype(np.uint32),
        "table": drawn(random, "normal", shape),
        "dx": drawn(random, kind, (M, shape[1])),
        "total": drawn(random, kind, shape),
    }
    assert runs(table_run, *shape).differing(step, data) == []


def rows_at_both_ends() -> np.ndarray[Any, Any]:
    """The first and the last row, each met first and last in turn, all others once or never."""
    ids = np.arange(N) % 70
    ids[::3], ids[1::5] = 0, 69
    return ids


@pytest.mark.parametrize(
    "ids",
    [
        np.zeros(N),
        np.full(N, 69),
        np.full(N, 0xFFFFFFFF),
        np.arange(N) % 70,
        np.arange(N)[::-1] % 70,
        np.arange(N) // (UNROLLED + 1),
        rows_at_both_ends(),
    ],
    ids=["first", "last", "beyond", "cyclic", "falling", "runs", "ends"],
)
@pytest.mark.parametrize("step", range(len(ROWS)))
def test_orders_of_tokens(runs: Any, ids: np.ndarray[Any, Any], step: int) -> None:
    random = np.random.default_rng(step)
    data = {"ids": ids.astype(np.uint32), "dx": drawn(random, "mixed", (M, 260)),
            "total": drawn(random, "normal", (70, 260))}  # fmt: skip
    assert runs(table_run, 70, 260).differing(step, data) == []


def test_rows_without_tokens_keep_their_bits(runs: Any) -> None:
    """Not even a negative zero of the total is touched."""
    data = {"ids": np.full(N, 7, np.uint32), "dx": np.ones((M, 260), np.float32),
            "total": np.full((70, 260), -0.0, np.float32)}  # fmt: skip
    assert runs(table_run, 70, 260).differing(len(ROWS) - 1, data) == []


def norm_run(gpu: Any, cols: int) -> OpRun:
    graph = Graph("op", M)
    x, dy, total = given("x", M, cols), given("dy", M, cols), result("total", cols)
    graph.add(RmsNormWeightGrad(1e-5), [x, dy], "fresh", [result("dw", cols)])
    graph.add(RmsNormWeightGrad(1e-5), [x, dy, total], "added", [total])
    return OpRun(gpu, graph, ROWS)


@few
@examples(cols=st.sampled_from((12, 64, 1028)), kind=kinds, step=steps, seed=seeds)
def test_gradients_of_norm_weights(runs: Any, cols: int, kind: str, step: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    data = {name: drawn(random, kind, shape) for name, shape in
            (("x", (M, cols)), ("dy", (M, cols)), ("total", (cols,)))}  # fmt: skip
    assert runs(norm_run, cols).differing(step, data) == []


def test_steps_after_longer_ones(runs: Any) -> None:
    """What a longer step left in scratch is not met again."""
    random = np.random.default_rng(0)
    data = {name: drawn(random, "normal", shape) for name, shape in
            (("x", (M, 64)), ("dy", (M, 64)), ("total", (64,)))}  # fmt: skip
    for step in reversed(range(len(ROWS))):
        assert runs(norm_run, 64).differing(step, data) == []


FILLED = (1, CHUNK, CHUNK + 3)


def fill_run(gpu: Any) -> OpRun:
    graph = Graph("op", 1)
    for size in FILLED:
        graph.add(Fill(), [result(f"zeros{size}", size)], "zeros", [])
        graph.add(Fill(0.1), [result(f"tenths{size}", size)], "tenths", [])
    return OpRun(gpu, graph, ROWS[:1])


@pytest.mark.parametrize("widest", [1 << 15, 1])
def test_fills(gpu: Any, monkeypatch: pytest.MonkeyPatch, widest: int) -> None:
    """Also where the grid has more than one row, as that of many elements."""
    monkeypatch.setattr("tritmark.engine.ops.fill.WIDEST", widest)
    data = {f"{name}{size}": np.ones(size, np.float32) for name in ("zeros", "tenths") for size in FILLED}
    assert fill_run(gpu).differing(0, data) == []
