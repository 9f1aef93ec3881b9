"""Comparisons of rival formats: which is faster by how much, said only as far as the samples go."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Sequence

from tritmark.results.record import Record

from . import stats


def sentences(records: Sequence[Record]) -> Iterator[str]:
    """One line for each workload that at least two formats completed: the fastest format against each of the others."""
    rivals: dict[str, list[Record]] = {}
    for record in records:
        if record.status == "ok" and record.samples_ns:
            axes = {
                **record.case,
                "format": None,
                "model": record.model,
                "workload": record.workload,
                "device": record.device,
            }
            rivals.setdefault(json.dumps(axes, sort_keys=True), []).append(record)
    for members in rivals.values():
        latest = list({record.format: record for record in members}.values())
        ranked = sorted(latest, key=lambda record: statistics.median(record.samples_ns))
        yield from (_sentence(ranked[0], other) for other in ranked[1:])


def _sentence(faster: Record, slower: Record) -> str:
    """Both ran the same work, so the ratio of rates is that of times."""
    ratio = statistics.median(slower.samples_ns) / statistics.median(faster.samples_ns)
    apart = max(faster.samples_ns) < min(slower.samples_ns)
    shown = "" if apart else "; their samples overlap, so no difference is shown"
    output = "" if faster.digest == slower.digest else "; THEIR OUTPUTS DIFFER, which no lossless recoding explains"
    unit = "prefill" if stats.prefill_tps(faster) else "decode"
    return (
        f"{faster.workload}: {faster.format} has {ratio:.2f} times the {unit} rate of {slower.format}{shown}{output}."
    )
