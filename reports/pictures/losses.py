"""Losses: of fine-tuning, step by step. Runs with the same losses are one line: on exact devices all formats agree."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tritmark.results.record import Record

from . import style
from .selection import by_size, grouped, left_out, measured, model_name, most, setup

MOST_PANELS, MOST_LINES = 4, 8
PANEL_INCHES = 2.4
DASH = 3.0  # line widths
Losses = tuple[float, ...]


@style.style()
def losses(records: Sequence[Record]) -> Figure | None:
    """A panel for each model and workload; None where no record holds two losses or more."""
    trained = [record for record in measured(records) if len(_losses(record)) > 1]
    groups = grouped(trained, lambda record: (model_name(record), record.workload))
    shown = by_size(groups, MOST_PANELS)
    if not shown:
        return None
    figure, rows = style.panels([PANEL_INCHES] * len(shown))
    for [axes], ((model, workload), members) in zip(rows, shown.items(), strict=True):
        _draw(axes, members)
        axes.set_title(style.short(f"{model} {workload}"))
    rows[-1][0].set_xlabel("optimiser step")
    return style.finished(figure, left_out(len(shown), len(groups), "models and workloads"))


def _losses(record: Record) -> Losses:
    return tuple((record.training or {}).get("losses") or ())


def _draw(axes: Axes, members: Sequence[Record]) -> None:
    """Formats that share a line take turns along it, dash by dash."""
    for curve, same in most(grouped(members, _losses), MOST_LINES).items():
        formats = style.ordered(record.format for record in same)
        for at, format in enumerate(formats):
            dashes = (DASH * at, (DASH, DASH * (len(formats) - 1))) if len(formats) > 1 else "-"
            axes.plot(
                range(1, len(curve) + 1), curve, color=style.colour(format), linewidth=2.0, linestyle=dashes,
                label="_shared" if at else _name(same),
            )  # fmt: skip
    axes.set_ylabel("loss, nats a token")
    axes.legend(loc="best")


def _name(same: Sequence[Record]) -> str:
    """The formats, and the setup or how many agree."""
    formats = ", ".join(style.title(format) for format in style.ordered(record.format for record in same))
    places = list(grouped(same, setup))
    where = style.short(places[0], 34) if len(places) == 1 else f"{len(places)} setups"
    return f"{formats} on {where}" + (": all the same" if len(same) > 1 else "")
