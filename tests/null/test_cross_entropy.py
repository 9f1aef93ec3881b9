"""Cross entropy against float64: values, slopes, masks, and what happens to what is no number."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tritmark.engine.grad import backward
from tritmark.engine.graph import Graph, Value
from tritmark.engine.ops.cross_entropy import UNSUPERVISED, CrossEntropy, LossTotal
from tritmark.engine.ops.matmul import MatMul
from tritmark.engine.reference import Reference
from tritmark.engine.steps import StepRow

Array = np.ndarray[Any, Any]
V, SHARE = 71, 0.25


def losses_in_float64(logits: Array, labels: Array) -> Array:
    """Loss of each row; 0 where it has no label."""
    logits = logits.astype(np.float64)
    own = logits[np.arange(len(logits)), np.where(labels == UNSUPERVISED, 0, labels)]
    return np.where(labels == UNSUPERVISED, 0, np.log(np.exp(logits).sum(axis=1)) - own)


def made(logits: Array, labels: list[int], position: int = 0) -> tuple[Array, Array]:
    """Losses and gradient of a step at ``position``."""
    step = StepRow("op", position, len(logits), 0, share=SHARE)
    with np.errstate(all="ignore"):
        losses, gradient = CrossEntropy().reference(step, (logits.astype(np.float32), np.array(labels, np.uint32)))
    return losses, gradient


def test_losses_and_gradients_are_those_of_float64() -> None:
    logits = np.random.default_rng(0).normal(0, 3, (4, V))
    labels = np.array([0, 33, V - 1, 5], np.uint32)
    losses, gradient = made(logits, [9, 9, *labels], position=2)
    assert np.allclose(losses, losses_in_float64(logits, labels), rtol=1e-6)
    for place in np.ndindex(logits.shape):
        nudge = np.zeros_like(logits)
        nudge[place] = 1e-5
        slopes = losses_in_float64(logits + nudge, labels) - losses_in_float64(logits - nudge, labels)
        assert np.isclose(gradient[place], SHARE * slopes[place[0]] / 2e-5, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("vocabulary", [31, 33, 300, 2050])
def test_a_row_of_the_gradient_sums_to_zero_and_no_column_is_left_out(vocabulary: int) -> None:
    """Columns of equal logits have equal gradients, those above 32 and above 256 like the others."""
    _, gradient = made(np.zeros((3, vocabulary)), [0, 1, vocabulary - 1])
    assert np.allclose(gradient.sum(axis=1), 0, atol=1e-6)
    for row, label in zip(gradient, (0, 1, vocabulary - 1), strict=True):
        assert np.allclose(np.delete(row, label), SHARE / vocabulary, rtol=1e-6)


def test_a_masked_label_contributes_nothing() -> None:
    logits = np.random.default_rng(1).normal(0, 3, (3, V))
    logits[1] = np.nan
    losses, gradient = made(logits, [4, UNSUPERVISED, 6])
    assert losses[1] == 0 and gradient[1].tobytes() == bytes(4 * V)
    others, rows = made(logits[::2], [4, 6])
    assert losses[::2].tobytes() == others.tobytes() and gradient[::2].tobytes() == rows.tobytes()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("column", [0, 40, V - 1])
def test_a_logit_that_is_no_number_makes_its_own_loss_nan(bad: float, column: int) -> None:
    logits = np.zeros((2, V))
    logits[0, column] = bad
    losses, gradient = made(logits, [3, 3])
    assert losses.view(np.uint32)[0] == 0x7FC00000 and np.isnan(gradient[0]).all()
    assert np.isclose(losses[1], np.log(V)) and np.isfinite(gradient[1]).all()


def test_a_label_outside_the_vocabulary_shows() -> None:
    losses, _ = made(np.zeros((2, V)), [V, V - 1])
    assert np.isnan(losses).tolist() == [True, False]


def test_far_logits_give_neither_overflow_nor_denormals() -> None:
    logits = np.array([[0, -39, -41, -59, -61, -1e30], [1e38, -1e38, 0, 0, 0, 0]])
    losses, gradient = made(logits, [5, 1])
    assert np.isfinite(losses).all() and losses[0] > 9e29
    assert (gradient[0, 2:5] == 0).all() and gradient[0, 1] > 0 and gradient[0, 5] == -SHARE


def test_the_log_holds_the_mean_of_each_step_and_keeps_the_others() -> None:
    losses, log = np.arange(300, dtype=np.float32), np.full(4, 9, np.float32)
    for draw, count in ((2, 3), (0, 300), (7, 3)):  # the last one has no place in the log
        LossTotal().reference(StepRow("op", 0, count, draw, share=1 / count), (losses, log))
    assert log.tolist() == [149.5, 9, 1, 9]


def test_the_walk_back_begins_at_the_gradient_in_place_of_the_logits() -> None:
    """A linear classifier: the gradient of its weights against float64, and the order of what is emitted."""
    random, graph = np.random.default_rng(3), Graph("op", 4)
    x, w, labels = random.normal(size=(4, 6)), random.normal(size=(V, 6)), np.array([1, UNSUPERVISED, 70, 1], np.uint32)
    inputs = [Value("x", x.shape, role="input"), Value("w", w.shape, role="input")]
    (logits,) = graph.add(MatMul(transpose_b=True, tokens="m"), inputs, "head")
    losses = graph.fresh((4,))
    graph.add(CrossEntropy(), [logits, Value("labels", (4,), "u32", "input")], "loss", [losses, logits])
    graph.add(LossTotal(), [losses, Value("log", (1,), role="output")], "log")
    backward(graph, list(graph.nodes), {logits: logits}, {inputs[1]: Value("dw", w.shape, role="output")})
    assert [node.label for node in graph.nodes] == ["head", "loss", "log", "head.grad_b"]
    arrays = {"x": x.astype(np.float32), "w": w.astype(np.float32), "labels": labels}
    reference = Reference({"op": graph}, arrays)
    reference.play([StepRow("op", 0, 4, 0, share=SHARE)])
    likelihoods = np.exp(x @ w.T)
    expected = likelihoods / likelihoods.sum(axis=1, keepdims=True) - (np.arange(V) == labels[:, None])
    expected[labels == UNSUPERVISED] = 0
    assert np.allclose(reference.arrays["dw"], SHARE * expected.T @ x, rtol=1e-4, atol=1e-6)
    assert np.isclose(reference.arrays["log"][0], SHARE * losses_in_float64(x @ w.T, labels).sum(), rtol=1e-5)
