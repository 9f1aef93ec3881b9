"""Rows of the embedding matrix, dequantised: x[i] = E[tokens[position + i]]."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..graph import Node, Value
from ..plan import Cost
from ..steps import StepRow
from ..weights import Weight
from .op import Array, Emitter, Shape


@dataclass(frozen=True)
class Embed:
    """(tokens (context)) -> (M, K)."""

    weight: Weight
    tokens: int

    def shapes(self, inputs: tuple[Value, ...]) -> tuple[Shape, ...]:
        return (((self.tokens, self.weight.cols), "f32"),)

    def reference(self, step: StepRow, inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        ids = np.minimum(inputs[0][step.position : step.position + step.count], self.weight.rows - 1)
        return (self.weight.host_dense()[ids],)

    def lower(self, node: Node, emit: Emitter) -> None:
        weight = self.weight
        constants = {
            "QUADS": weight.cols // 4,
            "BLOCKS": weight.blocks,
            "ROWS": weight.rows,
            **weight.layout(emit.caps),
        }
        for first, _, buffers in emit.tile_ranges(weight, 1):
            emit.dispatch(
                "embed",
                constants,
                {**buffers, "tokens": node.inputs[0], "x": node.outputs[0]},
                (-(-weight.cols // 256), "count", 1),
                f"{node.label}@{first}" if first else node.label,
                Cost(bytes=self.tokens * weight.cols * 6),
                {"dense": f"lib/dense_{weight.kind}.wgsl"},
            )
