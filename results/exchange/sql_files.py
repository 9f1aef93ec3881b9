"""Frames as the table ``records`` of SQLite and DuckDB, and as Parquet, which DuckDB writes and reads as well."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from ..frame import from_rows, plain
from ..record import RecordError

SQL_TYPES = {str: "TEXT", int: "INTEGER", bool: "BOOLEAN"}


def write_sqlite(table: pd.DataFrame, path: Path) -> None:
    columns = ", ".join(f'"{name}" {SQL_TYPES[plain().get(name, str)]}' for name in table.columns)
    marks = ", ".join("?" for _ in table.columns)
    rows = table.astype(object).where(table.notna(), None).itertuples(index=False, name=None)
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(f"CREATE TABLE records ({columns})")
        database.executemany(f"INSERT INTO records VALUES ({marks})", rows)


def read_sqlite(path: Path) -> pd.DataFrame:
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
            found = database.execute("SELECT * FROM records ORDER BY rowid")
            names = [column[0] for column in found.description]
            booleans = {at for at, name in enumerate(names) if plain().get(name) is bool}
            rows = [[_truth(cell) if at in booleans else cell for at, cell in enumerate(row)] for row in found]
    except sqlite3.Error as error:
        raise RecordError(f"not SQLite with a table `records` ({error}); export it again") from error
    return from_rows(names, rows)


def write_duckdb(table: pd.DataFrame, path: Path) -> None:
    with _duckdb(path) as database:
        database.register("given", table)
        database.execute("CREATE TABLE records AS SELECT * FROM given")


def read_duckdb(path: Path) -> pd.DataFrame:
    with _duckdb(path, read_only=True) as database:
        return _fetched(database.execute("SELECT * FROM records"))


def write_parquet(table: pd.DataFrame, path: Path) -> None:
    with _duckdb() as database:
        database.register("given", table)
        database.execute(f"COPY (SELECT * FROM given) TO {_quoted(path)} (FORMAT parquet)")


def read_parquet(path: Path) -> pd.DataFrame:
    with _duckdb() as database:
        return _fetched(database.execute(f"SELECT * FROM read_parquet({_quoted(path)})"))


@contextmanager
def _duckdb(path: Path | str = ":memory:", *, read_only: bool = False) -> Iterator[Any]:
    """A connection; what DuckDB says of a file it cannot use becomes a RecordError of one line."""
    try:
        import duckdb
    except ImportError as error:
        raise RecordError("DuckDB and Parquet files need DuckDB; pip install 'tritmark[store]'") from error
    try:
        with closing(duckdb.connect(str(path), read_only=read_only)) as database:
            database.execute("SET enable_progress_bar = false")  # it goes to standard output
            yield database
    except duckdb.Error as error:
        raise RecordError(f"DuckDB cannot use it: {str(error).splitlines()[0]}") from error


def _fetched(found: Any) -> pd.DataFrame:
    return from_rows([column[0] for column in found.description], found.fetchall())


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"


def _truth(cell: Any) -> Any:
    return bool(cell) if cell in (0, 1) else cell
