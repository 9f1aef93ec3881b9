"""Forwarding: sockets of the phone joined to streams, in both directions.

``tcp:`` and ``localabstract:`` are opened by the server and lead to a port of this computer, which is the phone as
well; ``reverse:`` makes the phone listen on a port whose connections lead back to the server.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable

from .adbd import Connection
from .protocol import MAX_PAYLOAD_BYTES
from .streams import Stream

Passing = Callable[[memoryview], Awaitable[None]]  # sees what a socket sends before it goes on its way


async def _unseen(view: memoryview) -> None:
    """Nobody looks."""


async def connect(stream: Stream, port: int | None) -> None:
    """Join a stream to a port of 127.0.0.1; a refusal closes the stream unaccepted, as on a phone."""
    if port is None:
        return
    sock = socket.socket()
    sock.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
    except OSError:
        sock.close()
        return
    await stream.accept()
    await join(stream, sock)


async def join(stream: Stream, sock: socket.socket, passing: Passing = _unseen) -> None:
    """Carry bytes both ways until either side ends; closes both."""
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with sock:
        async with asyncio.TaskGroup() as group:
            group.create_task(_to_socket(stream, sock))
            group.create_task(_from_socket(stream, sock, passing))


async def _to_socket(stream: Stream, sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    with contextlib.suppress(OSError):
        while view := await stream.read():
            await loop.sock_sendall(sock, view)
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)  # wakes the other direction


async def _from_socket(stream: Stream, sock: socket.socket, passing: Passing) -> None:
    loop, view = asyncio.get_running_loop(), memoryview(bytearray(MAX_PAYLOAD_BYTES))
    with contextlib.suppress(OSError):  # which a closed stream is, too
        while size := await loop.sock_recv_into(sock, view):
            await passing(view[:size])
            await stream.write(view[:size])
    await stream.close()  # wakes the other direction


class Reverse:
    """The reverse listeners of a phone: its end -> the computer's end, as in ``tcp:41000`` -> ``tcp:8000``."""

    def __init__(self) -> None:
        self.targets: dict[str, str] = {}
        self._listening: dict[str, asyncio.Task[None]] = {}
        self._awaited: tuple[bytes, Callable[[], None]] | None = None

    def when(self, words: bytes, act: Callable[[], None]) -> None:
        """Do something once, in a thread, when the phone sends ``words`` through a reversed port; then they go on."""
        self._awaited = words, act

    async def serve(self, connection: Connection, stream: Stream, request: str) -> None:
        """``forward:[norebind:]A;B``, ``killforward:A``, ``killforward-all`` or ``list-forward``."""
        await stream.accept()
        verb, _, rest = request.partition(":")
        try:
            if verb == "forward":
                answer = self._forward(connection, rest)
            elif verb == "killforward":
                answer = self._remove(rest)
            elif verb == "killforward-all":
                self.clear()
                answer = b"OKAY"
            else:
                lines = (f"UsbFfs {remote} {local}\n" for remote, local in self.targets.items())
                answer = _counted("".join(lines))
        except (OSError, ValueError) as error:
            answer = b"FAIL" + _counted(str(error))
        await stream.write(answer)

    def clear(self) -> None:
        """Close every listener."""
        for remote in list(self.targets):
            self._remove(remote)

    def _forward(self, connection: Connection, request: str) -> bytes:
        remote, _, local = request.removeprefix("norebind:").partition(";")
        if not remote.startswith("tcp:"):
            raise ValueError(f"the stand-in phone reverses tcp ports only, not {remote}")
        if remote in self.targets and request.startswith("norebind:"):
            raise ValueError(f"cannot rebind existing socket '{remote}'")
        if remote in self.targets:
            self.targets[remote] = local
            return b"OKAY"
        port = self._listen(connection, int(remote.removeprefix("tcp:")), local)
        return b"OKAY" + (_counted(str(port)) if remote == "tcp:0" else b"")

    def _listen(self, connection: Connection, port: int, local: str) -> int:
        try:
            listener = socket.create_server(("127.0.0.1", port), backlog=32)
        except OSError as error:
            raise OSError(f"cannot bind listener: {error.strerror}") from error
        listener.setblocking(False)
        chosen: int = listener.getsockname()[1]
        remote = f"tcp:{chosen}"
        self.targets[remote] = local
        self._listening[remote] = connection.spawn(self._accept(connection, remote, listener))
        return chosen

    def _remove(self, remote: str) -> bytes:
        if remote not in self.targets:
            raise ValueError(f"listener '{remote}' not found")
        del self.targets[remote]
        self._listening.pop(remote).cancel()
        return b"OKAY"

    async def _accept(self, connection: Connection, remote: str, listener: socket.socket) -> None:
        """Until it is cancelled: by `_remove`, or because the connection ends and takes its listeners with it."""
        try:
            with listener:
                while True:
                    sock, _ = await asyncio.get_running_loop().sock_accept(listener)
                    connection.spawn(self._carry(connection, sock, self.targets[remote]))
        finally:
            if self._listening.get(remote) is asyncio.current_task():
                self._remove(remote)

    async def _carry(self, connection: Connection, sock: socket.socket, target: str) -> None:
        with sock:
            stream = await connection.open(target)
            if stream:
                await join(stream, sock, self._passing)
                await stream.close()

    async def _passing(self, view: memoryview) -> None:
        if self._awaited and self._awaited[0] in bytes(view):
            act, self._awaited = self._awaited[1], None
            await asyncio.get_running_loop().run_in_executor(None, act)


def _counted(text: str) -> bytes:
    """A length of four hexadecimal digits, then the text."""
    return f"{len(text.encode()):04x}{text}".encode()

