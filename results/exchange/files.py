"""Files of records by their ending: written whole or not at all, read with one line for whatever is wrong."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ..frame import frame
from ..record import Record, RecordError
from ..store import line_of
from . import csv_file, sql_files


@dataclass(frozen=True, kw_only=True)
class Kind:
    """How frames are kept in files of one ending."""

    write: Callable[[pd.DataFrame, Path], None]
    read: Callable[[Path], pd.DataFrame]


KINDS: Mapping[str, Kind] = {
    ".csv": Kind(write=csv_file.write, read=csv_file.read),
    ".parquet": Kind(write=sql_files.write_parquet, read=sql_files.read_parquet),
    ".duckdb": Kind(write=sql_files.write_duckdb, read=sql_files.read_duckdb),
    ".sqlite": Kind(write=sql_files.write_sqlite, read=sql_files.read_sqlite),
}
LINES = ".jsonl"
ENDINGS = (*KINDS, LINES)


def write(records: Sequence[Record], path: Path) -> None:
    """Keep records in the file that the ending of ``path`` names. RecordError leaves what was there."""
    if path.suffix == LINES:
        written_whole(path, lambda partial: partial.write_bytes(b"".join(map(line_of, records))))
        return
    table = frame(records)
    written_whole(path, lambda partial: KINDS[path.suffix].write(table, partial))


def read(path: Path) -> pd.DataFrame:
    """The frame of a table file; RecordError names the file."""
    try:
        return KINDS[path.suffix].read(path)
    except RecordError as error:
        raise RecordError(f"{path}: {error}") from error
    except UnicodeDecodeError as error:
        raise RecordError(f"{path}: not UTF-8 text; save the file as UTF-8") from error
    except OSError as error:
        raise RecordError(f"cannot read {path}: {error.strerror}") from error


def written_whole(path: Path, write_partial: Callable[[Path], object]) -> None:
    """Have a file made beside ``path``, then move it there; nothing stays behind where that fails."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        write_partial(partial)
        os.replace(partial, path)
    except OSError as error:
        raise RecordError(f"cannot write {path}: {error.strerror}; check the folder and its free space") from error
    except UnicodeEncodeError as error:
        raise RecordError(f"cannot write {path}: half a character in a text ({error.object[:40]!r})") from error
    except RecordError as error:
        raise RecordError(f"cannot write {path}: {error}") from error
    finally:
        for leftover in path.parent.glob(
            f"{glob.escape(partial.name)}*"
        ):  # DuckDB and SQLite keep journals beside their file
            leftover.unlink()
