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
        """Of x the gradient under the same mask; of the total the gradient itself, last: its value may change."""
        (g,) = gradients
        assert g is not None
        if tape.needs(node.inputs[0]):
            tape.add(node.inputs[0], self, [g], f"{node.label}.grad")
        for total in filter(tape.needs, node.inputs[1:]):
            tape.pass_on(total, g, f"{node.label}.residual")

    def lower(self, node: Node, emit: Emitter) -> None:
        (x, *total), (y,) = node.inputs, node.outputs
        residual = {"residual": total[0]} if total and y not in total else {}
        cols = x.shape[1]
        emit.dispatch(
            "dropout",
            {
                "COLS": cols,
                "SEED": self.seed,
                "PROBABILITY": self.probability,
                "GROWTH": 1 / (1 - self.probability),
                "ADDS": y in total,
                "RESIDUAL": bool(residual),
            },
            {"x": x, "y": y, **residual},
            (-(-cols // 64), "count", 1),
            node.label,
            Cost(bytes=x.bytes * (2 + len(total)), operations=x.elements * 20),
        )
