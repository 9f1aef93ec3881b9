"""Curve: the rate of decoding over the tokens of a sequence, repetition by repetition, with throttling marked."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tritmark.reports.throttle import throttle
from tritmark.results.record import Record

from . import style
from .selection import by_size, grouped, latest, left_out, measured, model_name, setup

MOST_PANELS = 6
LEAST_TOKENS = 8
MOST_POINTS = 96  # of a line; more tokens are taken together
PANEL_INCHES = 1.9

Line = list[tuple[int, float]]  # (number of the token, tokens per second)


@style.style()
def curve(records: Sequence[Record]) -> Figure | None:
    """A panel for each model and setup, a colour a format; None where no record holds the times of tokens."""
    timed = [r for r in measured(records) if r.token_ns and min(map(len, r.token_ns)) >= LEAST_TOKENS]
    groups = grouped(timed, lambda record: (model_name(record), setup(record)))
    shown = by_size(groups, MOST_PANELS)
    if not shown:
        return None
    figure, rows = style.panels([PANEL_INCHES] * len(shown))
    for [axes], ((model, where), members) in zip(rows, shown.items(), strict=True):
        _draw(axes, list(latest(members).values()))
        axes.set_title(style.short(f"{model} on {where}"))
    rows[-1][0].set_xlabel("token")
    style.legend(figure, style.swatches(record.format for members in shown.values() for record in members))
    return style.finished(figure, "Latest session of each.", left_out(len(shown), len(groups), "models and machines"))


def _draw(axes: Axes, records: Sequence[Record]) -> None:
    tops, told = [], 0
    for record in sorted(records, key=lambda record: style.ordered([r.format for r in records]).index(record.format)):
        lines, colour = rates(record), style.colour(record.format)
        for line in lines:
            axes.plot(*zip(*line, strict=True), linewidth=0.6, alpha=0.5, label="_repetition", color=colour)
        middle = median_line(lines)
        axes.plot(*zip(*middle, strict=True), linewidth=2.0, label=style.title(record.format), color=colour)
        tops += [value for _, value in middle]
        told += _mark_throttling(axes, record, lines, told)
    axes.set(ylim=(0, 1.25 * max(tops, default=1.0)), ylabel="decode, tok/s", xlim=(0, None))
    axes.yaxis.set_major_formatter(style.thousands())


def rates(record: Record) -> list[Line]:
    """Of every repetition, tokens per second around each token; of neighbours together where there are many, or where
    the clock does not tell them apart. The first token's time holds the submission and is left out.
    """
    least = min(map(len, record.token_ns))
    width = max(1, -(-least // MOST_POINTS))
    while width < least and any(gap <= 0 for times in record.token_ns for _, gap in _gaps(times, width)):
        width *= 2
    return [[(at, width * 1e9 / gap) for at, gap in _gaps(times, width) if gap > 0] for times in record.token_ns]


def _gaps(times: Sequence[int], width: int) -> Iterator[tuple[int, int]]:
    """(number of the last token, ns) of every ``width`` tokens after the first."""
    for at in range(width, len(times), width):
        yield at + 1, times[at] - times[at - width]


def median_line(lines: Sequence[Line]) -> Line:
    """Over the repetitions, as far as all of them go."""
    return [(points[0][0], statistics.median(value for _, value in points)) for points in zip(*lines, strict=False)]


def _mark_throttling(axes: Axes, record: Record, lines: Sequence[Line], above: int) -> bool:
    """Crosses on the last quarter of all repetitions in a row, which is what `throttle` looks at; a line of text above
    ``above`` others. Whether there was something to mark.
    """
    slowed = throttle(record)
    if slowed is None or not slowed.shown:
        return False
    row = [point for line in lines for point in line]
    tail = row[-(len(row) // 4) :]
    few = tail[:: max(1, len(tail) // 12)]
    axes.plot(*zip(*few, strict=True), "x", color=style.ALARM, markersize=5, label=f"_{slowed}")
    axes.text(
        0.99, 0.05 + 0.12 * above, f"x {style.title(record.format)} {slowed}", transform=axes.transAxes, ha="right",
        color=style.ALARM, fontsize=style.SMALL,
    )  # fmt: skip
    return True
