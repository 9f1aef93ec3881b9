"""Adb: one phone, reached through an adb server by adbutils. Every failure is a DeviceError that says what to do.

It knows adb's services (shell, reverse, sockets) and nothing of browsers. adbutils is imported when a phone is asked
for.
"""

from __future__ import annotations

import re
import shlex
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ..base import DeviceError
from .server import TIMEOUT_S, adb_client

SHELL_TIMEOUT_S = 20.0
REFUSED = re.compile(r"^\s*(?:Error\b|Exception\b|Security exception|Permission denial|java\.)", re.MULTILINE)
PLUG_IN = "plug the cable in again (a data cable, straight into the computer)"
REPLUG = "pull the cable out and plug it in again; if that does not help, restart the phone"
ALLOW = (
    "unlock the phone and accept 'Allow USB debugging?' with 'Always allow'; if it does not ask, choose 'Revoke USB "
    "debugging authorisations' in Developer options and plug the cable in again"
)


class PhoneGoneError(DeviceError):
    """The phone itself cannot be reached: unplugged, offline, or it has stopped to trust this computer."""


class RefusedError(DeviceError):
    """The phone can be reached and has said no: what was asked for has not happened."""


@dataclass(frozen=True)
class Completed:
    """What a command on the phone left. ``status`` 0 is success."""

    status: int
    stdout: str
    stderr: str

    @property
    def complaint(self) -> str:
        """The command's own words in one line."""
        return " ".join((self.stderr.strip() or self.stdout.strip() or f"exit status {self.status}").split())[:200]


@contextmanager
def explained(serial: str, doing: str) -> Iterator[None]:
    """What adbutils and sockets raise inside becomes a DeviceError."""
    from adbutils import AdbError, AdbTimeout

    try:
        yield
    except (AdbTimeout, TimeoutError) as error:
        raise DeviceError(f"the phone {serial} did not answer in time to {doing}: {REPLUG}") from error
    except (AdbError, EOFError, OSError, ValueError) as error:  # ValueError: an answer that was cut off
        text = " ".join(str(error).split())
        if "not found" in text and "device" in text:
            raise PhoneGoneError(f"the phone {serial} is gone: {PLUG_IN}") from error
        if "unauthorized" in text:
            raise PhoneGoneError(f"the phone {serial} does not trust this computer: {ALLOW}") from error
        if "offline" in text:
            raise PhoneGoneError(f"the phone {serial} is offline: {REPLUG}") from error
        if isinstance(error, AdbError) and not text.startswith(("Unknown data", "connection closed")):
            raise RefusedError(f"the phone {serial} refuses to {doing} ({text}): restart it and try again") from error
        raise DeviceError(
            f"the connection to the phone {serial} broke while trying to {doing} ({text or type(error).__name__}): "
            "see whether the cable is in, and whether another adb (of Android Studio, say) has replaced the adb server"
        ) from error


class Adb:
    """One phone. Each call uses a connection of its own, so that threads may share an Adb."""

    def __init__(self, serial: str, client: Any = None) -> None:
        self.serial = serial
        self._device = (client or adb_client()).device(serial)

    def shell(self, command: str | Sequence[str], timeout_s: float = SHELL_TIMEOUT_S) -> Completed:
        """Run a command line (a list is quoted) and wait for its end; DeviceError after ``timeout_s``."""
        line = command if isinstance(command, str) else shlex.join(command)
        deadline, parts = time.monotonic() + timeout_s, {1: bytearray(), 2: bytearray()}
        with self.service(f"shell,v2:{line}", f"run {line[:60]}", timeout_s) as transport:
            while True:
                header = transport.read_exact(5)
                data = transport.read_exact(int.from_bytes(header[1:5], "little"))
                if header[0] == 3:
                    stdout, stderr = (parts[stream].decode("utf-8", "replace") for stream in (1, 2))
                    return Completed(data[0], stdout, stderr)
                parts.setdefault(header[0], bytearray()).extend(data)
                transport.conn.settimeout(max(deadline - time.monotonic(), 0.001))

    def text(self, command: str | Sequence[str], timeout_s: float = SHELL_TIMEOUT_S) -> str:
        """Standard output of a command, whatever its exit status: many of Android's tools have none worth reading."""
        return self.shell(command, timeout_s).stdout

    def must(self, command: str | Sequence[str], remedy: str, timeout_s: float = SHELL_TIMEOUT_S) -> str:
        """Standard output of a command that has to succeed; ``remedy`` says what a person can do where it does not."""
        done = self.shell(command, timeout_s)
        if done.status != 0 or REFUSED.search(f"{done.stdout}\n{done.stderr}"):
            line = command if isinstance(command, str) else shlex.join(command)
            raise RefusedError(f"the phone {self.serial} refuses `{line[:60]}` ({done.complaint}): {remedy}")
        return done.stdout

    def reverse(self, port: int) -> int:
        """Let a free port of the phone lead to ``port`` of this computer; returns the phone's port."""
        with self.service(f"reverse:forward:tcp:0;tcp:{port}", "reverse a port") as transport:
            transport.check_okay()  # the phone had the request already, now it has done it
            return int(transport.read_string_block())

    def reverses(self) -> dict[str, str]:
        """All reversed ports: the phone's end -> this computer's, as in ``tcp:41000``."""
        with self.service("reverse:list-forward", "list reversed ports") as transport:
            rows = [line.split() for line in transport.read_string_block().splitlines()]
            return {row[1]: row[2] for row in rows if len(row) == 3}

    def remove_reverse(self, remote: str) -> None:
        """Take back one reversed port, named by its end on the phone."""
        with self.service(f"reverse:killforward:{remote}", "remove a reversed port") as transport:
            transport.check_okay()

    def connect(self, abstract: str, timeout_s: float = TIMEOUT_S) -> socket.socket:
        """A stream to an abstract socket on the phone; nothing is left behind, unlike with `adb forward`."""
        with explained(self.serial, f"connect to {abstract}"):
            transport = self._device.open_transport(timeout=timeout_s)
            try:
                transport.send_command(f"localabstract:{abstract}")
                transport.check_okay()
            except BaseException:
                transport.close()
                raise
            stream: socket.socket = transport.conn
            return stream

    def read(self, path: str) -> tuple[int, bytes] | None:
        """(mode, content) of a small file on the phone; None where there is none."""
        with explained(self.serial, f"read {path}"):
            status = self._device.sync.stat(path)
            return (status.mode & 0o777, self._device.sync.read_bytes(path)) if status.mode else None

    @contextmanager
    def service(self, request: str, doing: str, timeout_s: float = TIMEOUT_S) -> Iterator[Any]:
        """adbutils' connection to something that adb offers on the phone, once the phone has let us in."""
        with explained(self.serial, doing), self._device.open_transport(timeout=timeout_s) as transport:
            transport.send_command(request)
            transport.check_okay()
            yield transport
