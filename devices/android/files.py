"""Files: pushing files to a phone, and a folder of its own there in which a native program runs.

The folder is deleted at the end, also by a later run where this one crashed. A program that runs too long is ended by
the phone itself, so that none is left even where the cable was pulled.
"""

from __future__ import annotations

import secrets
import shlex
import stat
import struct
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO

from ..base import DeviceError
from .adb import Adb, Completed

if TYPE_CHECKING:
    from .journal import Journal

TEMPORARY = "/data/local/tmp/tritmark-"
PIECE_BYTES = 64 * 1024  # the most that adb's protocol takes
PUSH_TIMEOUT_S = 60.0  # for one piece, not for all
GRACE_S = 10.0


def push(adb: Adb, source: BinaryIO, remote: str, mode: int) -> None:
    """Write a file on the phone. adbutils can push too, but does not say why a phone refuses (no space left)."""
    with adb.service("sync:", f"write {remote}", PUSH_TIMEOUT_S) as transport:
        target = f"{remote},{stat.S_IFREG | mode}".encode()
        transport.conn.sendall(b"SEND" + struct.pack("<I", len(target)) + target)
        while piece := source.read(PIECE_BYTES):
            transport.conn.sendall(b"DATA" + struct.pack("<I", len(piece)) + piece)
        transport.conn.sendall(b"DONE" + struct.pack("<I", int(time.time())))
        answer = transport.read_exact(4)
        words = transport.read_exact(int.from_bytes(transport.read_exact(4), "little")).decode("utf-8", "replace")
    if answer != b"OKAY":
        raise DeviceError(
            f"the phone {adb.serial} does not take {remote} ({' '.join(words.split())}): free some space on it"
        )


class PhoneShell:
    """A folder on a phone and programs that run in it. Names are relative to the folder."""

    def __init__(self, adb: Adb, journal: Journal) -> None:
        from .changes import Folder

        self._adb, self._owner = adb, journal.owner()
        self.folder = TEMPORARY + secrets.token_hex(4)
        with self._owner.making(Folder(self.folder)):
            adb.must(("mkdir", "-p", self.folder), "see whether the phone has space left")

    def __enter__(self) -> PhoneShell:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def push(self, local: Path, remote: str) -> None:
        """Copy a file into the folder; what may be executed here may be executed there."""
        try:
            with local.open("rb") as source:
                push(self._adb, source, self._inside(remote), 0o755 if local.stat().st_mode & 0o111 else 0o644)
        except OSError as error:
            raise DeviceError(f"cannot read {local}: {error.strerror}") from error

    def run(self, command: Sequence[str], timeout_s: float) -> Completed:
        """Run a program in the folder, where it also finds its libraries; DeviceError where it takes too long."""
        started = time.monotonic()
        here = f"cd {self.folder} && LD_LIBRARY_PATH={self.folder}"
        line = f"{here} exec timeout -s KILL {timeout_s:.0f} {shlex.join(command)}"
        done = self._adb.shell(line, timeout_s + GRACE_S)
        if done.status in (124, 137) and time.monotonic() - started >= timeout_s - 0.5:
            raise DeviceError(
                f"{command[0]} took more than {timeout_s:g} s on the phone and was ended there; raise --timeout"
            )
        return done

    def remove(self, remote: str) -> None:
        """Delete a file of the folder."""
        self._adb.must(("rm", "-rf", self._inside(remote)), "see whether the phone still answers")

    def close(self) -> None:
        """Delete the folder; a second call does nothing."""
        self._owner.undo()

    def _inside(self, remote: str) -> str:
        if remote.startswith("/") or ".." in remote.split("/"):
            raise ValueError(f"{remote} is not a name inside the phone's folder")
        return f"{self.folder}/{remote}"
