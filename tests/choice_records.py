"""Made records of pairs of formats: what two arms would leave behind at given rates. Nothing here was measured."""

from __future__ import annotations

from itertools import count
from typing import Any

from tritmark.results.record import SCHEMA, Record

_NUMBERS = count()
SPREAD = (0.99, 1.0, 1.01)  # of the times of three repetitions


def rated(tps: float, format: str, *, phase: str = "decode", tokens: int = 128, **fields: Any) -> Record:
    """A session whose median rate is ``tps``."""
    number = next(_NUMBERS)
    told: dict[str, Any] = {
        "schema": SCHEMA, "id": f"made {number}", "kind": "measured", "status": "ok", "reason": None,
        "started_at": f"2026-03-01T00:00:00.{number:06}+00:00", "case": {"options": {}}, "case_key": "k",
        "model": "synthetic:1B", "device": "host", "adapter": "Made Adreno 1", "driver": "1", "player": "wgpu",
        "digest": "d", "samples_ns": tuple(round(tokens / tps * 1e9 * each) for each in SPREAD), "format": format,
        "ledger_peak_bytes": {"tq1_0": 400 << 20, "tq2_0": 450 << 20}[format],
    }  # fmt: skip
    about = {
        "prefill": {"workload": f"prefill:{tokens}", "prompt_tokens": tokens, "generated_tokens": 1},
        "decode": {"workload": f"decode:{tokens}", "prompt_tokens": 1, "generated_tokens": tokens + 1},
        "train": {"workload": "lora:r8,c128", "training": {"tokens": tokens, "steps": 16}},
    }
    return Record(**{**told, **about[phase], **fields})


def both(one: float, two: float, **fields: Any) -> list[Record]:
    """TQ1_0 at ``one`` tok/s, TQ2_0 at ``two``."""
    return [rated(one, "tq1_0", **fields), rated(two, "tq2_0", **fields)]
