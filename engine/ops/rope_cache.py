"""Rotary position embedding (Su et al. 2021, arXiv 2104.09864) of queries and keys, and the write to the fp16 KV
cache.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..graph import Node, Value
from ..plan import Cost
from ..steps import StepRow
from . import exact
from .op import Array, Emitter, Shape


def rope_table(context: int, head: int, base: float, scale: float) -> Array:
    """f32 (context, head / 2, 2) of (cos, sin) of position * scale * base^(-2i / head), computed in float64 on the
    host.
    """
    angles = np.arange(context)[:, None] * scale * base ** (-np.arange(0, head, 2) / head)
    return np.stack([np.cos(angles), np.sin(angles)], axis=-1).astype(np.float32)


@dataclass(frozen=True)
class RopeCache:
    """(qkv (M, (H + 2 HKV) D), table, keys, values) -> queries (M, H D); writes this step's rows of keys and values.

    Pairs are i with i + D/2 (NeoX), or neighbours where ``interleaved``. Caches are fp16 (HKV, context, D).
    """

    heads: int
    kv_heads: int
    head: int
    interleaved: bool = False

    def shapes(self, inputs: tuple[Value, ...]) -> tuple[Shape, ...]:
        return (((inputs[0].shape[0], self.heads * self.head), "f32"),)

    def reference(self, step: StepRow, inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        qkv, table, keys, values = inputs
        rows = slice(step.position, step.position + step.count)
        split = qkv[: step.count].reshape(step.count, -1, self.head)
        turn = table[rows][:, None]
        queries = self._turned(split[:, : self.heads], turn)
        rotated = self._turned(split[:, self.heads : self.heads + self.kv_heads], turn)
        keys[:, rows] = exact.to_half(rotated).view(np.float16).transpose(1, 0, 2)
        values[:, rows] = exact.to_half(split[:, self.heads + self.kv_heads :]).view(np.float16).transpose(1, 0, 2)
        return (queries.reshape(step.count, -1),)

    def _turned(self, x: Array, turn: Array) -> Array:
        half = self.head // 2
        first, second = (
            (slice(0, None, 2), slice(1, None, 2)) if self.interleaved else (slice(0, half), slice(half, None))
        )
        cos, sin = turn[..., 0], turn[..., 1]
        a, b = x[..., first], x[..., second]
        out = np.empty_like(x)
        out[..., first] = a * cos - b * sin
        out[..., second] = a * sin + b * cos
        return out

    def lower(self, node: Node, emit: Emitter) -> None:
        qkv, table, keys, values = node.inputs
        items = (self.heads + 2 * self.kv_heads) * self.head // 4
        emit.dispatch(
            "rope_cache",
            {
                "HEADS": self.heads,
                "KV_HEADS": self.kv_heads,
                "D": self.head,
                "CONTEXT": keys.shape[1],
                "INTERLEAVED": self.interleaved,
            },
            {"qkv": qkv, "table": table, "queries": node.outputs[0], "keys": keys, "values": values},
            (-(-items // 64), "count", 1),
            node.label,
            Cost(bytes=qkv.bytes * 2, operations=qkv.elements * 3),
        )
