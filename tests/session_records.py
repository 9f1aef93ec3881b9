"""Made records of sessions: what a case would leave behind at given speeds. Nothing here was measured."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from pathlib import Path
from typing import Any

from tritmark.results.record import SCHEMA, Record, case_key
from tritmark.results.store import Store

START = datetime(2026, 3, 1, tzinfo=UTC)
MACHINE = {"adapter": "made GPU", "driver": "1.0", "player": "wgpu", "timing": "wall", "schedule": "interleaved"}
BEFORE = {"cpu_count": 8, "load_1min": 0.5}


def made(
    *,
    minute: float,
    session: int = 1,
    slowdown: Mapping[str, float] | float = 1.0,
    before: Mapping[str, Any] | None = None,
    **fields: Any,
) -> Record:
    """A decode session begun ``minute`` minutes after the start of all; ``slowdown``: of everything timed, or by name:
    decode, ttft, gaps, load, compile, rss.
    """
    slow = {name: slowdown if isinstance(slowdown, float | int) else slowdown.get(name, 1.0)
            for name in ("decode", "ttft", "gaps", "load", "compile", "rss")}  # fmt: skip

    def ns(milliseconds: float, name: str) -> int:
        return round(milliseconds * 1e6 * slow[name])

    axes = {"model": "made:1B", "format": "tq1_0", "workload": "decode:9", "device": "host"}
    axes |= {name: fields.pop(name) for name in tuple(axes) if name in fields}
    case = {**axes, "repetitions": 3, "options": {}}
    gaps = tuple(accumulate(ns(each, "gaps") for each in (10, 10, 11, 12)))
    told: dict[str, Any] = {
        "schema": SCHEMA, "id": f"made {minute} {axes} {slowdown}", "kind": "measured", "status": "ok", "reason": None,
        "started_at": (START + timedelta(minutes=minute)).isoformat(), "case": case, "case_key": case_key(case),
        "session": session, "model_sha256": "5" * 64, "digest": "d" * 64, "generated_tokens": 9, "prompt_tokens": 8,
        "samples_ns": tuple(ns(each, "decode") for each in (79, 80, 90)), "ttft_ns": (ns(20, "ttft"),) * 3,
        "token_ns": (gaps,) * 3, "load_ns": {"cold": (ns(900, "load"),), "warm": (ns(300, "load"),)},
        "compile_ns": {"cold": (ns(700, "compile"),), "warm": (ns(200, "compile"),)}, "ledger_peak_bytes": 80 << 20,
        "process_memory": ((0, round(2e8 * slow["rss"])),), "conditions": {"before": {**BEFORE, **(before or {})}},
        "versions": {"revision": "a" * 40}, "exact": True, **MACHINE, **axes,
    }  # fmt: skip
    return Record(**{**told, **fields})


def failed(*, minute: float, status: str = "failed", **fields: Any) -> Record:
    nothing = {"samples_ns": (), "ttft_ns": (), "token_ns": (), "digest": None, "model_sha256": None}
    return made(minute=minute, status=status, reason="out of memory", **{**nothing, **fields})


def written(folder: Path, *records: Record) -> Path:
    """A results folder that holds these records."""
    with Store(folder) as store:
        for record in records:
            store.append(record)
    return folder
