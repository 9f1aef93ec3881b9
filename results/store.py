"""Store: a results folder, one ``records.jsonl`` that only ever grows.

A record is on disk (fsync) before `append` returns. A run that is killed leaves at most one torn last line, which
readers skip and the next writer cuts off; a full disk leaves nothing of the record that did not fit. One writer at a
time.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from .record import Record, RecordError

FILE_NAME = "records.jsonl"
LOCK_OFFSET = 1 << 40  # Windows locks byte ranges: one far beyond any content keeps readers free


def read(folder: Path) -> list[Record]:
    """Every whole record of ``folder``, oldest first; RecordError names the line that cannot be read."""
    path = folder / FILE_NAME
    if not path.is_file():
        raise RecordError(f"{folder} holds no {FILE_NAME}; give the folder that `tritmark run --out` wrote")
    return list(_records(path))


def held(folder: Path) -> set[tuple[str, int]]:
    """(case key, session) of the records that ``folder`` already holds; empty where there is no such folder yet."""
    path = folder / FILE_NAME
    return {(record.case_key, record.session) for record in _records(path)} if path.is_file() else set()


def _records(path: Path) -> Iterator[Record]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RecordError(f"cannot read {path}: {error.strerror}") from error
    whole = content[: content.rfind(b"\n") + 1]  # what follows the last newline was torn by a kill
    for number, line in enumerate(whole.splitlines(), 1):
        try:
            yield Record.from_json(json.loads(line))
        except (ValueError, RecordError) as error:
            problem = error if isinstance(error, RecordError) else "not JSON; was the file edited by hand?"
            raise RecordError(f"{path}, line {number}: {problem}") from error


class Store:
    """The only writer of a results folder, as a context manager; RecordError where another run is writing there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file = -1

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
        content = path.read_bytes()
        os.ftruncate(self._file, content.rfind(b"\n") + 1)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._file)  # releases the lock

    def append(self, record: Record) -> None:
        """Write one line and wait until it is on disk; after RecordError the file is as it was before."""
        line = json.dumps(record.to_json(), separators=(",", ":"), allow_nan=False).encode() + b"\n"
        length = os.fstat(self._file).st_size
        try:
            written = 0
            while written < len(line):
                written += os.write(self._file, line[written:])
            os.fsync(self._file)
        except OSError as error:
            os.ftruncate(self._file, length)
            raise RecordError(
                f"cannot write to {self.folder / FILE_NAME}: {error.strerror}; "
                "free some space and run again with --resume"
            ) from error


def _lock(file: int) -> None:
    """Take the writer's lock or raise OSError; the system drops it when the process ends, however it ends."""
    if sys.platform == "win32":
        import msvcrt

        os.lseek(file, LOCK_OFFSET, os.SEEK_SET)
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
