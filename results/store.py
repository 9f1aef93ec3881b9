"""Store: a results folder, one ``records.jsonl`` that only ever grows.

A record is on disk (fsync) before `append` returns. A run that is killed leaves at most one torn last line, which
readers skip and say, and which the next writer moves to ``records.torn``; a full disk leaves nothing of the record that
did not fit. One writer at a time.
"""

from __future__ import annotations

import os
import sys
from codecs import BOM_UTF8
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

from .json_text import parsed, written
from .record import Record, RecordError

FILE_NAME = "records.jsonl"
TORN_NAME = "records.torn"
LOCK_OFFSET = 1 << 40  # Windows locks byte ranges: one far beyond any content keeps readers free


@dataclass(frozen=True, kw_only=True)
class Contents:
    """The records of a folder or file, oldest first and each once, and what a person should know about the rest."""

    records: list[Record]
    notes: tuple[str, ...] = ()  # each one line


def read(folder: Path) -> list[Record]:
    """Every whole record of ``folder``, oldest first; RecordError names the line that cannot be read."""
    return contents(folder).records


def contents(folder: Path) -> Contents:
    """`read` with its notes: a torn last line, lines that stand twice, records from the future."""
    path = folder / FILE_NAME
    if not path.is_file():
        raise RecordError(f"{folder} holds no {FILE_NAME}; give the folder that `tritmark run --out` wrote")
    return read_lines(path)


def held(folder: Path) -> set[tuple[str, int]]:
    """(case key, session) of the records that ``folder`` already holds; empty where there is no such folder yet."""
    path = folder / FILE_NAME
    return {(record.case_key, record.session) for record in read_lines(path).records} if path.is_file() else set()


def read_lines(path: Path) -> Contents:
    """The contents of a file of one JSON object a line."""
    try:
        whole, torn = _split(path.read_bytes().removeprefix(BOM_UTF8))
    except OSError as error:
        raise RecordError(f"cannot read {path}: {error.strerror}") from error
    records = []
    for number, line in enumerate(whole.splitlines(), 1):
        try:
            records.append(Record.from_json(parsed(line)))
        except RecordError as error:
            raise RecordError(f"{path}, line {number}: {error}") from error
    found = each_once(path, records, "line")
    if not torn:
        return found
    note = f"{path}: the last line is half-written and left out, {len(torn)} bytes; its case has to run again"
    return Contents(records=found.records, notes=(note, *found.notes))


def each_once(path: Path, records: Sequence[Record], unit: str) -> Contents:
    """The records of ``path``, one in each ``unit``; RecordError where two different ones have one id."""
    first: dict[str, int] = {}
    for number, record in enumerate(records, 1):
        before = first.setdefault(record.id, number)
        if before != number and records[before - 1] != record:
            raise RecordError(
                f"{path}, {unit}s {before} and {number}: two different records have the id {record.id}; remove one"
            )
    kept = [records[number - 1] for number in first.values()]
    notes = []
    if twice := len(records) - len(kept):
        notes.append(f"{path}: {twice} of {len(records)} records stand there more than once; each counts once")
    if future := [record for record in kept if _in_future(record)]:
        start = max(record.started_at for record in future)
        notes.append(f"{path}: {len(future)} records are from the future, up to {start}; was the clock right?")
    return Contents(records=kept, notes=tuple(notes))


def line_of(record: Record) -> bytes:
    """A record as its line of a file."""
    return written({field.name: getattr(record, field.name) for field in fields(Record)}).encode() + b"\n"


def _in_future(record: Record) -> bool:
    try:
        start = datetime.fromisoformat(record.started_at)
    except ValueError:
        return False
    return (start if start.tzinfo else start.replace(tzinfo=UTC)) > datetime.now(UTC)


def _split(content: bytes) -> tuple[bytes, bytes]:
    """The whole lines, and the start of one that a kill tore. A last line that lacks nothing but its end of line is
    whole: no part of a JSON object is a JSON text itself.
    """
    end = content.rfind(b"\n") + 1
    try:
        parsed(content[end:])
    except RecordError:
        return content[:end], content[end:]
    return content, b""


class Store:
    """The only writer of a results folder, as a context manager; RecordError where another run is writing there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file = -1
        self._whole = False  # are all lines known to be

    def __enter__(self) -> Store:
        path = self.folder / FILE_NAME
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            raise RecordError(f"cannot write {path}: {error.strerror}; choose another --out") from error
        try:
            _lock(self._file)
        except OSError as error:
            os.close(self._file)
            raise RecordError(
                f"another run is writing to {self.folder}; wait for it or choose another --out"
            ) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._file)  # releases the lock

    def append(self, record: Record) -> None:
        """Write one line and wait until it is on disk; after RecordError the file is as it was before."""
        self.extend([record])

    def extend(self, records: Iterable[Record]) -> None:
        """`append` for several records: after RecordError the file holds none of them."""
        lines = b"".join(map(line_of, records))
        length = None
        try:
            self._keep_whole_lines()
            length = os.fstat(self._file).st_size
            _write(self._file, lines)
        except OSError as error:
            if length is not None:
                os.ftruncate(self._file, length)
            raise RecordError(
                f"cannot write to {self.folder / FILE_NAME}: {error.strerror}; "
                "free some space and run again with --resume"
            ) from error

    def _keep_whole_lines(self) -> None:
        """End the last line before the first new one; what a kill left of one moves to a file of its own."""
        if self._whole:
            return
        whole, torn = _split((self.folder / FILE_NAME).read_bytes())
        if torn:
            aside = os.open(self.folder / TORN_NAME, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            try:
                _write(aside, torn + b"\n")
            finally:
                os.close(aside)
            os.ftruncate(self._file, len(whole))
        if whole and not whole.endswith(b"\n"):
            _write(self._file, b"\n")
        self._whole = True


def _write(file: int, content: bytes) -> None:
    """All of ``content``, on disk."""
    written_bytes = 0
    while written_bytes < len(content):
        written_bytes += os.write(file, content[written_bytes:])
    os.fsync(file)


def _lock(file: int) -> None:
    """Take the writer's lock or raise OSError; the system drops it when the process ends, however it ends."""
    if sys.platform == "win32":
        import msvcrt

        os.lseek(file, LOCK_OFFSET, os.SEEK_SET)
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
