"""Memory: what the GPU holds by part, for the formats that ran and, computed, for those that did not.

All but the ternary weights is the same in every format, so a ledger of one gives those of the others:
weights in another format = ternary weights * bits per weight / 8 + bytes of the other weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from tritmark.reports.audit import weights
from tritmark.results.record import Record

from . import style
from .selection import by_size, grouped, left_out, measured, model_name

BITS = {format.lower(): bits for format, bits in weights.BITS.items()} | {
    "q4_0": 4.5, "q8_0": 8.5, "f16": 16.0,  # a weight, scales included: blocks of 32 in 18 and 34 bytes
}  # fmt: skip
WEIGHTS, TERNARY, OTHER = "weights", "ternary weights", "other weights"
STATE = {False: "KV cache", True: "adapter, optimiser"}  # what a ledger calls state, by whether a record trains
PARTS = {  # in the order in which they are drawn
    WEIGHTS: "#4477aa", TERNARY: "#4477aa", OTHER: "#77aadd", "KV cache": "#ddaa33", "adapter, optimiser": "#228833",
    "activations": "#aa4499", "rest": style.FAINT,
}  # fmt: skip
MOST_PANELS = 6
BAR_INCHES = 0.28
HATCH = "////"


class Bar(NamedTuple):
    """Bytes by part."""

    parts: Mapping[str, float]
    measured: bool

    def shares(self) -> dict[str, float]:
        whole = sum(self.parts.values()) or 1.0
        return {part: size / whole for part, size in self.parts.items()}


@style.style()
def memory(records: Sequence[Record]) -> Figure | None:
    """A panel for each model, inference and fine-tuning apart, of the workload that takes the most; None without
    ledgers."""
    kept = [record for record in measured(records) if record.ledger]
    groups = grouped(kept, lambda record: (model_name(record), bool(record.training)))
    shown = by_size(groups, MOST_PANELS)
    if not shown:
        return None
    panels = [(model, _largest(members)) for (model, _), members in shown.items()]
    drawn = [bars(members) for _, members in panels]
    figure, rows = style.panels([0.7 + BAR_INCHES * len(each) for each in drawn])
    for [axes], (model, members), each in zip(rows, panels, drawn, strict=True):
        _draw(axes, each)
        axes.set_title(style.short(f"{model}, {members[0].workload}"))
    rows[-1][0].set_xlabel("GPU buffers, MiB")
    used = {part for each in drawn for bar in each.values() for part, share in bar.shares().items() if share > 0.005}
    entries = [Patch(facecolor=PARTS[part], label=part) for part in PARTS if part in used]
    computed = [Patch(facecolor="none", hatch=HATCH, label="computed")]
    style.legend(figure, entries + computed * any(not bar.measured for each in drawn for bar in each.values()))
    return style.finished(figure, left_out(len(shown), len(groups), "models"))


def _largest(members: Sequence[Record]) -> list[Record]:
    """The records of the workload whose buffers take the most."""
    by_workload = grouped(members, lambda record: record.workload)
    return max(by_workload.values(), key=lambda same: max(sum((record.ledger or {}).values()) for record in same))


def bars(members: Sequence[Record]) -> dict[str, Bar]:
    """By format, of records of one model and workload: the latest ledger of each, and what follows from it for others.

    A repacked record holds the format that it was repacked to.
    """
    held = {record.format.rpartition(">")[2]: record for record in sorted(members, key=lambda r: ">" not in r.format)}
    count = ternary_weights(members)
    found = {format: Bar(_parts(record, format, count), True) for format, record in held.items()}
    source = next((format for format in BITS if format in held), None)
    if count and source:
        rest = found[source].parts
        for format in BITS:
            found.setdefault(format, Bar({**rest, TERNARY: count * BITS[format] / 8}, False))
    return {format: found[format] for format in [*BITS, *found] if format in found}


def ternary_weights(members: Sequence[Record]) -> float | None:
    """How many of the weights are ternary: as a record says, else from the difference between the ledgers of both
    formats, which are 0.375 bits a weight apart.
    """
    told = [record.shape["ternary_weights"] for record in members if record.shape]
    if told:
        return told[0]
    held = {record.format: (record.ledger or {}).get("weight", 0) for record in members}
    if "tq1_0" in held and "tq2_0" in held:
        return (held["tq2_0"] - held["tq1_0"]) * 8 / (BITS["tq2_0"] - BITS["tq1_0"])
    return None


def _parts(record: Record, format: str, count: float | None) -> dict[str, float]:
    ledger = dict(record.ledger or {})
    weight, state, scratch = (float(ledger.pop(role, 0)) for role in ("weight", "state", "scratch"))
    ternary = count * BITS[format] / 8 if count and format in BITS else None
    split = {WEIGHTS: weight} if ternary is None else {TERNARY: ternary, OTHER: weight - ternary}
    rest = float(sum(ledger.values()))
    return {**split, STATE[bool(record.training)]: state, "activations": scratch, "rest": rest}


def _draw(axes: Axes, bars: Mapping[str, Bar]) -> None:
    most_mib = max(sum(bar.parts.values()) for bar in bars.values()) / 2**20
    for row, bar in enumerate(bars.values()):
        left = 0.0
        for part, colour in PARTS.items():
            mib = bar.parts.get(part, 0.0) / 2**20
            dress: dict[str, Any] = {} if bar.measured else {"hatch": HATCH, "alpha": 0.7}
            axes.barh(row, mib, left=left, color=colour, height=0.7, linewidth=0.0, label=f"_{part}", **dress)
            left += mib
        sign = "" if bar.measured else "~"
        axes.text(left + 0.012 * most_mib, row, f"{sign}{style.number(left)}", va="center", fontsize=style.SMALL)
    style.scale(axes, "x", [1.08 * most_mib])
    axes.set_yticks(range(len(bars)), [style.title(format) for format in bars])
    axes.set_ylim(len(bars) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
