"""A long decode: what a token costs in memory is nothing, on the device and in the player's process."""

from __future__ import annotations

from typing import Any

import psutil

from tritmark.engine.formats.model import open_model
from tritmark.engine.inference import Workload, compile_workload, parse_format
from tritmark.engine.models.source import Source
from tritmark.engine.players.wgpu_player import load

MODEL, TOKENS, FIRST = "synthetic:tiny", 900, 300
MOST_GROWTH_BYTES = 8 << 20  # of the process: what an allocator takes anew, far below a KiB a token and launch


def test_memory_stays_flat_over_hundreds_of_tokens(gpu: Any) -> None:
    model, workload = open_model(MODEL), Workload.parse(f"decode:{TOKENS}")
    compiled = compile_workload(model, parse_format("tq2_0"), workload, gpu.caps)
    session = load(gpu, compiled.plan, Source(model, "tq2_0"))
    try:
        start = compiled.first_decode
        session.play(0, start + FIRST)
        ledger, rss_bytes = session.ledger.by_role(), psutil.Process().memory_info().rss
        trace = session.play(start + FIRST)
        grown_bytes = psutil.Process().memory_info().rss - rss_bytes
        assert session.ledger.by_role() == ledger == dict(trace.ledger)
    finally:
        session.close()
    assert len(trace.steps) == TOKENS - FIRST
    assert grown_bytes <= MOST_GROWTH_BYTES
