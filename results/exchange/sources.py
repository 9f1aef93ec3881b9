"""Where records are read from: results folders, our table files, and files of llama-bench and pytest-benchmark."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..json_text import parsed
from ..record import Record, RecordError
from ..store import Contents, contents, each_once, read_lines
from . import llama_bench, pytest_benchmark


def read(source: Path) -> Contents:
    """The records of a folder or file and the notes on it. RecordError says which line, row or field is wrong."""
    if source.is_dir():
        found = contents(source)
    elif not source.is_file():
        raise RecordError(f"there is no {source}; give results folders or files of records")
    elif source.suffix == ".jsonl":
        found = _lines(source)
    elif source.suffix == ".json":
        found = _json(source)
    else:
        found = _table(source)
    empty = () if found.records else (f"{source} holds no record",)
    return Contents(records=found.records, notes=(*found.notes, *empty))


def _table(source: Path) -> Contents:
    from ..frame import records_of  # pandas takes half a second to import
    from . import files

    if source.suffix not in files.KINDS:
        raise RecordError(f"{source}: cannot tell what it holds; known are {', '.join((*files.ENDINGS, '.json'))}")
    table = files.read(source)
    try:
        records = records_of(table)
    except RecordError as error:
        raise RecordError(f"{source}, {error}") from error
    return each_once(source, records, "row")


def _lines(source: Path) -> Contents:
    """JSON lines: records of ours or tests of llama-bench, as the first line has it."""
    lines = _bytes(source).splitlines(keepends=True)
    try:
        first = parsed(lines[0]) if lines else None
    except RecordError:  # which `read_lines` says with its place
        first = None
    if not llama_bench.is_test(first):
        return read_lines(source)
    tests, notes = [], []
    for number, line in enumerate(lines, 1):
        try:
            tests.append(parsed(line))
        except RecordError as error:
            if line.endswith(b"\n"):
                raise RecordError(f"{source}, line {number}: {error}") from error
            notes.append(f"{source}: the last line is half-written and left out, {len(line)} bytes")
    found = _tests(source, tests, "line")
    return Contents(records=found.records, notes=(*notes, *found.notes))


def _json(source: Path) -> Contents:
    """A whole file of pytest-benchmark or of llama-bench."""
    try:
        value = parsed(_bytes(source))
        records = pytest_benchmark.records_of(value) if pytest_benchmark.is_report(value) else None
    except RecordError as error:
        raise RecordError(f"{source}: {error}") from error
    if records is not None:
        return each_once(source, records, "benchmark")
    if isinstance(value, list) and value and all(map(llama_bench.is_test, value)):
        return _tests(source, value, "test")
    raise RecordError(f"{source}: neither pytest-benchmark's JSON nor llama-bench's; give one of those or a .jsonl")


def _tests(source: Path, tests: Iterable[Any], unit: str) -> Contents:
    records: list[Record] = []
    left_out = 0
    for number, test in enumerate(tests, 1):
        try:
            if not llama_bench.is_test(test):
                raise RecordError("no test of llama-bench, as the first is")
            if llama_bench.combined(test):
                left_out += 1
            else:
                records.append(llama_bench.record_of(test))
        except RecordError as error:
            raise RecordError(f"{source}, {unit} {number}: {error}") from error
    found = each_once(source, records, unit)
    if not left_out:
        return found
    note = f"{source}: {left_out} tests of -pg left out; their time cannot be parted into prompt and generation"
    return Contents(records=found.records, notes=(note, *found.notes))


def _bytes(source: Path) -> bytes:
    try:
        return source.read_bytes()
    except OSError as error:
        raise RecordError(f"cannot read {source}: {error.strerror}") from error
