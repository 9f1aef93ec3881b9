"""Servers: an adb server that is isolated from the user's, and one that only pretends to be of another version."""

from __future__ import annotations

import os
import shutil
import socket
import socketserver
import subprocess
import tempfile
import threading
from pathlib import Path
from types import TracebackType

from .keeper import marked

QUIET = {"ADB_USB": "0", "ADB_EMU": "0", "ADB_MDNS": "0"}  # it shall find nothing but what is connected to it
TIMEOUT_S = 20.0


def adb_programs() -> list[Path]:
    """Every adb program of this computer: the system's, and the one that adbutils brings."""
    import adbutils

    found = [shutil.which("adb"), Path(adbutils.__file__).parent / "binaries" / "adb"]
    return [Path(path) for path in found if path and Path(path).is_file()]


class AdbServer:
    """A real adb server on a port of its own with a home of its own, where it keeps its keys."""

    def __init__(self, program: Path) -> None:
        self.program = program
        self.home = Path(tempfile.mkdtemp(prefix="stand-in-home-"))
        self.port = free_port()
        own = {
            "ANDROID_ADB_SERVER_PORT": str(self.port),
            "ANDROID_ADB_SERVER_HOST": "127.0.0.1",
            "ADBUTILS_ADB_PATH": str(program),
            "HOME": str(self.home),
        }
        self.environment = marked({**own, **QUIET}, self.home)

    def start(self) -> None:
        """Start it, or do nothing where it runs."""
        self.run("start-server")

    def stop(self) -> None:
        """End it and wait until its port is free."""
        with socket.socket() as sock:
            sock.settimeout(TIMEOUT_S)
            if sock.connect_ex(("127.0.0.1", self.port)) == 0:
                sock.sendall(b"0009host:kill")
                while sock.recv(64):
                    pass
        shutil.rmtree(self.home, ignore_errors=True)

    def run(self, *arguments: str) -> str:
        """What an adb command prints. Nothing the server keeps open is waited for."""
        with tempfile.TemporaryFile() as said:
            environment = {**os.environ, **self.environment, "TMPDIR": str(self.home)}
            environment.pop("ADB_SERVER_SOCKET", None)
            command = [str(self.program), *arguments]
            subprocess.run(command, env=environment, stdout=said, stderr=said, timeout=TIMEOUT_S, check=False)
            said.seek(0)
            return said.read().decode()


class PretendedServer:
    """Answers ``host:version`` with a version of its choice and nothing else, as a server from another adb would."""

    def __init__(self, version: int) -> None:
        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                asked = self.rfile.read(int(self.rfile.read(4) or b"0", 16))
                words = f"{version:04x}" if asked == b"host:version" else "unknown host service"
                status = b"OKAY" if asked == b"host:version" else b"FAIL"
                self.wfile.write(status + f"{len(words):04x}{words}".encode())

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        self.environment = {"ANDROID_ADB_SERVER_PORT": str(self.port), "ANDROID_ADB_SERVER_HOST": "127.0.0.1"}

    def __enter__(self) -> PretendedServer:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port
