"""Telemetry: temperatures, battery, clocks, load and memory under a run, on one axis of time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tritmark.results.record import Record

from . import style
from .selection import grouped, left_out, measured, model_name, setup

MOST_RUNS, MOST_LINES = 3, 6  # as many lines as colours
MOST_POINTS = 200
PANEL_INCHES = 1.35
DASHES = ("-", "--", "-.", ":", (0, (1, 1)), (0, (5, 1)))


class Quantity(NamedTuple):
    """A panel: values whose name ends in ``suffix``, divided by ``unit``."""

    suffix: str
    label: str
    unit: float


QUANTITIES = (  # a name belongs to the first that fits
    Quantity("_celsius", "°C", 1.0),
    Quantity("battery_percent", "battery, %", 1.0),
    Quantity("_mhz", "clock, MHz", 1.0),
    Quantity("_percent", "load, %", 1.0),
    Quantity("_bytes", "memory, MiB", 2.0**20),
)
WHOLE_MACHINE = ("available_memory_bytes", "total_memory_bytes", "gpu_memory_all_bytes")  # dwarf those of the process
Series = list[tuple[float, float]]  # (seconds since the start, value)


@style.style()
def telemetry(records: Sequence[Record]) -> Figure | None:
    """Of each of a few setups the record that was watched the most; None where none was."""
    watched = [record for record in measured(records) if _watched(record) > (0, 1)]
    places = grouped(watched, setup)
    fullest = sorted((max(members, key=_watched) for members in places.values()), key=_watched, reverse=True)
    told = [(record, quantities(record)) for record in fullest[:MOST_RUNS]]
    shown = [(record, found) for record, found in told if found]
    if not shown:
        return None
    figure, rows = style.panels([PANEL_INCHES for _, found in shown for _ in found])
    axes = iter([axes for [axes] in rows])
    for record, found in shown:
        _draw([next(axes) for _ in found], found, record)
    return style.finished(figure, left_out(len(shown), len(places), "machines", "those watched the most"))


def _watched(record: Record) -> tuple[int, int]:
    return len((record.telemetry or {}).get("samples", ())), len(record.process_memory)


def quantities(record: Record) -> dict[Quantity, dict[str, Series]]:
    """What was watched, by quantity and name; process memory among the memory."""
    found: dict[str, Series] = {}
    for at_ns, values in (record.telemetry or {}).get("samples", ()):
        for name, value in values.items():
            if isinstance(value, int | float) and not isinstance(value, bool) and name not in WHOLE_MACHINE:
                found.setdefault(name, []).append((at_ns / 1e9, float(value)))
    if record.process_memory:
        found["process_bytes"] = [(at_ns / 1e9, float(size)) for at_ns, size in record.process_memory]
    sorted_in: dict[Quantity, dict[str, Series]] = {}
    for quantity in QUANTITIES:
        names = [name for name in found if name.endswith(quantity.suffix)]
        lines = {name: [(at_s, value / quantity.unit) for at_s, value in found.pop(name)] for name in names}
        if lines:
            sorted_in[quantity] = lines
    return sorted_in


def _draw(axes: Sequence[Axes], found: Mapping[Quantity, Mapping[str, Series]], record: Record) -> None:
    """The panels of one record; those with the highest values where there are too many."""
    end_s = max(line[-1][0] for lines in found.values() for line in lines.values())
    palette = list(style.COLOURS.values())
    axes[0].set_title(style.short(f"{model_name(record)} {record.format} {record.workload} on {setup(record)}"))
    for each, (quantity, lines) in zip(axes, found.items(), strict=True):
        highest = sorted(lines, key=lambda name: -max(value for _, value in lines[name]))[:MOST_LINES]
        for at, name in enumerate(highest):
            label = name.removesuffix(quantity.suffix).replace("_", " ") or "battery"
            line = lines[name][:: -(-len(lines[name]) // MOST_POINTS)]
            each.plot(*zip(*line, strict=True), color=palette[at], linestyle=DASHES[at], linewidth=1.5, label=label)
        each.set(xlim=(0, end_s or 1.0), ylabel=quantity.label)
        each.tick_params(axis="x", labelbottom=each is axes[-1])
        each.yaxis.set_major_formatter(style.thousands())
        each.margins(y=0.15)
        if quantity.suffix == "_bytes":
            each.set_ylim(bottom=0)
        if quantity.suffix.startswith("_") or len(highest) > 1:
            each.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=style.SMALL, handlelength=1.5)
    _shade_throttling(axes, record)
    axes[-1].set_xlabel("seconds since the start")


def _shade_throttling(axes: Sequence[Axes], record: Record) -> None:
    """Red where Android says that it holds the phone back: a thermal status above 0."""
    samples = (record.telemetry or {}).get("samples", ())
    times_s = [at_ns / 1e9 for at_ns, _ in samples]
    held_back = [bool(values.get("thermal_status")) for _, values in samples]
    if any(held_back):
        for each in axes:
            each.fill_between(
                times_s, 0, 1, where=held_back, step="post", transform=each.get_xaxis_transform(), color=style.ALARM,
                alpha=0.15, linewidth=0, label="_held back",
            )  # fmt: skip
