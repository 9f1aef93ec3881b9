"""Claim: what this process holds of a phone: the right to use it, and the journal of what it changes there.

Two runs at once on one phone would measure each other. The right is a lock on a file, which the system takes back when
a process ends in whatever way; it is kept for the life of the process, so that no run slips in between two cases.
"""

from __future__ import annotations

import atexit
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..base import DeviceError
from .adb import Adb
from .journal import Journal

_held: dict[Path, Claim] = {}


@dataclass(frozen=True)
class Claim:
    """A phone that is ours."""

    journal: Journal
    lock: Any  # held for as long as this object lives


def claim(adb: Adb) -> Claim:
    """Take a phone for this process, or return what it has taken; what an earlier run left there is undone first."""
    path = _journal_path(adb.serial)
    if path not in _held:
        lock = _lock(path.with_suffix(".lock"))
        if lock is None:
            raise DeviceError(f"another run is using the phone {adb.serial}: wait for its end, or choose another phone")
        _held[path] = Claim(Journal(adb, path), lock)
        atexit.register(_last_try, adb.serial, _held[path].journal)
    _held[path].journal.recover()
    return _held[path]


def recover(adb: Adb) -> None:
    """Undo what an earlier run left on a phone that nobody uses now. DeviceError where that cannot be done."""
    path = _journal_path(adb.serial)
    if path in _held:
        _held[path].journal.recover()
    elif path.exists():
        lock = _lock(path.with_suffix(".lock"))
        if lock is not None:
            try:
                Journal(adb, path).recover()
            finally:
                lock.release()


def _last_try(serial: str, journal: Journal) -> None:
    """When the process ends: undo what is left, or say where it stands."""
    try:
        journal.recover()
    except DeviceError:
        told = (
            f"tritmark: the phone {serial} is not as it was: plug it in and type `tritmark devices`, which restores it"
        )
        print(told, file=sys.stderr)


def state_folder() -> Path:
    """Where journals and locks lie, in the person's own folders."""
    import platformdirs

    return platformdirs.user_state_path("tritmark") / "phones"


def _journal_path(serial: str) -> Path:
    return state_folder() / (re.sub(r"[^\w.-]", "_", serial) + ".json")


def _lock(path: Path) -> Any | None:
    """A lock that is ours now, or None where another process has it."""
    try:
        import filelock
    except ImportError as error:
        raise DeviceError("Android phones need pip install 'tritmark[android]'") from error
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(path)
        lock.acquire(timeout=0)
    except filelock.Timeout:
        return None
    except OSError as error:
        raise DeviceError(f"cannot lock {path}, without which a phone is not touched: {error}") from error
    return lock
