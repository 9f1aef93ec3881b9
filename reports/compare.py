"""Comparisons of rival formats and rival engines: which is faster by how much, said only as far as the samples go."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterator, Sequence

from tritmark.results.record import Record

from . import stats


def sentences(records: Sequence[Record]) -> Iterator[str]:
    """For each workload that an engine completed in several formats: the fastest format against each of the others.
    For each workload and format that other engines completed too: ours against each of theirs.
    """
    ran = [record for record in records if record.status == "ok" and record.samples_ns]
    for rivals in _rivals(ran, "format", lambda record: record.format):
        yield from (_of_formats(rivals[0], other) for other in rivals[1:])
    for rivals in _rivals(ran, "runner", stats.runner):
        ours = [record for record in rivals if record.runner is None]
        others = [record for record in rivals if record.runner is not None]
        yield from (_of_runners(*_by_speed([ours[0], other])) for other in others if ours)


def _rivals(records: Sequence[Record], axis: str, named: Callable[[Record], str]) -> Iterator[list[Record]]:
    """Records that differ in nothing but ``axis``, the fastest first; of several runs of one case the latest."""
    groups: dict[str, dict[str, Record]] = {}
    for record in records:
        axes = {
            **record.case,
            "runner": stats.runner(record),
            "format": record.format,
            "model": record.model,
            "workload": record.workload,
            "device": record.device,
        }
        groups.setdefault(json.dumps({**axes, axis: None}, sort_keys=True), {})[named(record)] = record
    yield from (_by_speed(list(members.values())) for members in groups.values())


def _by_speed(records: Sequence[Record]) -> list[Record]:
    return sorted(records, key=lambda record: statistics.median(record.samples_ns))


def _of_formats(faster: Record, slower: Record) -> str:
    by = f" by {faster.runner}" if faster.runner else ""
    same = faster.digest == slower.digest
    output = "" if same else "; THEIR OUTPUTS DIFFER, which no lossless recoding explains"
    return f"{faster.workload}{by}: {_ratio(faster, slower, faster.format, slower.format)}{output}."


def _of_runners(faster: Record, slower: Record) -> str:
    return f"{faster.workload} {faster.format}: {_ratio(faster, slower, stats.runner(faster), stats.runner(slower))}."


def _ratio(faster: Record, slower: Record, first: str, second: str) -> str:
    """Both ran the same work, so the ratio of rates is that of times."""
    ratio = statistics.median(slower.samples_ns) / statistics.median(faster.samples_ns)
    unit = "training" if faster.training else "prefill" if stats.prefill_tps(faster) else "decode"
    apart = max(faster.samples_ns) < min(slower.samples_ns)
    shown = "" if apart else "; their samples overlap, so no difference is shown"
    return f"{first} has {ratio:.2f} times the {unit} rate of {second}{shown}"
