r"""Frames as CSV (RFC 4180, UTF-8) that says what is missing: an empty cell is nothing, ``\`` the empty text.

A text that begins with a backslash has one more in front of it. CSV alone cannot tell None from "", and a word for None
would be some text's value.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from ..frame import from_rows, plain
from ..record import RecordError

ESCAPE = "\\"
BOOLEANS = {True: "true", False: "false"}


def write(table: pd.DataFrame, path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(table.columns)
        writer.writerows(map(_written, row) for row in table.astype(object).itertuples(index=False, name=None))


def read(path: Path) -> pd.DataFrame:
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # telemetry passes the 128 KiB that the module allows
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = csv.reader(file, strict=True)
        try:
            names = next(lines, [])
            return from_rows(names, list(_rows(names, lines)))
        except csv.Error as error:
            raise RecordError(f"line {lines.line_num}: not CSV ({error}); export it again") from error


def _rows(names: list[str], lines: Iterator[list[str]]) -> Iterator[list[Any]]:
    for number, cells in enumerate(lines, 1):
        if len(cells) != len(names):
            raise RecordError(f"row {number} has {len(cells)} cells for {len(names)} columns; was it cut off?")
        yield [_read(name, cell) for name, cell in zip(names, cells, strict=True)]


def _written(value: Any) -> Any:
    if value is pd.NA:
        return ""
    if isinstance(value, str):
        return ESCAPE + value if value == "" or value.startswith(ESCAPE) else value
    return BOOLEANS[value] if isinstance(value, bool) else value


def _read(name: str, cell: str) -> Any:
    """The value of a cell; a number or boolean that is none stays a text, which `from_rows` refuses."""
    kind = plain().get(name, str)
    if cell == "":
        return None
    if kind is bool:
        return {text: value for value, text in BOOLEANS.items()}.get(cell, cell)
    if kind is int:
        return int(cell) if cell.removeprefix("-").isdecimal() else cell
    return cell.removeprefix(ESCAPE)
