"""Rows of an embedding table that is itself learnt, in f32: x[i] = table[tokens[position + i]], and its gradient.

Tokens that share a row meet in it, and float additions need a fixed order: a sort by row first, then every row of the
table that occurs adds up its tokens one after the other. Rows that do not occur cost nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..errors import PlanError
from ..graph import Node, Value
from ..plan import Cost
from ..steps import StepRow
from .fill import fill
from .op import Array, Emitter, Shape

if TYPE_CHECKING:
    from ..grad import Tape

THREADS = 64
UNROLLED = 8  # tokens of one row whose gradients are on their way at once


def rows_of(step: StepRow, ids: Array, rows: int) -> Array:
    """Row of the table of each of the step's tokens; ids beyond the table take its last row."""
    return np.minimum(ids[step.position : step.position + step.count], rows - 1)


@dataclass(frozen=True)
class EmbedTable:
    """(ids (N) u32, table (V, E)) -> x (M, E); M is ``tokens``."""

    tokens: int

    def shapes(self, inputs: tuple[Value, ...]) -> tuple[Shape, ...]:
        return (((self.tokens, inputs[1].shape[1]), "f32"),)

    def reference(self, step: StepRow, inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        ids, table = inputs
        return (table[rows_of(step, ids, len(table))],)

    def vjp(self, node: Node, gradients: tuple[Value | None, ...], tape: Tape) -> None:
        ids, table = node.inputs
        assert gradients[0] is not None
        if tape.needs(table):
            tape.add(table, EmbedTableGrad(table.shape[0]), [ids, gradients[0]], f"{node.label}.grad")

    def lower(self, node: Node, emit: Emitter) -> None:
        ids, table = node.inputs
        rows, cols = table.shape
        emit.dispatch(
            "embed_table",
            {"QUADS": cols // 4, "ROWS": rows},
            {"tokens": ids, "table": table, "x": node.outputs[0]},
            (-(-cols // (4 * THREADS)), "count", 1),
            node.label,
            Cost(bytes=2 * node.outputs[0].bytes),
        )


@dataclass(frozen=True)
class EmbedTableGrad:
    """(ids (N) u32, dx (M, E)[, total (V, E)]) -> [total +] the gradient of the table, (V, E); V is ``rows``.

    A row's sum begins with its first token and takes the others in their order. Rows without a token keep the total.
    """

    rows: int

    def shapes(self, inputs: tuple[Value, ...]) -> tuple[Shape, ...]:
        return (((self.rows, inputs[1].shape[1]), "f32"),)

    def reference(self, step: StepRow, inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        ids, dx = rows_of(step, inputs[0], self.rows), inputs[1]
        sums = np.zeros((self.rows, dx.shape[1]), np.float32)
        for token, row in enumerate(ids):
            sums[row] += dx[token]
        if len(inputs) == 2:
            return (sums,)
        total, met = inputs[2].copy(), np.unique(ids)
        total[met] += sums[met]
        return (total,)

    def lower(self, node: Node, emit: Emitter) -> None:
        ids, dx = node.inputs[:2]
        total = node.outputs[0]
        tokens, cols = dx.shape
        if tokens * self.rows >= 1 << 32:
            raise PlanError(f"{node.label}: {tokens} tokens of {self.rows} rows have no sort key of 32 bits")
        if len(node.inputs) == 2:
            fill(emit, total, 0.0, f"{node.label}.zeros")
        order = Value(f"{total.id}.{dx.id}.order", (tokens, 2), "u32")
        emit.dispatch(
            "token_order",
            {"M": tokens, "ROWS": self.rows, "WG": THREADS},
            {"tokens": ids, "order": order},
            (-(-tokens // THREADS), 1, 1),
            f"{node.label}.order",
            Cost(bytes=tokens * 4 + order.bytes, operations=4 * tokens * tokens),
        )
        emit.dispatch(
            "embed_table_grad",
            {"QUADS": cols // 4, "ROWS": self.rows, "UNROLLED": UNROLLED},
            {"tokens": ids, "order": order, "dx": dx, "total": total},
            (-(-cols // (4 * THREADS)), "count", 1),
            node.label,
            Cost(bytes=dx.bytes + 2 * min(dx.bytes, total.bytes), operations=dx.elements),
        )
