"""Claim: what this process holds of an iPhone: the right to use it, the process that speaks to it, and the inspector.

Two runs at once on one phone would measure each other. The right is a lock on a file, which the system takes back when
a process ends in whatever way; all three are kept for the life of the process, so that no run slips in between two
cases.
"""

from __future__ import annotations

import atexit
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..base import DeviceError
from .cable import Cable
from .inspector import Inspector
from .remedies import MISSING

_held: dict[str, Claim] = {}


class Claim:
    """A phone that is ours until `release`."""

    def __init__(self, udid: str, lock: Any) -> None:
        self.udid, self.cable = udid, Cable()
        self.lan_failure: str | None = None  # why the network was of no use; it is tried once a process
        self.profile_sent = False
        self._lock = lock
        self._inspector: Inspector | None = None

    def inspector(self) -> Inspector:
        """The bridge to Safari, started where it does not run."""
        if self._inspector is None or not self._inspector.alive():
            self._close_inspector()
            self._inspector = Inspector(self.udid, self.cable)
        return self._inspector

    def tabs(self) -> list[dict[str, Any]] | None:
        """Safari's pages as the bridge that runs tells them; None where none runs, or it is about to end."""
        try:
            return self._inspector.tabs() if self._inspector else None
        except DeviceError:
            return None

    def release(self) -> None:
        """Let go of everything; a second call does nothing."""
        self._close_inspector()
        self.cable.close()
        self._lock.release()
        _held.pop(self.udid, None)

    def _close_inspector(self) -> None:
        if self._inspector is not None:
            self._inspector.close()
            self._inspector = None


@contextmanager
def cable_to(udid: str) -> Iterator[Cable]:
    """The cable that this process holds to a phone, or one for as long as the ``with`` block runs."""
    if udid in _held:
        yield _held[udid].cable
        return
    cable = Cable()
    try:
        yield cable
    finally:
        cable.close()


def claim(udid: str) -> Claim:
    """Take a phone for this process, or return what it has taken."""
    if udid not in _held:
        _held[udid] = Claim(udid, _lock(udid))
        atexit.register(_held[udid].release)
    return _held[udid]


def _lock(udid: str) -> Any:
    try:
        import filelock
        import platformdirs
    except ImportError as error:
        raise DeviceError(MISSING) from error
    path = platformdirs.user_state_path("tritmark") / "phones" / (re.sub(r"[^\w.-]", "_", udid) + ".lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(path)
        lock.acquire(timeout=0)
    except filelock.Timeout:
        busy = f"another run is using the iPhone {udid}: wait for its end, or choose another phone"
        raise DeviceError(busy) from None
    except OSError as error:
        raise DeviceError(f"cannot lock {path}, without which a phone is not touched: {error}") from error
    return lock
