"""The shape of the kernel attend_tiled: queries of a workgroup, and positions that it holds at a time.

It is chosen for the workgroup memory and threads of the device. The bits are those of the kernel attend in any shape.
"""

from __future__ import annotations

from ..plan import Caps
from ..steps import KV_CHUNK

ITEMS = 4  # queries, and keys, of a thread's tile
LANES = 8  # of lib/attend_tiled_scores.wgsl
SHAPES = ((64, 64), (32, 64), (32, 32), (16, 32), (8, 32))  # (queries, positions), best first


def tile_shape(tokens: int, head: int, caps: Caps) -> dict[str, int] | None:
    """Constants of the kernel, or None where the tokens fill no tile or nothing fits."""
    for queries, staged in SHAPES:
        threads = head // 4 * (queries // ITEMS)
        fits = memory_bytes(queries, staged, head) <= caps.limit(
            "maxComputeWorkgroupStorageSize"
        ) and threads <= caps.limit("maxComputeInvocationsPerWorkgroup")
        if fits and queries <= tokens:
            return {"QUERIES": queries, "STAGED": staged, "ITEMS": ITEMS, "TURNS": ITEMS * staged // queries}
    return None


def memory_bytes(queries: int, staged: int, head: int) -> int:
    """Workgroup memory: scores, staged halves, tops and weights."""
    scores = 16 * queries * (KV_CHUNK // 4 + 1)
    return scores + 8 * (head // 4) * (staged + 1) + 4 * queries * (LANES + 4)
