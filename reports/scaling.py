"""Scaling: how time grows with the size of the model, the depth of the context, the length of a prompt and the rank.

Records that differ in one of these alone make a series. Two laws are fitted to each, t = a + b x and t = c x^k, by
least squares of relative errors; the one whose worst point is nearer stays, with how far that point lies from it.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tritmark.results.record import Record

from . import stats

LEAST_POINTS = 3


@dataclass(frozen=True)
class Axis:
    """What a series varies: ``of`` a record gives (x, ms, everything that must stay the same), or None."""

    name: str
    x: str
    time: str
    of: Callable[[Record], tuple[float, float, str] | None]


@dataclass(frozen=True)
class Law:
    """``text``: the law with its figures. ``worst``: the largest relative distance of a point from it."""

    text: str
    worst: float


@dataclass(frozen=True)
class Series:
    """``points``: (x, ms), x ascending."""

    axis: Axis
    where: str
    points: tuple[tuple[float, float], ...]
    law: Law


def scaling(records: Sequence[Record]) -> Iterator[Series]:
    """Every series of three points or more."""
    for axis in AXES:
        groups: dict[str, dict[float, list[float]]] = {}
        for record in records:
            found = axis.of(record) if record.status == "ok" and record.kind == "measured" else None
            if found:
                x, ms, same = found
                where = f"{same} {record.format}, {record.adapter} ({record.player})"
                groups.setdefault(where, {}).setdefault(x, []).append(ms)
        for where, times in groups.items():
            if len(times) >= LEAST_POINTS:
                points = tuple((x, statistics.median(times[x])) for x in sorted(times))
                yield Series(axis, where, points, fitted(points))


def fitted(points: Sequence[tuple[float, float]]) -> Law:
    """The law that is nearer to its worst point."""
    x, t = (np.array(column, float) for column in zip(*points, strict=True))
    a, b = np.linalg.lstsq(np.stack([1 / t, x / t], axis=1), np.ones(len(t)), rcond=None)[0]
    k, log_c = np.polyfit(np.log(x), np.log(t), 1)
    straight = Law(f"{a:.3g} ms + {b * 1e3:.3g} us x", float(np.max(np.abs((a + b * x) / t - 1))))
    power = Law(f"{np.exp(log_c):.3g} ms x^{k:.2f}", float(np.max(np.abs(np.exp(log_c) * x**k / t - 1))))
    return straight if a >= 0 and straight.worst <= power.worst else power


def text(series: Series) -> str:
    """Two lines: the law, then the points."""
    points = ", ".join(f"{x:,.4g}: {ms:,.4g} ms" for x, ms in series.points)
    law = f"{series.law.text}, worst point {series.law.worst:.0%} off"
    return f"{series.axis.name}, {series.where}\n  {series.axis.time} = {law} (x: {series.axis.x})\n  {points}"


def _workload(record: Record, pattern: str) -> re.Match[str] | None:
    return re.fullmatch(pattern, record.workload)


def _decode_ms(record: Record) -> float | None:
    rates = stats.decode_tps(record)
    return 1e3 / statistics.median(rates) if rates else None


def _size(record: Record) -> tuple[float, float, str] | None:
    ms = _decode_ms(record)
    if ms is None or not record.shape or not _workload(record, r"decode:\d+"):
        return None
    return record.shape["ternary_weights"] / 1e6, ms, record.workload


def _depth(record: Record) -> tuple[float, float, str] | None:
    """A decode run's tokens lie half its length behind its depth, on average."""
    ms, match = _decode_ms(record), _workload(record, r"decode:(\d+)(?:@(\d+))?")
    if ms is None or not match:
        return None
    return int(match[2] or 0) + int(match[1]) / 2, ms, record.model


def _length(record: Record) -> tuple[float, float, str] | None:
    rates, match = stats.prefill_tps(record), _workload(record, r"prefill:(\d+)")
    if not rates or not match:
        return None
    return int(match[1]), int(match[1]) * 1e3 / statistics.median(rates), record.model


def _rank(record: Record) -> tuple[float, float, str] | None:
    steps, match = stats.step_s(record), _workload(record, r"lora:r(\d+),(c\d+)(?:,s\d+)?")
    if not steps or not match:
        return None
    return int(match[1]), statistics.median(steps) * 1e3, f"{record.model} {match[2]}"


AXES = (
    Axis("decode by model size", "millions of ternary weights", "ms a token", _size),
    Axis("decode by depth", "positions attended to", "ms a token", _depth),
    Axis("prefill by length", "prompt tokens", "ms a prompt", _length),
    Axis("fine-tuning by rank", "rank", "ms a step", _rank),
)
