"""Beside: published figures and ours of the same metric and size of model, as rows of text with the grade of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tritmark.results.record import Record

from .. import tables
from ..choice.hardware import column_of
from ..choice.pairs import size_name
from ..pictures.selection import parameters
from .report import METRICS, Report, metrics_of

STRUCK = ("suspect", "impossible")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A figure: its text without the grade, the grade, and the reason that the audit gave first."""

    text: str
    grade: str
    why: str | None = None

    @property
    def struck(self) -> bool:
        return self.grade in STRUCK


@dataclass(frozen=True, kw_only=True)
class Row:
    """One device and one size of model; ``entries`` by format."""

    size: str
    device: str
    ours: bool
    entries: Mapping[str, Entry]


@dataclass(frozen=True, kw_only=True)
class Beside:
    """Everything that was published of a metric, ours of each size first."""

    title: str
    formats: Sequence[str]
    rows: Sequence[Row]


def beside(report: Report) -> list[Beside]:
    """One for each published metric and unit."""
    groups: dict[tuple[str, str], list[Record]] = {}
    for record in report.published:
        groups.setdefault((record.workload, str((record.figure or {}).get("unit", ""))), []).append(record)
    return [_beside(metric, unit, members, report.records) for (metric, unit), members in groups.items()]


def _beside(metric: str, unit: str, published: Sequence[Record], records: Sequence[Record]) -> Beside:
    sizes = {size_name(record.model) for record in published}
    rows = [*_ours(metric, sizes, records), *_printed(published)]
    ordered = sorted(rows, key=lambda row: (parameters(row.size), row.size, not row.ours))
    formats = sorted({format for row in rows for format in row.entries})
    return Beside(title=f"{metric.replace('_', ' ')}, {unit}".rstrip(", "), formats=formats, rows=ordered)


def _ours(metric: str, sizes: set[str], records: Sequence[Record]) -> Iterator[Row]:
    """The latest record of each case."""
    found: dict[tuple[str, str, str, str], dict[str, Record]] = {}
    for record in sorted(records, key=lambda record: record.started_at):
        size = size_name(record.model)
        if record.status == "ok" and metric in metrics_of(record) and size in sizes:
            place = (size, column_of(record), record.workload, record.grade)
            found.setdefault(place, {})[record.format] = record
    for (size, device, workload, grade), formats in found.items():
        entries = {name: Entry(text=tables.row(each)[METRICS[metric]], grade=grade) for name, each in formats.items()}
        yield Row(size=size, device=f"{device}, {workload}", ours=True, entries=entries)


def _printed(published: Sequence[Record]) -> Iterator[Row]:
    """A table may print one device twice: the second time is a row of its own."""
    rows: dict[tuple[str, ...], dict[str, Entry]] = {}
    for record in published:
        figure = record.figure or {}
        place: tuple[str, ...] = (size_name(record.model), record.device)
        place += (str(figure.get("source")), str(figure.get("table")))
        while record.format in rows.setdefault(place, {}):
            place = (*place, "again")
        value = figure.get("value")
        text = record.reason or record.status if value is None else tables.number(float(value))
        why = record.grade_reasons[0] if record.grade_reasons else None
        rows[place][record.format] = Entry(text=text, grade=record.grade, why=why)
    for (size, device, *_), entries in rows.items():
        yield Row(size=size, device=device, ours=False, entries=entries)
