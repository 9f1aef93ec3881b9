"""Records that pictures are made of in tests: the measured ones, and variations that have "made" in their ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from tritmark.reports.audit.graded import published_records
from tritmark.results.record import Record
from tritmark.results.store import read

RESULTS = Path(__file__).resolve().parent.parent / "results"
H200 = read(RESULTS / "measured" / "nvidia-h200")
HOST = [record for record in H200 if record.device == "host"]
SOFTWARE = read(RESULTS / "measured" / "mesa-llvmpipe")
PUBLISHED = published_records(RESULTS / "published" / "published.csv")


def one(model: str, format: str, workload: str) -> Record:
    sessions = [r for r in HOST if (r.model, r.format, r.workload) == (f"synthetic:{model}", format, workload)]
    return sessions[-1]


def made(record: Record, **changes: Any) -> Record:
    return replace(record, id=f"made {record.id}", **changes)


def drawing(picture: Any, records: Sequence[Record]) -> Figure:
    figure = picture(records)
    assert isinstance(figure, Figure)
    return figure


def profiled(format: str, kernels: int = 14) -> Record:
    rows = [
        {"label": f"kernel {n}", "kernel": "0" * 12, "count": 24, "time_ns": 1000 * (n + 1), "bytes": 10**6,
         "operations": 10**6 * (n + 1)}
        for n in range(kernels)
    ]  # fmt: skip
    still = {"label": "copy", "kernel": "0" * 12, "count": 1, "time_ns": 500, "bytes": 4096, "operations": 0}
    gauge = {"copy_bytes_per_s": 2e12, "dispatch_ns": 2000.0}
    return made(one("1B", format, "decode:128"), kernels=(*rows, still), gauge=gauge)


def watched(**changes: Any) -> Record:
    samples = [
        [n * 10**9, {"battery_celsius": 30.0 + n, "battery_percent": 80.0 - n, "cpu_mhz": 2900.0, "charging": False,
                     "pss_bytes": (500 + n) << 20, "total_memory_bytes": 8 << 30, "thermal_status": int(n >= 6)}]
        for n in range(10)
    ]  # fmt: skip
    memory = ((0, 1 << 20), (9 * 10**9, 300 << 20))
    phone = {"telemetry": {"samples": samples, "methods": {}}, "process_memory": memory, "device": "android:made"}
    return made(one("1B", "tq1_0", "decode:128"), **{**phone, **changes})
