"""Tables and norms that learn: gradients against formulas and finite differences in float64, and orders of sums."""

from __future__ import annotations

from collections.abc import Callable

import imagined_device
import numpy as np
import pytest
from engine_runs import Array
from made_models import MadeModel
from op_runs import given
from slopes import Formula, slopes

from tritmark.engine.compile import Compiler
from tritmark.engine.errors import PlanError
from tritmark.engine.grad import backward
from tritmark.engine.graph import Graph, Value
from tritmark.engine.ops.embed_table import EmbedTable, EmbedTableGrad
from tritmark.engine.ops.fill import Fill
from tritmark.engine.ops.matmul import MatMul
from tritmark.engine.ops.rmsnorm import RmsNorm
from tritmark.engine.ops.rmsnorm_weight_grad import token_sums
from tritmark.engine.reference import Reference
from tritmark.engine.steps import StepRow
from tritmark.engine.weights import Image

M, COUNT, V, E = 6, 5, 7, 8
EPS = 1e-2  # large enough that gradients show it
ROW = StepRow("op", 2, COUNT, 0)
IDS = np.array([6, 6, 3, 0, 3, 900, 3, 1], np.uint32)
SEEN = np.minimum(IDS[ROW.position : ROW.position + COUNT], V - 1)

ids, table, weight, x = given("ids", len(IDS), dtype="u32"), given("table", V, E), given("weight", E), given("x", M, E)


def embedded(graph: Graph) -> Value:
    return graph.add(EmbedTable(M), [ids, table], "embed")[0]


def normed(graph: Graph) -> Value:
    return graph.add(RmsNorm(EPS), [x, weight], "norm")[0]


def tied(graph: Graph) -> Value:
    """The table embeds and, after a norm, is the head: two paths meet in its gradient."""
    (y,) = graph.add(RmsNorm(EPS), [embedded(graph), weight], "norm")
    return graph.add(MatMul(transpose_b=True, tokens="m"), [y, table], "head")[0]


def norm64(x: Array, weight: Array) -> Array:
    return x / np.sqrt((x * x).mean(axis=1, keepdims=True) + EPS) * weight


FORMULAS: dict[Callable[[Graph], Value], Formula] = {
    embedded: lambda a: a["table"][SEEN],
    normed: lambda a: norm64(a["x"][:COUNT], a["weight"]),
    tied: lambda a: norm64(a["table"][SEEN], a["weight"]) @ a["table"].T,
}


def data_for(width: int) -> dict[str, Array]:
    random = np.random.default_rng(3)
    arrays = {v.id: random.normal(size=v.shape).astype(np.float32) for v in (table, weight, x)}
    return {**arrays, "dy": random.normal(size=(M, width)).astype(np.float32)}


@pytest.mark.parametrize(
    ("build", "names"), [(embedded, ["table"]), (normed, ["weight", "x"]), (tied, ["table", "weight"])]
)
def test_gradients_are_slopes(build: Callable[[Graph], Value], names: list[str]) -> None:
    """Micro-batches add up: after two of them the gradients are twice those of one."""
    graph, sums = Graph("op", M), {v: Value(f"d{v.id}", v.shape, role="state") for v in (table, weight, x)}
    y = build(graph)
    sums = {v: total for v, total in sums.items() if v.id in names}
    backward(graph, list(graph.nodes), {y: given("dy", *y.shape)}, sums)
    data = data_for(y.shape[1])
    reference = Reference({"op": graph}, {**data, "ids": IDS})
    reference.play([ROW, ROW])
    for name in names:
        wanted = slopes(FORMULAS[build], name, data)
        assert np.allclose(reference.arrays[f"d{name}"] / 2, wanted, rtol=1e-4, atol=1e-5), name


def test_what_nobody_learns_gets_no_gradient() -> None:
    graph = Graph("op", M)
    y = tied(graph)
    forward = list(graph.nodes)
    backward(graph, forward, {y: given("dy", M, V)}, {weight: Value("dweight", weight.shape, role="state")})
    assert [node.label for node in graph.nodes if node not in forward] == ["head.grad_a", "norm.weight_grad"]


def test_a_row_takes_its_tokens_in_order_and_then_joins_the_total() -> None:
    big = np.float32(1 << 24)
    dx = np.array([[1.0], [big], [1.0], [1.0], [0.0], [0.0]], np.float32)
    same, total = np.full(8, 4, np.uint32), np.full((V, 1), -big, np.float32)
    (found,) = EmbedTableGrad(V).reference(StepRow("op", 1, 4, 0), (same, dx, total))
    in_order = ((np.float32(1) + big) + np.float32(1)) + np.float32(1)
    assert found[4, 0] == -big + in_order == 0
    assert (found[[0, 1, 2, 3, 5, 6]] == -big).all()


@pytest.mark.parametrize("tokens", [1, 255, 256, 700])
def test_token_sums_are_those_of_a_product_with_ones(tokens: int) -> None:
    """The order is that of MatMul, which a product with ones shows bit for bit."""
    terms = np.random.default_rng(tokens).normal(size=(tokens, 3)).astype(np.float32)
    (product,) = MatMul().reference(ROW, (np.ones((1, tokens), np.float32), terms))
    assert token_sums(terms).tobytes() == product[0].tobytes()


def test_fills_begin_what_they_are_given() -> None:
    a = np.ones((3, 2), np.float32)
    assert Fill(0.1).reference(ROW, (a,)) == () and (a == np.float32(0.1)).all()
    assert Fill().reference(ROW, (a,)) == () and not a.any()


def compiled_grids(op: EmbedTableGrad | Fill, inputs: list[Value], outputs: list[Value]) -> list[tuple[object, ...]]:
    graph = Graph("op", M)
    graph.add(op, inputs, "op", outputs)
    program = Compiler(imagined_device.CAPS, Image(MadeModel("op"), "op")).program(graph)
    return [dispatch.grid for dispatch in program]


def test_grids_of_many_elements_stay_within_limits() -> None:
    assert compiled_grids(Fill(), [Value("x", (100_000_000,), role="state")], []) == [(1 << 15, 3, 1)]


def test_tokens_and_rows_too_many_for_a_sort_key_are_refused() -> None:
    rows, dx = 1 << 20, given("dx", 1 << 12, 4)
    with pytest.raises(PlanError, match="sort key"):
        compiled_grids(EmbedTableGrad(rows), [ids, dx], [Value("total", (rows, 4), role="state")])
