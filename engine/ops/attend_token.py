"""Rotary embedding, cache write and attention of one token in one launch: RopeCache and Attend with the same bits."""

from __future__ import annotations

from dataclasses import dataclass

from ..graph import Node, Value
from ..plan import Caps, Cost
from ..steps import KV_CHUNK, StepRow
from .attend import Attend, join_partials
from .op import Array, Emitter, Shape
from .rope_cache import RopeCache

MOST_SPAN = 8  # chunks of a workgroup: 1,024 threads
MOST_KEY_LOADS = 8  # 16-byte loads of a key in flight


@dataclass(frozen=True)
class TokenAttend:
    """(qkv (1, (H + 2 HKV) D), table, keys, values) -> (1, H D); writes the token's rows of keys and values."""

    rope: RopeCache
    attend: Attend

    def shapes(self, inputs: tuple[Value, ...]) -> tuple[Shape, ...]:
        return (((1, self.attend.heads * self.attend.head), "f32"),)

    def reference(self, step: StepRow, inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        return self.attend.reference(step, (*self.rope.reference(step, inputs), *inputs[2:]))

    def lower(self, node: Node, emit: Emitter) -> None:
        a = self.attend
        qkv, table, keys, values = node.inputs
        chunks = -(-a.longest // KV_CHUNK)
        split = chunks > most_span(a.head, emit.caps)
        span = 1 if split else chunks
        buffers: dict[str, object] = {"qkv": qkv, "table": table, "keys": keys, "values": values, "y": node.outputs[0]}
        if split:
            partials = buffers["y"] = a.partials(node.outputs[0])
        octets = a.head // 8
        emit.dispatch(
            "attend_token",
            {
                "HEADS": a.heads,
                "KV_HEADS": a.kv_heads,
                "SHARED": a.heads // a.kv_heads,
                "D": a.head,
                "CONTEXT": keys.shape[1],
                "SCALE": a.head**-0.5,
                "INTERLEAVED": self.rope.interleaved,
                "SPAN": span,
                "SPLIT": split,
                "CHUNKS": chunks,
                "KEY_LOADS": max(n for n in range(1, MOST_KEY_LOADS + 1) if octets % n == 0),
                "PART_SCORES": KV_CHUNK // 16,
                "RUN": KV_CHUNK // 4,
            },
            buffers,
            (a.heads, "kv_chunks" if split else 1, 1),
            node.label,
            Cost(
                bytes=2 * a.longest * a.kv_heads * a.head * 2 + qkv.bytes,
                operations=4 * a.longest * a.heads * a.head,
            ),
        )
        if split:
            join_partials(a, partials, node.outputs[0], node.label, emit)


def most_span(head: int, caps: Caps) -> int:
    """Chunks that one workgroup can take at once; 0 where the kernel does not fit at all."""
    storage, fresh = KV_CHUNK * 4 + 16 * 4 + 4 + 4 * 4 + 4 * head * 4, head * 4 + 2 * head * 2
    by_storage = (caps.limit("maxComputeWorkgroupStorageSize") - fresh) // storage
    by_threads = caps.limit("maxComputeInvocationsPerWorkgroup") // KV_CHUNK
    return max(0, min(MOST_SPAN, by_storage, by_threads))


def fits_token(op: Attend, caps: Caps) -> bool:
    """Whether the fused kernel can run this attention on the device; processors prefer fewer, simpler threads."""
    return caps.kind != "cpu" and op.head % 8 == 0 and op.head <= 2 * KV_CHUNK and most_span(op.head, caps) > 0
