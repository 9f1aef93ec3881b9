"""Epoch: how long a pass over the training data takes; hatched and with ~ where fewer steps were measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from tritmark.reports import stats
from tritmark.results.record import Record

from . import style
from .selection import Rate, by_size, grouped, left_out, measured, model_name, rate, setup

MOST_GROUPS = 6
ROW_INCHES = 0.28
HATCH = "////"
UNITS = ((7200.0, "h", 3600.0), (300.0, "min", 60.0), (0.0, "s", 1.0))  # from so many seconds on, name, its seconds


class Epoch(NamedTuple):
    seconds: Rate
    extrapolated: bool


@style.style()
def epoch(records: Sequence[Record]) -> Figure | None:
    """A bar a format, grouped by model, workload and setup; None where nobody fine-tuned."""
    trained = [record for record in measured(records) if stats.epoch_s(record)]
    groups = grouped(trained, lambda record: (model_name(record), record.workload, setup(record)))
    shown = by_size(groups, MOST_GROUPS)
    if not shown:
        return None
    found = {key: epochs(members) for key, members in shown.items()}
    medians = [each.seconds.median for formats in found.values() for each in formats.values()]
    unit, seconds = next((name, size) for least, name, size in UNITS if max(medians) >= least)
    figure, rows = style.panels([ROW_INCHES * (len(formats) + 0.5) + 0.4 for formats in found.values()], share_x=True)
    for [axes], ((model, workload, where), formats) in zip(rows, found.items(), strict=True):
        for row, format in enumerate(formats):
            _draw(axes, row, format, formats[format], seconds)
        axes.set_title(style.short(f"{model} {workload} on {where}"))
        axes.set_yticks(range(len(formats)), [style.title(format) for format in formats])
        axes.set_ylim(len(formats) - 0.4, -0.6)
        axes.grid(visible=False, axis="y")
    style.scale(rows[-1][0], "x", [1.05 * median / seconds for median in medians])
    rows[-1][0].set_xlabel(f"an epoch, {unit}")
    extrapolated = Patch(facecolor="none", hatch=HATCH, label="~ extrapolated from fewer steps")
    if any(each.extrapolated for formats in found.values() for each in formats.values()):
        style.legend(figure, [extrapolated])
    return style.finished(figure, left_out(len(shown), len(groups), "cases"))


def epochs(members: Sequence[Record]) -> dict[str, Epoch]:
    """By format, of records of one case."""
    formats = grouped(members, lambda record: record.format)
    found = {}
    for format in style.ordered(formats):
        seconds = rate(formats[format], _seconds)
        if seconds:
            found[format] = Epoch(seconds, any(told[1] for told in map(stats.epoch_s, formats[format]) if told))
    return found


def _seconds(record: Record) -> list[float]:
    """Of an epoch, by each repetition."""
    return [step_s * (record.training or {})["epoch_steps"] for step_s in stats.step_s(record)]


def _draw(axes: Axes, row: int, format: str, epoch: Epoch, unit_s: float) -> None:
    value, mad = epoch.seconds.median / unit_s, epoch.seconds.mad / unit_s
    dress: dict[str, Any] = {"hatch": HATCH, "alpha": 0.7} if epoch.extrapolated else {}
    axes.barh(row, value, xerr=mad, color=style.colour(format), height=0.7, ecolor=style.INK, linewidth=0, **dress)
    sign = "~" if epoch.extrapolated else ""
    axes.annotate(
        f"{sign}{style.number(value)}", (value + mad, row), (4, 0), textcoords="offset points", va="center",
        fontsize=style.SMALL,
    )  # fmt: skip
