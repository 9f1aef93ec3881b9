"""Layers whose weights are learnt whole, and their straight-through gradients, against PyTorch and in float64."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tritmark.engine.errors import PlanError
from tritmark.engine.formats import resident, ternary
from tritmark.engine.grad import backward
from tritmark.engine.graph import Graph, Value
from tritmark.engine.ops import ternarize
from tritmark.engine.ops.latent_product import LatentProduct
from tritmark.engine.ops.quantize import Quantize
from tritmark.engine.ops.ternarize import Ternarize, ternarized
from tritmark.engine.ops.weight_grad import MOST_TOKENS, WeightGrad
from tritmark.engine.reference import Reference
from tritmark.engine.steps import StepRow

Array = np.ndarray[Any, Any]
GOLDEN = Path(__file__).parents[3] / "shared" / "golden" / "train_golden.npz"


def layer(x: Array, w: Array, dy: Array, count: int, limbs: int, residual: Array | None = None) -> dict[str, Array]:
    """y, and the gradients dx, dw [and dr of a residual] that a step of ``count`` tokens adds to what is there: 0."""
    (tokens, cols), rows = x.shape, len(w)
    given = {"x": x, "w": w, "dy": dy.copy(), **({} if residual is None else {"r": residual})}
    values = {name: Value(name, array.shape, role="input") for name, array in given.items()}
    graph = Graph("op", tokens)
    codes = graph.add(Quantize(limbs), [values["x"]], "quantize")
    made = graph.add(Ternarize(rows, cols), [values["w"]], "ternarize")
    y = Value("y", (tokens, rows), role="output")
    inputs = [*codes, *made] if residual is None else [*codes, *made, values["r"]]
    graph.add(LatentProduct(rows, cols, limbs), inputs, "product", [y])
    gradients = {v: Value(f"d{v.id}", v.shape, role="output") for v in values.values() if v.id != "dy"}
    backward(graph, list(graph.nodes), {y: values["dy"]}, gradients)
    reference = Reference({"op": graph}, {name: array.copy() for name, array in given.items()})
    reference.play([StepRow("op", 0, count, 0)])
    return reference.arrays


def close(found: Array, expected: Array) -> bool:
    return bool(np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max())


def test_a_bitlinear_layer_of_pytorch() -> None:
    if not GOLDEN.exists():
        pytest.skip(f"PyTorch's layer is not here: {GOLDEN}")
    golden = {name: array for name, array in np.load(GOLDEN).items() if name.startswith("bitlinear/")}
    x, w, dy = (golden[f"bitlinear/{name}"] for name in ("X", "W", "grad_out"))
    found = layer(x, w, dy, len(x), 1)
    trits, scale = ternarized(w)
    assert scale == pytest.approx(golden["bitlinear/w_scale_mean_abs"][0], rel=1e-6)
    assert close(trits * scale, golden["bitlinear/Wq"])
    for name, key in (("y", "Y"), ("dx", "dX_ste"), ("dw", "dW_ste")):
        assert close(found[name], golden[f"bitlinear/{key}"]), key


def in_float64(x: Array, w: Array, limbs: int) -> tuple[Array, Array]:
    """What the layer's rounded activations and weights stand for."""
    x, w = x.astype(np.float64), w.astype(np.float64)
    scale = np.abs(w).mean()
    step = np.abs(x).max(axis=1, keepdims=True) / 127
    return (np.rint(x / step) * step if limbs == 1 else x), np.clip(np.rint(w / scale), -1, 1) * scale


@pytest.mark.parametrize("limbs", [1, 3])
@pytest.mark.parametrize(("rows", "cols"), [(7, 100), (33, 260)])
def test_gradients_in_float64(rows: int, cols: int, limbs: int) -> None:
    """Tokens beyond the step's count for nothing; those of a step may differ in size by orders of magnitude."""
    random = np.random.default_rng(rows)
    tokens, count = 9, 6
    x, w, r = (random.normal(size=shape).astype(np.float32) for shape in ((tokens, cols), (rows, cols), (tokens, rows)))
    dy = (random.normal(size=(tokens, rows)) * 10.0 ** random.integers(-6, 1, (tokens, 1))).astype(np.float32)
    found = layer(x, w, dy, count, limbs, r)
    x64, w64 = in_float64(x, w, limbs)
    dy64 = dy.astype(np.float64)[:count]
    assert close(found["y"][:count], (x64 @ w64.T + r)[:count])
    assert close(found["dx"][:count], dy64 @ w64)
    assert close(found["dw"], dy64.T @ x64[:count])
    assert np.array_equal(found["dr"][:count], dy[:count])
    assert not found["dx"][count:].any()


def test_a_gradient_is_as_fine_as_f32() -> None:
    """Of codes and scales that are given exactly, the sum errs by the rounding of dy to 22 bits and of one result."""
    random = np.random.default_rng(3)
    dy, codes = random.normal(size=(300, 5)).astype(np.float32), random.integers(-127, 128, (304, 256), np.int8)
    scale = random.random(300).astype(np.float32)
    (found,) = WeightGrad(5, 256).reference(StepRow("op", 0, 300, 0), (dy, codes, scale))
    expected = (dy.astype(np.float64) * scale[:, None]).T @ codes[:300].astype(np.float64)
    assert np.abs(found - expected).max() < 1e-6 * np.abs(expected).max()


@pytest.mark.parametrize("shape", [(5, 100), (70, 512)])
def test_words_hold_the_trits_and_padding_is_zero(shape: tuple[int, int]) -> None:
    w = np.random.default_rng(2).normal(size=shape).astype(np.float32)
    words, scales = Ternarize(*shape).reference(StepRow("op", 0, 1, 0), (w,))
    held = ternary.unpack(resident.packed_blocks(words, ternarize.KIND), ternarize.KIND)[0]
    trits = np.clip(np.rint(w / np.abs(w).mean(dtype=np.float64)), -1, 1)
    assert np.array_equal(held[: shape[0], : shape[1]], trits)
    assert not held[shape[0] :].any() and not held[:, shape[1] :].any()
    assert np.allclose(scales[: shape[0]], np.abs(w).mean()) and not scales[shape[0] :].any()


def test_weights_of_zero_have_the_least_scale() -> None:
    trits, scale = ternarized(np.zeros((3, 8), np.float32))
    assert scale == np.float32(1e-5) and not trits.any()


def test_ties_round_to_even() -> None:
    """A mean magnitude of 1: 0.5 becomes 0, and 1.5 becomes 2, which is 1."""
    trits, scale = ternarized(np.array([[0.5, -0.5, 1.5, -1.5]], np.float32))
    assert scale == 1 and trits.tolist() == [[0, 0, 1, -1]]


def test_odd_columns_and_too_many_tokens_are_refused() -> None:
    with pytest.raises(PlanError, match="whole runs of four"):
        Ternarize(8, 10)
    graph = Graph("op", MOST_TOKENS + 1)
    dy = Value("dy", (MOST_TOKENS + 1, 4), role="input")
    codes = graph.add(Quantize(), [Value("x", (MOST_TOKENS + 1, 4), role="input")], "quantize")
    graph.add(WeightGrad(4, 4), [dy, *codes[:2]], "grad")
    emit: Any = None
    with pytest.raises(PlanError, match="130,000 tokens"):
        graph.nodes[-1].op.lower(graph.nodes[-1], emit)
