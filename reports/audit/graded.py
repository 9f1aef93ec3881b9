"""Published figures as records, graded by the audit: they stand beside measurements and never pass for them.

A record of kind "published" has the figure as it was printed and no samples. ``workload`` is its metric, ``device`` the
device and its processor, ``id`` and ``case_key`` follow from the figure's place, so that reading a table twice gives
the same records.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tritmark.results.record import GRADES, SCHEMA, Record, case_key

from .audit import audit
from .cells import Cell, read_cells

WORST = GRADES[::-1]  # of two grades the one that comes first here holds
STATED = re.compile(r"\(([A-Z][a-z]{2}) (\d{4})\)")  # when a source appeared, as its name says: "(Jan 2026)"
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def published_records(path: Path) -> list[Record]:
    """A record of every figure of a CSV file. RecordError for what is no such file."""
    cells = read_cells(path)
    grades: dict[int, tuple[str, list[str]]] = {}
    for found in audit(cells):
        for cell in found.cells:
            grade, reasons = grades.get(cell.line, ("published", []))
            worse = min(grade, found.grade, key=WORST.index)
            grades[cell.line] = worse, [*reasons, f"{found.rule}: {found.arithmetic}"]
    return [_record(cell, *grades.get(cell.line, ("published", []))) for cell in cells]


def _record(cell: Cell, grade: str, reasons: Sequence[str]) -> Record:
    named = ("source", "table", "metric", "unit", "processor", "line", "note")
    figure: dict[str, Any] = {name: getattr(cell, name) for name in named}
    figure["value"] = cell.figure
    there = cell.figure is not None
    device = " ".join(part for part in (cell.device, cell.processor) if part) or "unnamed"
    place: dict[str, Any] = {"model": cell.model, "format": cell.format.lower(), "workload": cell.metric}
    place["device"] = device
    key = case_key({**place, **figure})
    return Record(
        schema=SCHEMA, id=case_key({"published": key}) * 2, kind="published", status="ok" if there else "failed",
        reason=None if there else _reason(cell), started_at=_appeared(cell.source), case=place, case_key=key,
        grade=grade, grade_reasons=tuple(dict.fromkeys(reasons)), figure=figure, **place,
    )  # fmt: skip


def _reason(cell: Cell) -> str:
    said = {"oom": "out of memory", "limit": "beyond a limit of the device"}.get(cell.status, f"{cell.value} printed")
    return f"{said}, as published" + (f": {cell.note}" if cell.note else "")


def _appeared(source: str) -> str:
    """The first of the month that the source's name tells; the epoch where it tells none."""
    found = STATED.search(source)
    year, month = (int(found[2]), 1 + MONTHS.index(found[1])) if found and found[1] in MONTHS else (1970, 1)
    return f"{year}-{month:02}-01T00:00:00+00:00"
