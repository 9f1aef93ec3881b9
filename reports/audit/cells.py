"""Figures of published tables, as their CSV holds them, a row a figure: ``source, table, model, format, device,
processor, metric, value, unit, status, note``.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tritmark.results.record import RecordError

FIELDS = ("source", "table", "model", "format", "device", "processor", "metric", "value", "unit", "status", "note")
STATUSES = ("ok", "oom", "limit")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)([MB])")


@dataclass(frozen=True)
class Cell:
    """One figure. ``line`` is its line in the file; ``value`` is NaN where the status is not "ok"."""

    line: int
    source: str
    table: str
    model: str
    format: str
    device: str
    processor: str
    metric: str
    value: float
    unit: str
    status: str
    note: str = ""
    rounding: float = 0.0  # half a unit of the last digit that was printed

    @property
    def ok(self) -> bool:
        return self.status == "ok"

    @property
    def figure(self) -> float | None:
        """The value, None where there is no finite one."""
        return self.value if self.ok and math.isfinite(self.value) else None

    @property
    def column(self) -> tuple[str, ...]:
        """What stays the same down a column of models."""
        return self.source, self.table, self.metric, self.format, self.device, self.processor

    @property
    def case(self) -> tuple[str, ...]:
        """What was run: its figures, in whatever table, are of one thing."""
        return self.model, self.format, self.device, self.processor

    @property
    def parameters(self) -> float:
        """Of the model, from its name ("1.5B", "bitnet-2B"); NaN where that says nothing."""
        match = _SIZE.search(self.model)
        return float(match[1]) * {"M": 1e6, "B": 1e9}[match[2]] if match else math.nan

    @property
    def place(self) -> str:
        return " ".join(part for part in (self.format, self.device, self.processor) if part)


def read_cells(path: Path) -> list[Cell]:
    """The cells of a CSV file. RecordError for what is no such file."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = csv.DictReader(file)
            missing = [name for name in FIELDS if name not in (rows.fieldnames or ())]
            if missing:
                raise RecordError(f"{path} has no column {missing[0]}; a table needs {', '.join(FIELDS)}")
            cells = [_cell(path, rows.line_num, row) for row in rows]
    except OSError as error:
        raise RecordError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise RecordError(f"{path} is not UTF-8 text") from None
    if not cells:
        raise RecordError(f"{path} holds no figures")
    return cells


def _cell(path: Path, line: int, row: dict[str, str | None]) -> Cell:
    texts = {name: (row[name] or "").strip() for name in FIELDS}
    written, status = texts.pop("value"), texts.pop("status")
    if status not in STATUSES:
        raise RecordError(f"{path} line {line}: status {status!r} is unknown; use {', '.join(STATUSES)}")
    try:
        value = float(written) if status == "ok" else math.nan
    except ValueError:
        raise RecordError(f"{path} line {line}: {written!r} is no number") from None
    decimals = len(written.partition(".")[2])
    return Cell(line=line, value=value, status=status, rounding=0.5 * 10.0**-decimals, **texts)


def columns(cells: Iterable[Cell]) -> dict[tuple[str, ...], list[Cell]]:
    """The figures of each column that are there, smallest model first; models whose names have no size are left out."""
    found: dict[tuple[str, ...], list[Cell]] = {}
    for cell in cells:
        if cell.ok and cell.value > 0 and not math.isnan(cell.parameters):
            found.setdefault(cell.column, []).append(cell)
    return {key: sorted(column, key=lambda cell: cell.parameters) for key, column in found.items()}


def by_model(column: Sequence[Cell]) -> dict[str, Cell]:
    return {cell.model: cell for cell in column}
