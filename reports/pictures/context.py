"""Context: prefill by the length of the prompt, and decoding by the depth at which it begins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tritmark.reports import stats
from tritmark.results.record import Record

from . import style
from .selection import Rate, by_size, grouped, left_out, measured, model_name, rate, setup

MOST_ROWS = 3
PANEL_INCHES = 2.1
MOST_TICKS = 4
PHASES = {
    "prefill": (stats.prefill_tps, "prompt, tokens"),
    "decode": (stats.decode_tps, "tokens before decoding"),
}
Lines = Mapping[str, Mapping[int, Rate]]  # format -> length in tokens -> rate


@style.style()
def context(records: Sequence[Record]) -> Figure | None:
    """A row for each model and setup, a column for each phase; None where nobody measured two lengths."""
    groups = grouped(measured(records), lambda record: (model_name(record), setup(record)))
    several = {key: members for key, members in groups.items() if any(lines(members, phase) for phase in PHASES)}
    shown = by_size(several, MOST_ROWS)
    if not shown:
        return None
    phases = [phase for phase in PHASES if any(lines(members, phase) for members in shown.values())]
    figure, rows = style.panels([PANEL_INCHES] * len(shown), len(phases))
    for row, ((model, where), members) in zip(rows, shown.items(), strict=True):
        for axes, phase in zip(row, phases, strict=True):
            _draw(axes, lines(members, phase), phase)
        row[0].set_title(style.short(f"{model} on {where}"))
    style.legend(figure, style.swatches(record.format for members in shown.values() for record in members))
    return style.finished(figure, left_out(len(shown), len(several), "models and machines"))


def lines(members: Sequence[Record], phase: str) -> Lines:
    """The formats that were measured at two lengths at least."""
    samples, _ = PHASES[phase]
    found: dict[str, dict[int, Rate]] = {}
    of_phase = [record for record in members if record.workload.startswith(phase) and record.prompt_tokens]
    for (format, length), same in grouped(of_phase, lambda record: (record.format, record.prompt_tokens or 0)).items():
        value = rate(same, samples)
        if value:
            found.setdefault(format, {})[length] = value
    return {format: dict(sorted(rates.items())) for format, rates in found.items() if len(rates) > 1}


def _draw(axes: Axes, lines: Lines, phase: str) -> None:
    if not lines:
        axes.set_visible(False)
        return
    for format in style.ordered(lines):
        lengths, rates = list(lines[format]), list(lines[format].values())
        axes.errorbar(
            lengths, [value.median for value in rates], yerr=[value.mad for value in rates],
            color=style.colour(format), marker=style.marker(format), markersize=5, capsize=2, label=style.title(format),
        )  # fmt: skip
    lengths = sorted({length for rates in lines.values() for length in rates})
    style.logarithmic(axes, "x", lengths)
    style.ticks_at(axes, "x", _ticks(lengths))
    style.scale(axes, "y", [value.median for rates in lines.values() for value in rates.values()])
    axes.set(xlabel=PHASES[phase][1], ylabel=f"{phase}, tok/s")


def _ticks(lengths: Sequence[int]) -> list[int]:
    """As many of ascending ``lengths`` as have room for their numbers on a logarithmic axis."""
    room = (lengths[-1] / lengths[0]) ** (1 / MOST_TICKS)
    ticks = [lengths[-1]]
    for length in reversed(lengths[:-1]):
        if length * room <= ticks[-1]:
            ticks.append(length)
    return ticks[::-1]
