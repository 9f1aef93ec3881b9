"""Rival formats and rival engines in one set of results: which is faster by how much, as far as the samples go."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable, Iterator, Sequence

from tritmark.results.record import Record

from .. import stats
from ..sessions import LEAST_SESSIONS
from .ratio import pairs, ratio_of

Sessions = Sequence[Record]  # of one case, oldest first


def sentences(records: Sequence[Record]) -> Iterator[str]:
    """For each workload that an engine completed in several formats: the fastest format against each of the others.
    For each workload and format that other engines completed too: ours against each of theirs.
    """
    ran = [record for record in records if record.status == "ok" and record.samples_ns]
    for rivals in _rivals(ran, "format", lambda record: record.format):
        yield from (_of_formats(rivals[0], other) for other in rivals[1:])
    for rivals in _rivals(ran, "runner", stats.runner):
        ours = [sessions for sessions in rivals if sessions[-1].runner is None]
        others = [sessions for sessions in rivals if sessions[-1].runner is not None]
        yield from (_of_runners(*_by_speed([ours[0], other])) for other in others if ours)


def _rivals(records: Sequence[Record], axis: str, named: Callable[[Record], str]) -> Iterator[list[Sessions]]:
    """Sessions that differ in nothing but ``axis``, the fastest first."""
    groups: dict[str, dict[str, list[Record]]] = {}
    for record in records:
        axes = {
            **record.case,
            "runner": stats.runner(record),
            "format": record.format,
            "model": record.model,
            "workload": record.workload,
            "device": record.device,
        }
        group = groups.setdefault(json.dumps({**axes, axis: None}, sort_keys=True), {})
        group.setdefault(named(record), []).append(record)
    yield from (_by_speed(list(members.values())) for members in groups.values())


def _by_speed(rivals: Sequence[Sessions]) -> list[Sessions]:
    return sorted(rivals, key=lambda sessions: statistics.median(_medians_ns(sessions)))


def _medians_ns(sessions: Sessions) -> list[float]:
    """One a session; of fewer than three sessions only that of the latest."""
    told = sessions if len(sessions) >= LEAST_SESSIONS else sessions[-1:]
    return [statistics.median(record.samples_ns) for record in told]


def _of_formats(faster: Sessions, slower: Sessions) -> str:
    first, second = faster[-1], slower[-1]
    by = f" by {first.runner}" if first.runner else ""
    output = "" if first.digest == second.digest else "; THEIR OUTPUTS DIFFER, which no lossless recoding explains"
    return f"{first.workload}{by}: {_ratio(faster, slower, first.format, second.format)}{output}."


def _of_runners(faster: Sessions, slower: Sessions) -> str:
    first, second = faster[-1], slower[-1]
    return f"{first.workload} {first.format}: {_ratio(faster, slower, stats.runner(first), stats.runner(second))}."


def _ratio(faster: Sessions, slower: Sessions, first: str, second: str) -> str:
    """Both ran the same work, so the ratio of rates is that of times."""
    record = faster[-1]
    unit = "training" if record.training else "prefill" if stats.prefill_tps(record) else "decode"
    if min(len(faster), len(slower)) >= LEAST_SESSIONS:
        ratio, reservation = _over_sessions(faster, slower)
    else:
        ratio = statistics.median(slower[-1].samples_ns) / statistics.median(record.samples_ns)
        apart = max(record.samples_ns) < min(slower[-1].samples_ns)
        reservation = "" if apart else "; their samples overlap, so no difference is shown"
    return f"{first} has {ratio:.2f} times the {unit} rate of {second}{reservation}"


def _over_sessions(faster: Sessions, slower: Sessions) -> tuple[float, str]:
    """The ratio of rates and its interval; interleaved sessions are pairs."""
    together = pairs(faster, slower)
    sides = zip(*together, strict=True) if together else (faster, slower)
    quick, slow = ([statistics.median(record.samples_ns) for record in side] for side in sides)
    ratio = ratio_of(quick, slow, paired=together is not None)
    low, high = ratio.interval_95 or (0.0, math.inf)
    none = "; that may be no difference" if low < 1 < high else ""
    return ratio.ratio, f" ({low:.2f} to {high:.2f}, 95 % over {ratio.sessions} sessions){none}"
