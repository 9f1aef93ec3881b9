"""Adbd: the daemon of the stand-in phone, which the real adb server connects to over TCP.

It knows packets, trust and streams; what a stream is for, a function of the phone decides.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Literal

from .protocol import AUTH, CLSE, CNXN, MAX_PAYLOAD_BYTES, OKAY, OPEN, SIGNATURE, TOKEN, VERSION, WRTE, Header, Wire
from .streams import Stream, StreamClosedError

State = Literal["device", "unauthorized", "offline"]
Serve = Callable[["Connection", Stream, str], Awaitable[None]]
FEATURES = "shell_v2,cmd,fixed_push_mkdir"  # each further one would be a protocol more


class Adbd:
    """Listens on a port of 127.0.0.1. ``serve(connection, stream, service)`` serves what a server opens."""

    def __init__(self, identity: str, serve: Serve) -> None:
        self.state: State = "device"
        self._banner = f"device::{identity}features={FEATURES}".encode()
        self._serve = serve
        self._listener = _listen(0)
        self.port: int = self._listener.getsockname()[1]
        self._accepting: asyncio.Task[None] | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Take connections from now on."""
        if self._accepting is None:
            if self._listener.fileno() < 0:
                self._listener = _listen(self.port)
            self._listener.setblocking(False)
            self._accepting = asyncio.create_task(self._accept())

    async def stop(self) -> None:
        """Cut every connection at once and refuse new ones."""
        if self._accepting:
            await _cancel(self._accepting)
            self._accepting = None
        self._listener.close()
        for connection in list(self._connections):
            await _cancel(connection)

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            sock, _ = await loop.sock_accept(self._listener)
            connection = Connection(Wire(sock), self._serve, self._banner, lambda: self.state)
            task = asyncio.create_task(connection.run())
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)


class Connection:
    """One adb server's connection. Reverse listeners and streams live as long as it does."""

    def __init__(self, wire: Wire, serve: Serve, banner: bytes, state: Callable[[], State]) -> None:
        self._wire, self._serve, self._banner, self._state = wire, serve, banner, state
        self._streams: dict[int, Stream] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._last = 0

    async def run(self) -> None:
        """Handle packets until the server hangs up or the task is cancelled."""
        try:
            while True:
                await self._handle(await self._wire.receive())
        except ConnectionError:
            pass  # how connections end
        finally:
            self._wire.cut()
            for stream in self._streams.values():
                stream.end()
            for task in list(self._tasks):
                await _cancel(task)
            self._wire.close()

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run something until it ends or the connection does."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def open(self, service: str) -> Stream | None:
        """Open a stream to something at the server's side, such as "tcp:8000"; None where it refuses."""
        stream = self._stream(peer=0)
        await self._wire.send(OPEN, stream.number, 0, service.encode() + b"\0")
        return stream if await stream.accepted() else None

    def _stream(self, peer: int) -> Stream:
        self._last += 1
        stream = self._streams[self._last] = Stream(self._wire, self._last, peer)
        return stream

    async def _handle(self, header: Header) -> None:
        stream = self._streams.get(header.second)
        if header.command == WRTE and stream:
            await stream.take(header.length)
            return
        payload = bytearray(header.length)
        await self._wire.fill(memoryview(payload))
        if header.command == OPEN:
            self.spawn(self._answer(self._stream(peer=header.first), payload.rstrip(b"\0").decode()))
        elif header.command == OKAY and stream:
            stream.acknowledge(header.first)
        elif header.command == CLSE and stream:
            stream.end()
            del self._streams[header.second]
            self.spawn(stream.close())
        elif header.command in (CNXN, AUTH):
            await self._greet(header)

    async def _greet(self, header: Header) -> None:
        """Let in a server that signs the token with its key, unless the person has not allowed it."""
        if self._state() == "offline":
            return
        if header.command == AUTH and header.first == SIGNATURE and self._state() == "device":
            await self._wire.send(CNXN, VERSION, MAX_PAYLOAD_BYTES, self._banner)
        elif header.command == CNXN or header.first == SIGNATURE:
            await self._wire.send(AUTH, TOKEN, 0, os.urandom(20))  # the third message, a public key, waits for a person

    async def _answer(self, stream: Stream, service: str) -> None:
        try:
            await self._serve(self, stream, service)
        except StreamClosedError:
            pass  # who had opened it has left, which ends every service
        finally:
            await stream.close()


def _listen(port: int) -> socket.socket:
    return socket.create_server(("127.0.0.1", port))


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task

