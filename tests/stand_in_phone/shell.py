"""Shell: commands of the phone, run by this computer's `sh` with the phone's executables as its only PATH.

The phone's folders lie in a folder of this computer. In commands their absolute paths are replaced by the real ones, in
outputs the other way round (within a packet; pushed scripts stay as they are).
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import struct
from collections.abc import Mapping
from pathlib import Path

from .streams import Stream

FOLDERS = "data|sdcard|storage|sys|proc|system|vendor|apex"
ABSOLUTE = re.compile(rf"(?<![\w./-])/(?:{FOLDERS})(?![\w-])")
STDIN, STDOUT, STDERR, EXIT, CLOSE_STDIN = range(5)
PACKET = struct.Struct("<BI")


class Shell:
    """Runs commands, with ``environment`` and what a phone's shell adds to it."""

    def __init__(self, root: Path, environment: Mapping[str, str]) -> None:
        self.calls: list[str] = []
        self._root = str(root)
        self._environment = {
            **environment,
            "PATH": f"{root}/system/bin",
            "HOME": "/",
            "TMPDIR": f"{root}/data/local/tmp",
            "USER": "shell",
            "LANG": "C.UTF-8",
        }
        self._running: dict[asyncio.subprocess.Process, None] = {}

    async def serve(self, stream: Stream, arguments: str, command: str) -> None:
        """``shell,v2,...:`` sends numbered packets with an exit status, ``shell:`` all output as it comes."""
        self.calls.append(command)
        await stream.accept()
        framed = "v2" in arguments.split(",")
        ours, theirs = zip(*(socket.socketpair() for _ in range(3 if framed else 2)), strict=True)
        process = await self._start(command, theirs)
        async with asyncio.TaskGroup() as group:
            group.create_task(_feed(stream, ours[0], framed))
            await asyncio.wait([
                group.create_task(self._tell(stream, sock, number if framed else None))
                for number, sock in enumerate(ours[1:], STDOUT)
            ])  # fmt: skip
            status = await self._end(process)
            if framed:
                await _say(stream, PACKET.pack(EXIT, 1) + bytes([status if status >= 0 else 128 - status]))
            await stream.close()

    async def close(self) -> None:
        """Wait for the end of what was running; to be called when it was killed."""
        for process in list(self._running):
            await self._end(process)

    async def _start(self, command: str, ends: tuple[socket.socket, ...]) -> asyncio.subprocess.Process:
        line = ABSOLUTE.sub(lambda match: self._root + match[0], command)
        process = await asyncio.create_subprocess_exec(
            *("/bin/sh", "-c", line) if line else ("/bin/sh",),
            cwd=self._root,
            env=self._environment,
            stdin=ends[0],
            stdout=ends[1],
            stderr=ends[-1],
            start_new_session=True,
        )
        for end in ends:
            end.close()
        self._running[process] = None
        return process

    async def _end(self, process: asyncio.subprocess.Process) -> int:
        status = await process.wait()
        self._running.pop(process, None)
        return status

    async def _tell(self, stream: Stream, sock: socket.socket, number: int | None) -> None:
        """Send an output until it ends or nobody listens; a command that goes on writing then gets a signal."""
        sock.setblocking(False)
        with sock, contextlib.suppress(ConnectionError):
            while data := await asyncio.get_running_loop().sock_recv(sock, 1 << 16):
                data = data.replace(self._root.encode(), b"")
                await stream.write(data if number is None else PACKET.pack(number, len(data)) + data)


async def _say(stream: Stream, data: bytes) -> None:
    with contextlib.suppress(ConnectionError):
        await stream.write(data)


async def _feed(stream: Stream, sock: socket.socket, framed: bool) -> None:
    """Give the command what the server sends for its standard input."""
    loop, pending = asyncio.get_running_loop(), bytearray()
    sock.setblocking(False)
    with sock, contextlib.suppress(ConnectionError):
        while view := await stream.read():
            pending += view
            if not framed:
                await loop.sock_sendall(sock, pending)
                pending.clear()
            while framed and len(pending) >= PACKET.size:
                number, length = PACKET.unpack_from(pending)
                if len(pending) < PACKET.size + length:
                    break
                data = bytes(pending[PACKET.size : PACKET.size + length])
                del pending[: PACKET.size + length]
                if number == STDIN:
                    await _give(sock, data)
                elif number == CLOSE_STDIN:
                    with contextlib.suppress(OSError):
                        sock.shutdown(socket.SHUT_WR)


async def _give(sock: socket.socket, data: bytes) -> None:
    with contextlib.suppress(OSError):  # the command does not want its input
        await asyncio.get_running_loop().sock_sendall(sock, data)
