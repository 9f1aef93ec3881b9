"""Journal: what is changed on a phone and not undone yet, in a file on this computer that survives a crash.

A change is recorded before it is made. Owners (a browser session, a shell) undo their own changes in reverse order;
what an owner could not undo, because the phone was gone or this process was killed, `recover` undoes later.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from ..base import DeviceError
from .adb import Adb, RefusedError
from .changes import KINDS, Change

SCHEMA = 1


class Journal:
    """The changes of one phone, oldest first. One process at a time may hold a phone's journal."""

    def __init__(self, adb: Adb, path: Path) -> None:
        self._adb, self._path = adb, path
        self._changes: dict[int, Change] = dict(enumerate(_read(path)))
        self._next = len(self._changes)
        self._owned: set[int] = set()

    def owner(self) -> Owner:
        """Someone who makes changes and undoes them."""
        return Owner(self)

    def recover(self) -> None:
        """Undo what nobody owns any more: what crashes and pulled cables left. DeviceError where the phone refuses."""
        left = self.undo([number for number in self._changes if number not in self._owned])
        if left:
            raise DeviceError(
                f"changes of an earlier run on the phone {self._adb.serial} are not undone yet ({left[0]}); they stand "
                f"in {self._path}: undo them by hand and delete that file where this stays so"
            )

    def record(self, change: Change) -> int:
        """Write down a change that is about to be made."""
        number, self._next = self._next, self._next + 1
        self._changes[number] = change
        self._owned.add(number)
        self._write()
        return number

    def forget(self, number: int) -> None:
        """Cross out a change that has not happened."""
        del self._changes[number]
        self._owned.discard(number)
        self._write()

    def undo(self, numbers: list[int]) -> list[str]:
        """Undo these changes, latest first, and forget those that are undone; returns why others are not."""
        left = []
        for number in sorted(numbers, reverse=True):
            try:
                self._changes[number].undo(self._adb)
                self.forget(number)
            except DeviceError as error:
                left.append(str(error))
        self._owned.difference_update(numbers)
        return left

    def _write(self) -> None:
        if not self._changes:
            self._path.unlink(missing_ok=True)
            return
        changes = [{"kind": type(change).__name__, **asdict(change)} for change in self._changes.values()]  # type: ignore[call-overload]
        text = json.dumps({"schema": SCHEMA, "serial": self._adb.serial, "changes": changes}, indent=1)
        draft = self._path.with_suffix(".new")
        try:
            with draft.open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self._path)
        except OSError as error:
            raise DeviceError(f"cannot write {self._path}, without which a phone is not touched: {error}") from error


class Owner:
    """Makes changes known to a journal and undoes them."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._numbers: list[int] = []

    @contextmanager
    def making(self, change: Change) -> Iterator[None]:
        """Around what makes a change: it is written down before; what the phone refuses has not happened."""
        number = self._journal.record(change)
        self._numbers.append(number)
        try:
            yield
        except RefusedError:
            self._numbers.remove(number)
            self._journal.forget(number)
            raise

    def undo(self) -> list[str]:
        """Undo all of them; returns why some are not undone, which then waits for `Journal.recover`. Never raises."""
        numbers, self._numbers = self._numbers, []
        return self._journal.undo(numbers)


def _read(path: Path) -> Iterator[Change]:
    if not path.exists():
        return
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["schema"] != SCHEMA:
            raise ValueError(f"schema {data['schema']}, not {SCHEMA}")
        for entry in data["changes"]:
            yield KINDS[entry.pop("kind")](**entry)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DeviceError(
            f"cannot read what an earlier run has changed on the phone, {path} ({error}): undo it by hand and delete it"
        ) from error
