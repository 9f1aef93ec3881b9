"""Dropout with a seeded mask (Srivastava et al. 2014): each element is zeroed with probability p, the others grow by
1 / (1 - p).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..graph import Node, Value
from ..plan import Cost
from ..steps import StepRow
from . import exact
from .op import Array, Emitter, Shape
from .uniform import uniform_draws

if TYPE_CHECKING:
    from ..grad import Tape


@dataclass(frozen=True)
class Dropout:
    """(x (M, K)[, total (M, K)]) -> [total +] x masked. The mask depends on the step's draw, the stream and the place.
    """

    probability: float
    seed: int

    def shapes(self, inputs: tuple[Value, ...]) -> tuple[Shape, ...]:
        return ((inputs[0].shape, "f32"),)

    def reference(self, step: StepRow, inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        x = inputs[0][: step.count]
        kept = uniform_draws(x.size, step.draw, self.seed).reshape(x.shape) >= exact.f32(self.probability)
        y = x * (kept * exact.f32(1 / (1 - self.probability)))
        return (inputs[1][: step.count] + y if len(inputs) > 1 else y,)

    def vjp(self, node: Node, gradients: tuple[Value | None, ...], tape: Tape) -> None:
        if gradients[0] is not None and tape.needs(node.inputs[0]):
            tape.add(node.inputs[0], self, [gradients[0]], f"{node.label}.grad")

    def lower(self, node: Node, emit: Emitter) -> None:
        x, y = node.inputs[0], node.outputs[0]
        cols = x.shape[1]
        emit.dispatch(
            "dropout",
            {
                "COLS": cols,
                "SEED": self.seed,
                "PROBABILITY": self.probability,
                "GROWTH": 1 / (1 - self.probability),
                "ADDS": len(node.inputs) > 1,
            },
            {"x": x, "y": y},
            (-(-cols // 64), "count", 1),
            node.label,
            Cost(bytes=x.bytes * 2, operations=x.elements * 20),
        )
