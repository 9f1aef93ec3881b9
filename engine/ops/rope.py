"""Rotary position embedding (Su et al. 2021, arXiv 2104.09864) for training: float in, float out, documents packed."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..grad import Tape
from ..graph import Node, Value
from ..plan import Cost
from ..steps import StepRow
from . import exact
from .op import Array, Emitter, Shape


@dataclass(frozen=True)
class Rope:
    """(x (M, heads D), table (context, D / 2, 2) of (cos, sin), spans (N, 2) [, total (M, heads D)]) -> x rotated by
    each token's position in its document [added to ``total``, in place].

    Pairs are j with j + D/2 (NeoX). ``inverse`` rotates back. Token i of a step has row step.position + i of ``spans``:
    first and end of its document within the step.
    """

    head: int
    inverse: bool = False

    def shapes(self, inputs: tuple[Value, ...]) -> tuple[Shape, ...]:
        return ((inputs[0].shape, "f32"),)

    def reference(self, step: StepRow, inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        x, table, spans = inputs[:3]
        first = spans[step.position : step.position + step.count, 0].astype(np.int64)
        turn = table[np.arange(step.count) - first][:, None]
        cos, sin = turn[..., 0], turn[..., 1] * exact.f32(-1 if self.inverse else 1)
        a, b = np.split(x[: step.count].reshape(step.count, -1, self.head), 2, axis=2)
        y = np.concatenate([a * cos - b * sin, a * sin + b * cos], axis=2).reshape(step.count, -1)
        return (inputs[3][: step.count] + y if len(inputs) > 3 else y,)

    def lower(self, node: Node, emit: Emitter) -> None:
        x, table, spans = node.inputs[:3]
        cols = x.shape[1]
        emit.dispatch(
            "rope",
            {"HEADS": cols // self.head, "D": self.head, "INVERSE": self.inverse, "ADD": len(node.inputs) > 3},
            {"x": x, "table": table, "spans": spans, "y": node.outputs[0]},
            (-(-cols // 2 // 64), "count", 1),
            node.label,
            Cost(bytes=x.bytes * 2, operations=x.elements * 3),
        )

    def vjp(self, node: Node, gradients: tuple[Value | None, ...], tape: Tape) -> None:
        """A rotation's transpose is the rotation back."""
        x, table, spans = node.inputs[:3]
        if gradients[0] is not None and tape.needs(x):
            back = replace(self, inverse=not self.inverse)
            tape.add(x, back, [gradients[0], table, spans], f"{node.label}.grad")
