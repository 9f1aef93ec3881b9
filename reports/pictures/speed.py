"""Speed: tokens per second by model and format, prefill and decode apart, a block a machine; published figures beside.

A block is a heading and a row a model; formats lie above each other in it. Published figures have blocks, markers and
entries of the legend of their own, and no line joins them with ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from tritmark.results.record import Record

from . import style
from .blocks import PHASES, Block, Row, measured_blocks, printed_tps, published_blocks

ROW_INCHES = 0.34
NUMBER_SHARE = 0.2  # of a column's width that a number beside the last marker takes
NUMBER_POINTS = 9.0  # of type: two numbers have room in a row
CROSSES = {"suspect": "x", "not independent": "+", "impossible": "*"}  # on top of a hollow marker


@style.style()
def speed(records: Sequence[Record]) -> Figure | None:
    """Dots at medians, bars of one MAD. None where nobody measured or published a rate."""
    ours, not_ours = measured_blocks(records)
    theirs, not_theirs = published_blocks(records, {row.model for block in ours for row in block.rows})
    blocks = [(_heading(block), block) for block in ours] + [(f"published: {block.machine}", block) for block in theirs]
    rows = [row for _, block in blocks for row in block.rows]
    phases = [phase for phase in PHASES if any(row.values(phase) for row in rows)]
    if not phases:
        return None
    figure, [columns] = style.panels([ROW_INCHES * (len(blocks) + len(rows)) + 0.4], len(phases))
    for axes, phase in zip(columns, phases, strict=True):
        _draw(axes, phase, blocks, named=axes is columns[0])
        _scale(axes, [value for row in rows for value in row.values(phase)])
        axes.set_xlabel(f"{phase}, tok/s")
    style.legend(figure, _legend(rows))
    return style.finished(figure, not_ours, not_theirs)


def _heading(block: Block) -> str:
    return f"{style.short(block.machine, 40)}: {block.workloads}"


def _draw(axes: Axes, phase: str, blocks: Sequence[tuple[str, Block]], *, named: bool) -> None:
    """One column. Line 0 is at the top; a heading stands in a line of its own and reaches over the next column."""
    names: list[str] = []
    for heading, block in blocks:
        if named:
            text = axes.annotate(
                style.short(heading, 66), (0, len(names)), (4, 0), ("axes fraction", "data"), "offset points",
                va="center", fontsize=style.SMALL, fontweight="bold", annotation_clip=False,
            )  # fmt: skip
            text.set_in_layout(False)
        names.append("")
        for row in block.rows:
            _draw_rates(axes, len(names), phase, row)
            for record in row.figures if phase == "decode" else ():
                _draw_printed(axes, len(names), record)
            names.append(style.short(row.model, 14))
    axes.set_yticks(range(len(names)), names if named else [""] * len(names))
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")


def _draw_rates(axes: Axes, line: int, phase: str, row: Row) -> None:
    formats = style.ordered(format for of, format in row.rates if of == phase)
    for place, format in enumerate(formats):
        median, mad = row.rates[phase, format]
        y = line + 0.4 * (place - (len(formats) - 1) / 2) / max(1, len(formats) - 1)
        axes.errorbar(
            median, y, xerr=mad, color=style.colour(format), marker=style.marker(format), markersize=5, capsize=2,
            linestyle="none", label=f"{row.model} {format}",
        )  # fmt: skip
        axes.annotate(
            style.number(median), (median + mad, y), (5, 0), textcoords="offset points", va="center",
            fontsize=NUMBER_POINTS,
        )  # fmt: skip


def _draw_printed(axes: Axes, line: int, record: Record) -> None:
    dress: dict[str, Any] = {"color": style.colour(record.format), "label": f"published {record.id}", "markersize": 6}
    place = [printed_tps(record)], [line + {"tq1_0": -0.15, "tq2_0": 0.15}.get(record.format, 0.0)]
    axes.plot(*place, linestyle="none", marker=style.marker(record.format), fillstyle="none", **dress)
    if record.grade in CROSSES:
        axes.plot(*place, linestyle="none", marker=CROSSES[record.grade], **dress)


def _scale(axes: Axes, values: Sequence[float]) -> None:
    """With room for the number beside the last marker."""
    style.scale(axes, "x", values)
    low, high = axes.get_xlim()
    stretch = (high / low) ** NUMBER_SHARE if axes.get_xscale() == "log" else 1 + NUMBER_SHARE
    axes.set_xlim(low, high * stretch)


def _legend(rows: Sequence[Row]) -> list[Line2D]:
    printed = [record for row in rows for record in row.figures]
    ours = [format for row in rows for _, format in row.rates]
    entries = style.swatches([*ours, *(record.format for record in printed)])
    marks = {"published": "o"} if printed else {}
    marks |= {f"published, {grade}": mark for grade, mark in CROSSES.items() if grade in {r.grade for r in printed}}
    return entries + [
        Line2D([], [], marker=mark, fillstyle="none", color=style.INK, linestyle="none", label=label)
        for label, mark in marks.items()
    ]
