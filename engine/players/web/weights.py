"""The weight files of a Plan as one file on this computer, made from the model while it is already being read.

An image is a Plan's weight files laid end to end. A thread makes it slot by slot in the Plan's order; whoever reads
waits only for the bytes asked for. A whole image keeps its name and serves later sessions; an unfinished one is
removed. Nothing here knows HTTP.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from ...errors import EngineError, PlayerError
from ...formats.model import Model
from ...models.source import Source
from ...plan import Plan, Slot

PIECE_BYTES = 16 << 20  # written at once, and then readable
STALE_S = 24 * 3600  # an unfinished image that nobody has written to for so long belongs to a process that was killed
NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NO_FALLOCATE = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)


class _StoppedError(Exception):
    """The image was closed while it was being made."""


@dataclass
class Window:
    """``size`` bytes at ``start`` of the image, of which the first ``written`` are there."""

    start: int
    size: int
    written: int = 0

    def holds(self, first: int, last: int) -> bool:
        """Whether bytes first..last of the image are there, as far as they lie in this window."""
        return (
            first >= self.start + self.size or last <= self.start or self.written >= min(last - self.start, self.size)
        )


class WeightImage:
    """The weights of ``plan``, made by ``source``, in a file in ``folder``.

    ``failure`` is the line that tells why it will never be whole.
    """

    def __init__(self, plan: Plan, source: Source, folder: Path) -> None:
        self.failure: str | None = None
        self.finished = False
        self._plan, self._source, self._folder = plan, source, folder
        self._starts: dict[str, int] = {}  # weight file -> its offset in the image
        self.bytes = 0
        for file, size in plan.files.items():
            self._starts[file] = self.bytes
            self.bytes += size
        parts = (part for slot in plan.slots for part in slot.ranges)
        self._windows = {part: Window(self._starts[part.file] + part.offset, part.bytes) for part in parts}
        self._path = folder / f"{_key(plan, source)}.weights"
        self._lock = threading.Lock()
        self._file: int | None
        self._part: Path | None = None
        self._stopped = threading.Event()
        self._maker = threading.Thread(target=self._make, daemon=True)
        self._open()

    def size(self, file: str) -> int | None:
        """Bytes of a weight file, None for one that the Plan does not list."""
        return self._plan.files.get(file)

    def ready(self, file: str, first: int, last: int) -> bool:
        """Whether bytes first..last (half open) of a weight file can be read; PlayerError where they never will be."""
        if self.failure is not None:
            raise PlayerError(self.failure)
        start, end = self._starts[file] + first, self._starts[file] + last
        return self.finished or all(window.holds(start, end) for window in self._windows.values())

    def read(self, file: str, offset: int, size: int) -> bytes:
        """Bytes that are ready."""
        with self._lock:
            if self._file is None:
                raise PlayerError("the weights were closed; another plan was loaded")
            return os.pread(self._file, size, self._starts[file] + offset)

    def stop(self) -> None:
        """Make no more, and leave nothing unfinished behind."""
        self._stopped.set()
        self._remove_part()

    def close(self) -> None:
        """Stop and let go of the file."""
        self.stop()
        if self._maker.ident is not None:
            self._maker.join()
        with self._lock:
            if self._file is not None:
                os.close(self._file)
                self._file = None

    def _open(self) -> None:
        """The finished image where there is one; otherwise room for it and the thread that makes it."""
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            self._file = os.open(self._path, os.O_RDONLY)
        except FileNotFoundError:
            self._create()
            self._maker.start()
            return
        os.utime(self._path)  # the image unused for longest is the first to go when space is short
        self.finished = True

    def _create(self) -> None:
        for part in self._folder.glob("*.part"):
            if part.stat().st_mtime < time.time() - STALE_S:
                part.unlink(missing_ok=True)
        self._file, part_name = tempfile.mkstemp(dir=self._folder, prefix=self._path.stem, suffix=".part")
        self._part = Path(part_name)
        try:
            self._reserve(self._file)
        except BaseException:
            self.close()
            raise

    def _reserve(self, file: int) -> None:
        """Have the disk set the image's bytes aside, older images making way for it."""
        older = sorted(self._folder.glob("*.weights"), key=lambda path: path.stat().st_mtime)
        while True:
            try:
                _allocate(file, self.bytes)
                return
            except OSError as error:
                if error.errno not in NO_SPACE:
                    raise
                if not older:
                    raise PlayerError(self._no_space()) from error
                older.pop(0).unlink(missing_ok=True)

    def _no_space(self) -> str:
        mib = -(-self.bytes >> 20)
        return f"no space left for the weights image ({mib:,} MiB) in {self._folder}; free some or set TMPDIR"

    def _make(self) -> None:
        """Whatever goes wrong here becomes ``failure``: readers wait for this thread."""
        try:
            for slot in self._plan.slots:
                self._fill(slot)
            assert self._part
            self._part.rename(self._path)
            self.finished = True
        except _StoppedError:
            self.failure = "the weights were closed before they were whole"
        except OSError as error:
            self.failure = self._no_space() if error.errno in NO_SPACE else f"cannot write the weights: {error}"
        except EngineError as error:
            self.failure = " ".join(str(error).split())
        except Exception as error:
            self.failure = f"cannot make the weights: {type(error).__name__} {error}"
        finally:
            self._remove_part()

    def _fill(self, slot: Slot) -> None:
        windows = [self._windows[part] for part in slot.ranges]
        if all(window.written == window.size for window in windows):
            return  # nothing to read, or another slot reads the same bytes
        whole, at = sum(window.size for window in windows), 0
        for part in self._source.parts(slot):
            if at + part.nbytes > whole:
                raise PlayerError(f"the model holds more than {whole:,} bytes for {slot.id}; the plan is another one's")
            self._write(windows, at, part.data)
            at += part.nbytes
        if at != whole:
            raise PlayerError(f"the model holds {at:,} bytes for {slot.id}, the plan expects {whole:,}")

    def _write(self, windows: list[Window], at: int, part: memoryview) -> None:
        """Write what lies at byte ``at`` of a slot to the windows, laid end to end, that hold the slot."""
        begin = 0
        for window in windows:
            end = begin + window.size
            for first in range(max(at, begin), min(at + len(part), end), PIECE_BYTES):
                last = min(first + PIECE_BYTES, at + len(part), end)
                self._write_piece(window.start + first - begin, part[first - at : last - at])
                window.written = last - begin
            begin = end

    def _write_piece(self, offset: int, piece: memoryview) -> None:
        while piece:
            if self._stopped.is_set():
                raise _StoppedError
            assert self._file is not None  # close() joins this thread first
            count = os.pwrite(self._file, piece, offset)
            piece, offset = piece[count:], offset + count

    def _remove_part(self) -> None:
        if self._part:
            self._part.unlink(missing_ok=True)


def _allocate(file: int, size: int) -> None:
    """Set ``size`` bytes aside; where the system cannot, only make the file that long."""
    try:
        if size and hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file, 0, size)
            return
    except OSError as error:
        if error.errno not in NO_FALLOCATE:
            raise
    os.ftruncate(file, size)


def _key(plan: Plan, source: Source) -> str:
    """Names the content: which model, held how, which files beside it, and where the Plan puts each slot."""
    places = [(s.id, r.file, r.offset, r.bytes) for s in plan.slots for r in s.ranges]
    files = {prefix: _identity(file) for prefix, file in source.files.items()}
    content = [_identity(source.model), source.resident, files, list(plan.files.items()), places]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:40]


def _identity(model: Model) -> list[str | int]:
    """A file is known by its place, size and time, because hashing gigabytes would take longer than loading them."""
    if model.path is None:
        return [model.sha256]
    status = model.path.stat()
    return [str(model.path.resolve()), status.st_size, status.st_mtime_ns]
