"""Products of matrices: what they are, and their adjoints against finite differences in float64."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from made_models import MadeModel, dense_rows

from tritmark.engine.errors import PlanError
from tritmark.engine.grad import backward
from tritmark.engine.graph import Graph, Value
from tritmark.engine.ops.dense_product import DenseProduct, dense_dot
from tritmark.engine.ops.matmul import MatMul
from tritmark.engine.reference import Reference
from tritmark.engine.steps import StepRow
from tritmark.engine.weights import Weight

Array = np.ndarray[Any, Any]
M, N, K, COUNT = 6, 5, 7, 4
SCALE = -0.75
CASES = list(product((False, True), (False, True), ("m", "k", "")))


def turned(transposed: bool, rows: int, columns: int) -> tuple[int, int]:
    return (columns, rows) if transposed else (rows, columns)


def in_float64(op: MatMul, a: Array, b: Array, weights: Array, total: Array) -> float:
    """The loss sum(weights * y) of what ``op`` gives for a step of COUNT tokens, in float64."""
    a, b = (a.T if op.transpose_a else a), (b.T if op.transpose_b else b)
    terms, rows = (COUNT if op.tokens == "k" else K), (COUNT if op.tokens == "m" else M)
    y = op.scale * a[:rows, :terms] @ b[:terms]
    return float((weights[:rows] * (total[:rows] + y)).sum())


def slope(op: MatMul, arrays: dict[str, Array], name: str) -> Array:
    """Central differences of the loss by each element of ``name``."""
    found = np.zeros(arrays[name].shape)
    for place in np.ndindex(found.shape):
        losses = []
        for step in (-0.5, 0.5):
            moved = {**arrays, name: arrays[name].copy()}
            moved[name][place] += step
            losses.append(in_float64(op, **moved))
        found[place] = losses[1] - losses[0]
    return found


@pytest.mark.parametrize("adds", [False, True])
@pytest.mark.parametrize(("transpose_a", "transpose_b", "tokens"), CASES)
def test_gradients_of_factors_are_slopes(transpose_a: bool, transpose_b: bool, tokens: str, adds: bool) -> None:
    """Two backward passes add up; a total passes its gradient on unchanged."""
    random = np.random.default_rng(1)
    op = MatMul(transpose_a, transpose_b, SCALE, tokens)
    shapes = {"a": turned(transpose_a, M, K), "b": turned(transpose_b, K, N), "weights": (M, N), "total": (M, N)}
    arrays = {name: random.normal(size=shape) for name, shape in shapes.items()}
    a, b, g, y = (Value(name, shapes[name], role="input") for name in shapes)
    parameters = {a: Value("da", a.shape, role="output"), b: Value("db", b.shape, role="output")}
    graph = Graph("op", M)
    graph.add(op, [a, b, *([y] if adds else [])], "product", [y])
    backward(graph, list(graph.nodes), {y: g}, parameters)
    reference = Reference({"op": graph}, {name: array.astype(np.float32) for name, array in arrays.items()})
    reference.play([StepRow("op", 0, COUNT, 0)] * 2)
    for name in ("a", "b"):
        made = reference.arrays[f"d{name}"] / 2
        expected = slope(op, arrays, name)
        dead = (expected == 0) & (made != 0)  # columns of tokens that the step does not have
        assert np.allclose(made[~dead], expected[~dead], rtol=1e-5, atol=1e-5)
        assert not dead.any() or (dead.sum() == (M - COUNT if tokens == "m" else K - COUNT) * dead.shape[0])


def test_a_gradient_is_made_only_where_a_parameter_lies_behind() -> None:
    graph, a, b = Graph("op", M), Value("a", (M, K), role="input"), Value("b", (K, N), role="input")
    (y,) = graph.add(MatMul(tokens="m"), [a, b], "product")
    backward(graph, list(graph.nodes), {y: Value("g", (M, N), role="input")}, {b: Value("db", (K, N), role="output")})
    assert [node.label for node in graph.nodes] == ["product.grad_b"]  # and the product, which nobody reads, is gone


@pytest.mark.parametrize("terms", [8, 256, 700])
def test_the_order_of_sums_is_that_of_the_dense_product(terms: int) -> None:
    random = np.random.default_rng(terms)
    a, b = (random.normal(size=(rows, terms)).astype(np.float32) for rows in (3, 4))
    (y,) = MatMul(transpose_b=True).reference(StepRow("op", 0, 1, 0), (a, b))
    assert y.tobytes() == dense_dot(a, b).tobytes()
    assert np.allclose(y, a.astype(np.float64) @ b.T, rtol=1e-4, atol=1e-4)


def test_factors_that_do_not_fit_are_refused() -> None:
    a, b = Value("a", (3, 4)), Value("b", (3, 4))
    assert MatMul(transpose_b=True).shapes((a, b)) == (((3, 3), "f32"),)
    with pytest.raises(PlanError, match="3 x 4 and 3 x 4"):
        MatMul().shapes((a, b))
    with pytest.raises(PlanError, match="tokens"):
        MatMul(tokens="n")


@pytest.mark.parametrize("adds", [False, True])
def test_the_gradient_of_an_output_head_is_the_transposed_product(adds: bool) -> None:
    random, model = np.random.default_rng(2), MadeModel("op")
    model.add("w.weight", (300, 8), "f16", dense_rows(random, (300, 8), "f16"))
    weight = Weight("w", model, ("w.weight",), "f16", 300, 8, scaling="none")
    graph, x, g = Graph("op", M), Value("x", (M, 8), role="input"), Value("g", (M, 300), role="input")
    (y,) = graph.add(DenseProduct(weight), [x], "head")
    backward(graph, list(graph.nodes), {y: g}, {x: Value("dx", (M, 8), role="output")})
    given, before = random.normal(size=(M, 300)).astype(np.float32), random.normal(size=(M, 8)).astype(np.float32)
    arrays = {"g": given, "dx": before.copy() if adds else np.zeros((M, 8), np.float32)}
    reference = Reference({"op": graph}, arrays)
    reference.play([StepRow("op", 0, COUNT, 0)])
    expected = given[:COUNT].astype(np.float64) @ weight.host_dense() + (before[:COUNT] if adds else 0)
    assert np.allclose(reference.arrays["dx"][:COUNT], expected, rtol=1e-4, atol=1e-4)
    assert [node.label for node in graph.nodes] == ["head.grad"]
