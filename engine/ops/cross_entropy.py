"""Cross entropy of logits against labels, and the loss of a step.

The loss's gradient is made where its logits lie: a second (M, V) array would be the largest of a training step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..graph import Node, Value
from ..plan import Caps, Cost
from ..steps import StepRow
from . import exact
from .op import Array, Emitter, Shape

if TYPE_CHECKING:
    from ..grad import Tape

UNSUPERVISED = 0xFFFFFFFF
LEAST = math.exp(-40)  # probabilities below it give no gradient: products with them could be denormal
LANES = 256


def lane_total(x: Array) -> Array:
    """Sum of each row of x (M, V) -> (M), in the lane order of lib/lane_sum.wgsl."""
    turns = np.zeros((x.shape[0], -(-x.shape[1] // LANES), LANES), np.float32)
    turns.reshape(x.shape[0], -1)[:, : x.shape[1]] = x
    lanes = exact.in_order(turns, axis=1).reshape(-1, 16, 16)
    return exact.in_order(exact.in_order(lanes, axis=2), axis=1)


@dataclass(frozen=True)
class CrossEntropy:
    """(logits (M, V), labels (N) u32) -> losses (M), and the logits again, which become their gradient.

    The caller names the outputs, [losses, logits] with the very Value that is the input: it is overwritten in place by
    (softmax - one at the label) * step.share. So the seeds of ``backward`` are ``{logits: logits}``.

    The label of the step's token i is ``labels[step.position + i]``; UNSUPERVISED gives the loss 0 and a gradient of
    exact zeros. A token with a logit that is no finite number, or with a label outside the vocabulary, gets NaN for its
    loss and its whole gradient, so that a broken run shows.
    """

    def shapes(self, inputs: tuple[Value, ...]) -> tuple[Shape, ...]:
        return ((inputs[0].shape[0],), "f32"), (inputs[0].shape, "f32")

    def reference(self, step: StepRow, inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        logits, labels = inputs[0][: step.count], inputs[1][step.position : step.position + step.count]
        supervised, rows = labels != UNSUPERVISED, np.arange(len(logits))
        unsound = ~np.isfinite(logits).all(axis=1) | (labels >= logits.shape[1])
        own = np.where(unsound, 0, labels).astype(np.int64)
        x = logits - logits.max(axis=1, keepdims=True)
        likelihoods = np.where(x < -60, exact.f32(0), exact.exponential(np.nan_to_num(x)))
        sums = lane_total(likelihoods)
        losses = exact.logarithm(sums) - x[rows, own]
        gradient = likelihoods * exact.reciprocal(sums)[:, None]
        gradient = np.where(gradient < exact.f32(LEAST), exact.f32(0), gradient)
        gradient[rows, own] -= exact.f32(1)
        gradient = gradient * exact.f32(step.share)
        for result in (losses, gradient):
            result[unsound] = exact.f32(math.nan)
            result[~supervised] = 0
        return losses, gradient

    def vjp(self, node: Node, gradients: tuple[Value | None, ...], tape: Tape) -> None:
        """Nothing: the gradient of the logits lies in their place already."""
        assert node.outputs[1] is node.inputs[0] and gradients[1] is node.inputs[0]

    def lower(self, node: Node, emit: Emitter) -> None:
        logits, labels = node.inputs
        assert node.outputs[1] is logits, "the gradient is made in place of the logits"
        emit.dispatch(
            "cross_entropy",
            {"VOCAB": logits.shape[1], "WG": workgroup(emit.caps), "LEAST": LEAST},
            {"labels": labels, "logits": logits, "losses": node.outputs[0]},
            ("count", 1, 1),
            node.label,
            Cost(bytes=logits.bytes * 4, operations=logits.elements * 60),
        )


@dataclass(frozen=True)
class LossTotal:
    """(losses (M), log (steps), of role "output") -> writes log[step.draw] = step.share * the sum of the step's losses.

    Other entries stay. NaN where a loss is no finite number.
    """

    def shapes(self, inputs: tuple[Value, ...]) -> tuple[Shape, ...]:
        return ()

    def reference(self, step: StepRow, inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        losses, log = inputs[0][: step.count], inputs[1]
        if step.draw < len(log):
            total = lane_total(losses[None])[0] * exact.f32(step.share)
            log[step.draw] = total if np.isfinite(losses).all() else exact.f32(math.nan)
        return ()

    def lower(self, node: Node, emit: Emitter) -> None:
        losses, log = node.inputs
        emit.dispatch(
            "loss_total",
            {"M": losses.elements, "STEPS": log.elements, "WG": workgroup(emit.caps)},
            {"losses": losses, "history": log},
            (1, 1, 1),
            node.label,
            Cost(bytes=losses.bytes, operations=losses.elements),
        )


def workgroup(caps: Caps) -> int:
    """Threads a workgroup; a processor runs them one vector after another, so there fewer are as good."""
    return 64 if caps.kind == "cpu" else LANES
