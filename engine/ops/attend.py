"""Causal softmax attention over the fp16 cache, in chunks of 128 positions.

The definition of the result: each chunk gives its largest score, its sum of e^(score - largest) and the same sum over
values, in four interleaved runs of positions; chunks are folded in order, both sides brought to the larger maximum. One
launch that walks the chunks and two launches that split them give the same bits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..graph import Node, Value
from ..plan import Cost
from ..steps import KV_CHUNK, StepRow
from . import attend_tiled, exact
from .op import Array, Emitter, Shape, serves_uniform

Partial = tuple[Array, Array, Array]


@dataclass(frozen=True)
class Attend:
    """(queries (M, H D), keys, values (HKV, context, D) fp16) -> (M, H D). ``longest``: most positions any step attends
    to.
    """

    heads: int
    kv_heads: int
    head: int
    longest: int

    def shapes(self, inputs: tuple[Value, ...]) -> tuple[Shape, ...]:
        return ((inputs[0].shape, "f32"),)

    def reference(self, step: StepRow, inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        queries = inputs[0][: step.count].reshape(step.count, self.heads, self.head)
        shared = self.heads // self.kv_heads
        keys, values = (np.repeat(cache.astype(np.float32), shared, axis=0) for cache in inputs[1:])
        rows = [self._token(queries[i], keys, values, step.position + i + 1) for i in range(step.count)]
        return (np.stack(rows).reshape(step.count, -1),)

    def _token(self, query: Array, keys: Array, values: Array, length: int) -> Array:
        """query (H, D), caches (H, context, D) -> (H, D)."""
        total: Partial | None = None
        for first in range(0, length, KV_CHUNK):
            window = slice(first, min(first + KV_CHUNK, length))
            part = self._chunk(query, keys[:, window], values[:, window])
            total = part if total is None else _folded(total, part)
        assert total is not None
        return total[2] * exact.reciprocal(total[1])[:, None]

    def _chunk(self, query: Array, keys: Array, values: Array) -> Partial:
        products = (query[:, None] * keys).reshape(*keys.shape[:2], -1, 4)
        scores = exact.sum4(exact.in_order(products, axis=2)) * exact.f32(self.head**-0.5)
        top = scores.max(axis=1)
        shifted = scores - top[:, None]
        weights = np.where(shifted >= -60, exact.exponential(shifted), exact.f32(0))
        short = -weights.shape[1] % 4
        weights = np.pad(weights, ((0, 0), (0, short)))
        values = np.pad(values, ((0, 0), (0, short), (0, 0)))
        runs = exact.in_order((weights[..., None] * values).reshape(self.heads, -1, 4, self.head), axis=1)
        run_weights = exact.in_order(weights.reshape(self.heads, -1, 4), axis=1)
        return top, exact.sum4(run_weights), exact.sum4(np.moveaxis(runs, 1, -1))

    def lower(self, node: Node, emit: Emitter) -> None:
        queries, keys, values = node.inputs
        constants = {
            "HEADS": self.heads,
            "D": self.head,
            "CONTEXT": keys.shape[1],
            "SHARED": self.heads // self.kv_heads,
            "SCALE": self.head**-0.5,
            "WG": max(32, self.head // 2) if emit.caps.kind == "cpu" else 128,
            "UNIFORM": serves_uniform(emit.caps, queries),
            "M": queries.shape[0],
        }
        caches = {"queries": queries, "keys": keys, "values": values}
        tokens = queries.shape[0]
        cost = Cost(
            bytes=2 * self.longest * self.kv_heads * self.head * 2 + queries.bytes * 2,
            operations=4 * tokens * self.longest * self.heads * self.head,
        )
        tiled = attend_tiled.tile_shape(tokens, self.head, emit.caps)
        if tiled:
            emit.dispatch(
                "attend_tiled",
                {name: constants[name] for name in ("HEADS", "D", "CONTEXT", "SHARED", "SCALE")} | tiled,
                {**caches, "y": node.outputs[0]},
                (self.heads, -(-tokens // tiled["QUERIES"]), 1),
                node.label,
                cost,
            )
            return
        if tokens > 1 or self.longest <= KV_CHUNK:
            emit.dispatch(
                "attend", constants, {**caches, "y": node.outputs[0]}, (self.heads, "count", 1), node.label, cost
            )
            return
        partials = self.partials(node.outputs[0])
        split = {**constants, "CHUNKS": -(-self.longest // KV_CHUNK)}
        emit.dispatch(
            "attend_split", split, {**caches, "partials": partials}, (self.heads, "kv_chunks", 1), node.label, cost
        )
        join_partials(self, partials, node.outputs[0], node.label, emit)

    def partials(self, y: Value) -> Value:
        """What the chunks of one token leave to be folded: [head][chunk][2 + D]."""
        chunks = -(-self.longest // KV_CHUNK)
        return Value(f"{y.id}.partials", (self.heads * chunks * (2 + self.head),))


def join_partials(op: Attend, partials: Value, y: Value, label: str, emit: Emitter) -> None:
    """The launch that folds the partials of one token's chunks."""
    emit.dispatch(
        "attend_join",
        {"HEADS": op.heads, "D": op.head, "CHUNKS": -(-op.longest // KV_CHUNK)},
        {"partials": partials, "y": y},
        (-(-op.heads * op.head // 128), 1, 1),
        f"{label}.join",
        Cost(bytes=partials.bytes),
    )


def _folded(a: Partial, b: Partial) -> Partial:
    top = np.maximum(a[0], b[0])
    from_a, from_b = exact.exponential(a[0] - top), exact.exponential(b[0] - top)
    return top, a[1] * from_a + b[1] * from_b, a[2] * from_a[:, None] + b[2] * from_b[:, None]
