"""Pareto: decoding against memory. Up and to the left is better; what nothing beats in both is joined by a line.

Models are no alternatives of one another, nor are machines: a panel is one model on one machine.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from tritmark.reports import stats
from tritmark.results.record import Record

from . import style
from .selection import by_size, grouped, left_out, machine, measured, model_name, most, rate, way

MOST_PANELS, MOST_WAYS = 6, 4
COLUMNS = 2
PANEL_INCHES = 2.3
FILLS: tuple[Literal["full", "none", "left", "top"], ...] = ("full", "none", "left", "top")  # of markers, a way each
SIZES = (5.0, 13.0)  # of markers, points across, from no time to the first token to the longest


class Option(NamedTuple):
    """One format and way to run a model on a machine."""

    format: str
    way: str
    peak_mib: float
    decode_tps: float
    ttft_ms: float


@style.style()
def pareto(records: Sequence[Record]) -> Figure | None:
    """None where no record of a decode workload counts its buffers."""
    decoded = [record for record in measured(records) if stats.decode_tps(record) and record.ledger_peak_bytes]
    ways = list(most(grouped(decoded, way), MOST_WAYS))
    groups = grouped((r for r in decoded if way(r) in ways), lambda record: (model_name(record), machine(record)))
    shown = by_size(groups, MOST_PANELS)
    if not shown:
        return None
    found = {key: options(members) for key, members in shown.items()}
    every = [option for each in found.values() for option in each]
    longest_ms = max(option.ttft_ms for option in every)
    cells, figure = _cells(len(found))
    for axes, ((model, place), each) in zip(cells, found.items(), strict=True):
        _draw(axes, each, ways, longest_ms)
        axes.set_title(f"{style.short(model, 28)}\n{style.short(place, 32)}", fontsize=style.SMALL)
    style.legend(figure, _legend(every, ways, longest_ms), columns=2)
    return style.finished(figure, left_out(len(shown), len(groups), "models and machines"))


def options(members: Sequence[Record]) -> list[Option]:
    """Of one model on one machine; of each way and format the workload that has the most records."""
    found = []
    for (format, how), same in grouped(members, lambda record: (record.format, way(record))).items():
        workload = next(iter(most(grouped(same, lambda record: record.workload), 1).values()))
        tps = rate(workload, stats.decode_tps)
        ttft = rate(workload, lambda record: [ns / 1e6 for ns in record.ttft_ns])
        peak_mib = statistics.median(record.ledger_peak_bytes or 0 for record in workload) / 2**20
        found.append(Option(format, how, peak_mib, tps.median if tps else 0.0, ttft.median if ttft else 0.0))
    return found


def front(options: Sequence[Option]) -> list[Option]:
    """Those that no other one beats in memory and rate, from the smallest on."""
    found: list[Option] = []
    for option in sorted(options, key=lambda option: (option.peak_mib, -option.decode_tps)):
        if not found or option.decode_tps > found[-1].decode_tps:
            found.append(option)
    return found


def _cells(count: int) -> tuple[list[Axes], Figure]:
    """``count`` panels in columns, filled row by row; axes are named at the left and at the bottom."""
    columns = min(COLUMNS, count)
    figure, rows = style.panels([PANEL_INCHES] * -(-count // columns), columns)
    cells = [axes for row in rows for axes in row]
    for axes in cells[count:]:
        axes.set_visible(False)
    for row in rows:
        row[0].set_ylabel("decode, tok/s")
    for axes in cells[count - columns : count]:
        axes.set_xlabel("peak of GPU buffers, MiB")
    return cells[:count], figure


def _draw(axes: Axes, options: Sequence[Option], ways: Sequence[str], longest_ms: float) -> None:
    best = front(options)
    axes.plot(
        [option.peak_mib for option in best], [option.decode_tps for option in best], color=style.FAINT,
        linewidth=1.5, label="_front", zorder=1,
    )  # fmt: skip
    for option in options:
        axes.plot(
            [option.peak_mib], [option.decode_tps], linestyle="none", color=style.colour(option.format),
            marker=style.marker(option.format), markersize=_size(option.ttft_ms, longest_ms),
            fillstyle=FILLS[ways.index(option.way)], markerfacecoloralt="none", label=style.title(option.format),
        )  # fmt: skip
    axes.margins(0.25)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(4))
        axis.set_major_formatter(style.thousands())


def _size(ttft_ms: float, longest_ms: float) -> float:
    """Areas of markers grow with the time to the first token."""
    least, largest = SIZES
    return float((least**2 + (largest**2 - least**2) * ttft_ms / (longest_ms or 1.0)) ** 0.5)


def _legend(every: Sequence[Option], ways: Sequence[str], longest_ms: float) -> list[Line2D]:
    plain: dict[str, Any] = {"marker": "o", "linestyle": "none", "color": style.INK, "markerfacecoloralt": "none"}
    hows = [
        Line2D([], [], fillstyle=fill, label=style.short(how or stats.OURS, 40), **plain)
        for how, fill in zip(ways, FILLS, strict=False)
    ]
    slow = f"{style.number(longest_ms)} ms to the first token"
    size = Line2D([], [], markersize=SIZES[1], fillstyle="none", label=slow, **plain)
    swatches = style.swatches(option.format for option in every)
    return [*swatches, *(hows if len(ways) > 1 else []), *([size] if longest_ms else [])]
