"""Roofline: every kernel of a step, its operations a byte against its operations a second, under the memory's roof.

A kernel on the roof waits for memory; one far below it computes, or is too short to fill the device. The roof is the
bandwidth of a copy that was measured on the same device (Williams, Waterman and Patterson 2009, without the flat part:
nobody measures the peak of integer operations here).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from tritmark.results.record import Record

from . import style
from .selection import by_size, grouped, latest, left_out, measured, model_name, setup

MOST_PANELS = 3
MOST_NAMES = 10
PANEL_INCHES = 3.4
NAME_SHARE = 0.085  # of a panel's height that a name takes


class Point(NamedTuple):
    label: str
    operations_per_byte: float
    operations_per_s: float
    share: float  # of the time of its record's kernels


@style.style()
def roofline(records: Sequence[Record]) -> Figure | None:
    """A panel for each model, workload and setup; None where no record holds a profile."""
    profiled = [record for record in measured(records) if points(record)]
    groups = grouped(profiled, lambda record: (model_name(record), record.workload, setup(record)))
    shown = by_size(groups, MOST_PANELS)
    if not shown:
        return None
    figure, rows = style.panels([PANEL_INCHES] * len(shown))
    for [axes], ((model, workload, where), members) in zip(rows, shown.items(), strict=True):
        _draw(axes, latest(members))
        axes.set_title(style.short(f"{model} {workload} on {where}"))
    rows[-1][0].set_xlabel("operations a byte")
    roof = [Line2D([], [], color=style.INK, linewidth=1.5, label="memory's roof")]
    entries = style.swatches(record.format for members in shown.values() for record in members)
    style.legend(figure, entries + roof * any(bandwidth(members) for members in shown.values()))
    return style.finished(
        figure, "Names: the ten kernels that take the most time, with their share of a step.",
        left_out(len(shown), len(groups), "cases"),
    )  # fmt: skip


def points(record: Record) -> list[Point]:
    """Of every kernel that computes, the longest first; kernels that only move bytes have no place in such a plane."""
    total_ns = sum(kernel["time_ns"] for kernel in record.kernels)
    found = [
        Point(
            label=kernel["label"], share=kernel["time_ns"] / total_ns,
            operations_per_byte=kernel["operations"] / kernel["bytes"],
            operations_per_s=kernel["operations"] / kernel["time_ns"] * 1e9,
        )
        for kernel in record.kernels
        if kernel["time_ns"] > 0 and kernel["bytes"] > 0 and kernel["operations"] > 0
    ]  # fmt: skip
    return sorted(found, key=lambda point: -point.share)


def bandwidth(records: Sequence[Record]) -> float | None:
    """Bytes a second of a copy on the device, by the latest record that holds it."""
    told = [record.gauge["copy_bytes_per_s"] for record in records if record.gauge]
    return told[-1] if told else None


def apart(wanted: Sequence[float], gap: float) -> list[float]:
    """Ascending places in [0, 1], as near to ``wanted`` (ascending) as a distance of ``gap`` between them allows."""
    places: list[float] = []
    for place in wanted:
        places.append(max(place, places[-1] + gap) if places else place)
    ceiling = 1.0
    for at in reversed(range(len(places))):
        places[at] = min(places[at], ceiling)
        ceiling = places[at] - gap
    return places


def _draw(axes: Axes, records: Mapping[str, Record]) -> None:
    found = {format: points(records[format]) for format in style.ordered(records)}
    every = [point for each in found.values() for point in each]
    roof = bandwidth(list(records.values()))
    across = [point.operations_per_byte for point in every]
    ends = [min(across) / 2, max(across) * 2]
    roofs = [roof * end / 1e9 for end in ends] if roof else []
    style.logarithmic(axes, "x", across)
    style.logarithmic(axes, "y", [*(point.operations_per_s / 1e9 for point in every), *roofs])
    for format, each in found.items():
        axes.plot(
            [p.operations_per_byte for p in each], [p.operations_per_s / 1e9 for p in each], linestyle="none",
            color=style.colour(format), marker=style.marker(format), markersize=5, label=style.title(format),
        )  # fmt: skip
    if roofs:
        axes.plot(ends, roofs, color=style.INK, linewidth=1.5, label="_roof")
    axes.set_ylabel("operations, 10⁹/s")
    _name(axes, every)


def _name(axes: Axes, points: Sequence[Point]) -> None:
    """Names of the longest kernels at the right margin, each with a line to its point; one for all formats."""
    longest = {point.label: point for point in sorted(points, key=lambda point: point.share)}
    named = sorted(longest.values(), key=lambda point: -point.share)[:MOST_NAMES]
    named.sort(key=lambda point: point.operations_per_s)
    to_share = axes.transData + axes.transAxes.inverted()
    ends = [to_share.transform((p.operations_per_byte, p.operations_per_s / 1e9)) for p in named]
    for point, (x, y), place in zip(named, ends, apart([y for _, y in ends], NAME_SHARE), strict=True):
        text = f"{style.short(point.label, 22)} {100 * point.share:.0f} %"
        axes.text(1.03, place, text, transform=axes.transAxes, va="center", fontsize=style.SMALL)
        axes.plot(
            [x, 1.02], [y, place], transform=axes.transAxes, color=style.FAINT, linewidth=0.6, zorder=1, clip_on=False,
            label=f"_{point.label}",
        )  # fmt: skip
