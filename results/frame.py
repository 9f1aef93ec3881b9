"""Records as pandas frames and back, without loss.

`frame` has a row a record and a column a field of `Record`. Texts, integers and booleans are themselves; every other
value is its JSON text. Nothing observed is missing (NA), which is neither "" nor "null". The types of the columns come
from the class, so that they are the same for one record, a million and none.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import cache
from itertools import zip_longest
from typing import Any, get_type_hints

import numpy as np
import pandas as pd

from .json_text import parsed, written
from .record import SCHEMA, Record, RecordError

TEXT = pd.StringDtype("python")  # not pandas' default, which depends on what else is installed
DTYPES = {str: TEXT, int: "Int64", bool: "boolean"}
INT64 = range(-(2**63), 2**63)


@cache
def plain() -> Mapping[str, type]:
    """Fields that are a text, an integer or a boolean, with that type; the others are JSON text in a frame."""
    accepted = {hint: kind for kind in DTYPES for hint in (kind, kind | None)}
    return {name: accepted[hint] for name, hint in get_type_hints(Record).items() if hint in accepted}


def frame(records: Sequence[Record]) -> pd.DataFrame:
    """A row a record, a column a field. RecordError for an integer beyond 64 bits."""
    names = [field.name for field in fields(Record)]
    return from_columns({name: [_cell(name, getattr(record, name)) for record in records] for name in names})


def records_of(table: pd.DataFrame) -> list[Record]:
    """The records of a frame, upgraded to this schema; RecordError names the column or the row that is wrong."""
    names = list(table.columns)
    check_columns(names, _values(table["schema"]) if "schema" in names else ())
    columns = {name: _values(table[name]) for name in names}
    records = []
    for number, row in enumerate(zip(*columns.values(), strict=True), 1):
        try:
            cells = zip(columns, row, strict=True)
            records.append(Record.from_json({name: _value(name, cell) for name, cell in cells}))
        except RecordError as error:
            raise RecordError(f"row {number}: {error}") from error
    return records


def samples(records: Sequence[Record]) -> pd.DataFrame:
    """A row a repetition: ``id`` of its record, ``repetition`` from 1, and its times, NA where none was taken."""
    rows: list[tuple[Any, ...]] = []
    for record in records:
        times = zip_longest(record.samples_ns, record.ttft_ns, record.encode_ns)
        rows += [(record.id, number, *row) for number, row in enumerate(times, 1)]
    names = ("id", "repetition", "sample_ns", "ttft_ns", "encode_ns")
    table = pd.DataFrame(rows, columns=names, dtype=object)
    return table.astype({name: TEXT if name == "id" else "Int64" for name in names})


def tokens(records: Sequence[Record]) -> pd.DataFrame:
    """A row a decoded token: ``id`` of its record, ``repetition`` and ``token`` from 1, ``token_ns`` when it was
    complete, since submission.
    """
    series = [(record.id, number, times) for record in records for number, times in enumerate(record.token_ns, 1)]
    lengths = [len(times) for _, _, times in series]
    return pd.DataFrame(
        {
            "id": pd.array(np.repeat(np.array([name for name, _, _ in series], dtype=object), lengths), dtype=TEXT),
            "repetition": np.repeat(np.array([number for _, number, _ in series], dtype=np.int64), lengths),
            "token": np.array([at for length in lengths for at in range(1, length + 1)], dtype=np.int64),
            "token_ns": np.array([time for _, _, times in series for time in times], dtype=np.int64),
        }
    )


def from_rows(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> pd.DataFrame:
    """A frame of rows as another program kept them; RecordError names the column or the cell that is wrong."""
    check_columns(names, [row[names.index("schema")] for row in rows] if "schema" in names else ())
    for number, row in enumerate(rows, 1):
        for name, cell in zip(names, row, strict=True):
            kind = plain().get(name, str)
            if cell is not None and type(cell) is not kind:
                raise RecordError(f"row {number}: {name} should be {kind.__name__}, not {str(cell)[:40]!r}")
    return from_columns({name: [row[at] for row in rows] for at, name in enumerate(names)})


def from_columns(columns: Mapping[str, Sequence[Any]]) -> pd.DataFrame:
    """A frame of columns that hold None, texts, integers and booleans, each with the type of its field."""
    for name, cells in columns.items():
        if plain().get(name) is int and any(cell is not None and cell not in INT64 for cell in cells):
            raise RecordError(f"column {name} holds an integer beyond 64 bits")
    dtypes = {name: DTYPES[plain().get(name, str)] for name in columns}
    return pd.DataFrame({name: pd.array(list(cells), dtype=dtypes[name]) for name, cells in columns.items()})


def check_columns(names: Sequence[str], schemas: Sequence[Any]) -> None:
    """RecordError where these are not the columns of records, or one of their schemas is newer than this program's."""
    known = [field.name for field in fields(Record)]
    newest = max((schema for schema in schemas if type(schema) is int), default=SCHEMA)
    if newest > SCHEMA:
        raise RecordError(f"holds records of schema {newest}, this tritmark reads up to {SCHEMA}; upgrade tritmark")
    if {"source", "table", "value", "unit"} <= set(names):
        raise RecordError("this is a table of published figures; `tritmark audit` reads it")
    if {"n_prompt", "n_gen"} <= set(names):
        raise RecordError("this is llama-bench's CSV, which lacks its samples; write -o jsonl instead")
    if doubled := [name for name in names if list(names).count(name) > 1]:
        raise RecordError(f"the column {doubled[0]!r} is there twice")
    if "schema" not in names:
        raise RecordError("the column 'schema' is missing; this is no file of `tritmark export`")
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]!r}? Times are nanoseconds, sizes bytes" if near else "remove it"
            raise RecordError(f"the column {name!r} is unknown; {hint}")


def _cell(name: str, value: Any) -> Any:
    return value if value is None or name in plain() else written(value)


def _values(column: pd.Series[Any]) -> list[Any]:
    """The cells of a column, None for what is missing."""
    return [None if value is pd.NA else value for value in column.astype(object)]


def _value(name: str, cell: Any) -> Any:
    if cell is None or name in plain():
        return cell
    try:
        return parsed(cell)
    except RecordError as error:
        raise RecordError(f"{name}: {error}") from error
