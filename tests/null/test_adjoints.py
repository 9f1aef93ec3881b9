"""Adjoints of gates, frozen products and dropout against finite differences; and that no op's adjoint goes without."""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import replace

import numpy as np
import pytest
from engine_runs import Array
from made_models import Recipe, made_model
from op_runs import given
from slopes import Formula, slopes

from tritmark.engine import ops
from tritmark.engine.formats.blocks import dense
from tritmark.engine.grad import backward
from tritmark.engine.graph import Graph, Value
from tritmark.engine.models.bitnet import BitNet
from tritmark.engine.models.config import read_config
from tritmark.engine.ops.dense_product import DenseProduct
from tritmark.engine.ops.dropout import Dropout
from tritmark.engine.ops.gate import Gate
from tritmark.engine.ops.quantize import FINE, Quantize
from tritmark.engine.ops.ternary_product import TernaryProduct
from tritmark.engine.reference import Reference
from tritmark.engine.steps import StepRow
from tritmark.engine.weights import Weight

M, COUNT, E = 5, 4, 12
ROW = StepRow("op", 0, COUNT, 3)
TESTED = {  # op -> where its adjoint is held against differences, or what it does to them
    "CrossEntropy": "test_cross_entropy",
    "DenseProduct": "here",
    "Dropout": "here",
    "EmbedTable": "test_table_ops",
    "Gate": "here",
    "LatentProduct": "test_latent_ops",
    "MatMul": "test_matmul",
    "Quantize": "here, straight through",
    "RmsNorm": "test_table_ops",
    "Rope": "test_self_attend",
    "SelfAttend": "test_self_attend",
    "Ternarize": "test_latent_ops, straight through",
    "TernaryProduct": "here",
}


def gradients(graph: Graph, y: Value, parameters: list[Value], data: dict[str, Array]) -> dict[str, Array]:
    """What ``backward`` leaves for each parameter in a step, with the gradient "dy" of ``y``."""
    sums = {x: Value(f"d{x.id}", x.shape, role="state") for x in parameters}
    backward(graph, list(graph.nodes), {y: given("dy", *y.shape)}, sums)
    reference = Reference({"op": graph}, data)
    reference.play([ROW])
    return {x.id: reference.arrays[total.id] for x, total in sums.items()}


def drawn(*values: Value) -> dict[str, Array]:
    random = np.random.default_rng(7)
    return {value.id: random.normal(size=value.shape).astype(np.float32) for value in values}


def silu(x: Array) -> Array:
    return np.asarray(x / (1 + np.exp(-x)))


def relu2(x: Array) -> Array:
    return np.maximum(x, 0) ** 2


@pytest.mark.parametrize("activation", [silu, relu2])
def test_a_gate_passes_slopes_to_both_sides(activation: Formula) -> None:
    graph, g, u = Graph("op", M), given("g", M, E), given("u", M, E)
    (y,) = graph.add(Gate(activation.__name__), [g, u], "gate")
    data = drawn(g, u, given("dy", M, E))
    for name, found in gradients(graph, y, [g, u], data).items():
        wanted = slopes(lambda a: activation(a["g"][:COUNT]) * a["u"][:COUNT], name, data)
        np.testing.assert_allclose(found[:COUNT], wanted[:COUNT], rtol=1e-4, atol=1e-6)


def test_dropout_passes_slopes_under_its_mask_and_a_residual_passes_all() -> None:
    graph, x, r = Graph("op", M), given("x", M, E), given("r", M, E)
    (y,) = graph.add(Dropout(0.4, 11), [x, r], "dropout")
    data = drawn(x, r, given("dy", M, E))
    ones = {"x": np.ones((M, E), np.float32), "r": np.zeros((M, E), np.float32)}
    mask = Dropout(0.4, 11).reference(ROW, (ones["x"], ones["r"]))[0].astype(np.float64)
    assert 0 < (mask == 0).sum() < mask.size
    for name, found in gradients(graph, y, [x, r], data).items():
        wanted = slopes(lambda a: a["x"][:COUNT] * mask + a["r"][:COUNT], name, data)
        np.testing.assert_allclose(found[:COUNT], wanted[:COUNT], rtol=1e-5, atol=1e-7)


def frozen(type_: str, name: str) -> tuple[Weight, Array]:
    """A matrix of a model, and its values in float64."""
    model = made_model(replace(Recipe(), embed_type=type_) if name == "token_embd" else Recipe(scales=type_))
    info = model.tensors[f"{name}.weight"]
    net = BitNet(model, read_config(model), "tq2_0", 64)
    return net.matrix(name), dense(model.packed(f"{name}.weight"), info.type, info.cols).astype(np.float64)


@pytest.mark.parametrize("type_", ["f16", "q8_0"])
def test_a_dense_head_passes_slopes(type_: str) -> None:
    weight, values = frozen(type_, "token_embd")
    graph, x = Graph("op", M), given("x", M, weight.cols)
    (y,) = graph.add(DenseProduct(weight), [x], "head")
    data = drawn(x, given("dy", M, weight.rows))
    found = gradients(graph, y, [x], data)["x"][:COUNT]
    wanted = slopes(lambda a: a["x"][:COUNT] @ values.T, "x", data)[:COUNT]
    assert np.abs(found - wanted).max() < 1e-5 * np.abs(wanted).max()


@pytest.mark.parametrize("scales", ["row", "block"])
def test_a_ternary_layer_passes_slopes_straight_through_its_rounding(scales: str) -> None:
    weight, values = frozen(scales, "blk.0.attn_q")
    graph, x, r = Graph("op", M), given("x", M, weight.cols), given("r", M, weight.rows)
    codes = graph.add(Quantize(FINE), [x], "quantize")
    (y,) = graph.add(TernaryProduct(weight, limbs=FINE), [*codes, r], "product")
    data = drawn(x, r, given("dy", M, weight.rows))
    for name, found in gradients(graph, y, [x, r], data).items():
        wanted = slopes(lambda a: a["x"][:COUNT] @ values.T + a["r"][:COUNT], name, data)[:COUNT]
        assert np.abs(found[:COUNT] - wanted).max() < 1e-5 * np.abs(wanted).max(), name


def test_every_adjoint_is_among_those_tested() -> None:
    names = [module.name for module in pkgutil.iter_modules(ops.__path__)]
    modules = [importlib.import_module(f"{ops.__name__}.{name}") for name in names]
    found = {
        name for module in modules for name, kind in vars(module).items()
        if isinstance(kind, type) and kind.__module__ == module.__name__ and "vjp" in vars(kind)
    }  # fmt: skip
    assert found - {"Differentiable"} == set(TESTED)
