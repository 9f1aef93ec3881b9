"""Server: the adb server of this computer, which all phones are reached through; found, or started, through adbutils.

An adb server is shared by every program on a computer. Two adb programs of different versions end each other's servers,
and with them all reversed ports, so a server of another version than our adb is refused before anything starts.
"""

from __future__ import annotations

import functools
import re
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..base import DeviceError

TIMEOUT_S = 10.0
START_TIMEOUT_S = 20.0


def adb_client() -> Any:
    """adbutils' client of an adb server that has our adb's version; starts one where none runs."""
    try:
        import adbutils
    except ImportError as error:
        raise DeviceError("Android phones need pip install 'tritmark[android]'") from error
    client = adbutils.AdbClient(socket_timeout=TIMEOUT_S)
    _start(client.host, client.port)
    with explained(client.port):
        theirs = client.server_version()
    ours = _version(_path())
    if theirs != ours:
        raise DeviceError(
            f"the adb server that runs has version 1.0.{theirs}, but {_path()} has 1.0.{ours}: type `adb kill-server` "
            "and try again; if the other one comes back, close the program that starts it (Android Studio, scrcpy, ...)"
        )
    return client


@contextmanager
def explained(port: int) -> Iterator[None]:
    """What goes wrong inside with the adb server itself becomes a DeviceError."""
    from adbutils import AdbError

    try:
        yield
    except (AdbError, EOFError, OSError, ValueError, subprocess.SubprocessError) as error:
        raise DeviceError(
            f"what listens on port {port} does not answer as an adb server does ({' '.join(str(error).split())}): type "
            "`adb kill-server`, or end that program, or set ANDROID_ADB_SERVER_PORT to a free port"
        ) from error


def _start(host: str, port: int) -> None:
    """Start an adb server where none listens. adbutils would too, but adb's chatter would reach our output."""
    try:
        socket.create_connection((host, port), timeout=TIMEOUT_S).close()
        return
    except OSError:
        command = (_path(), "-P", str(port), "start-server")
    with tempfile.TemporaryFile() as said:  # not a pipe: the server inherits it and would keep it open
        try:
            started = subprocess.run(command, stdout=said, stderr=said, timeout=START_TIMEOUT_S, check=False)
        except (OSError, subprocess.SubprocessError) as error:
            raise DeviceError(f"cannot start the adb server with {command[0]}: {error}") from error
        said.seek(0)
        words = " ".join(said.read().decode("utf-8", "replace").split())
    if started.returncode != 0:
        raise DeviceError(f"the adb server does not start ({words[-200:]}): type `{' '.join(command)}` to see why")


def _path() -> str:
    """The adb program: the system's, or the one that adbutils brings."""
    from adbutils import AdbError, adb_path

    try:
        return str(adb_path())
    except AdbError as error:
        raise DeviceError(
            "no adb program is there: install it (Debian, Ubuntu: `sudo apt install adb`), or set ADBUTILS_ADB_PATH"
        ) from error


@functools.cache
def _version(path: str) -> int | None:
    """``41`` of an adb that calls itself 1.0.41."""
    try:
        said = subprocess.run((path, "version"), capture_output=True, text=True, timeout=START_TIMEOUT_S, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise DeviceError(
            f"cannot run the adb program {path} ({error}): install adb, or set ADBUTILS_ADB_PATH"
        ) from error
    match = re.search(r"version 1\.0\.(\d+)", said.stdout)
    return int(match[1]) if match else None
