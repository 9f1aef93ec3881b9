"""Adb's packets: a header of six little-endian words, then a payload. Knows no streams and no services."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from dataclasses import dataclass

HEADER = struct.Struct("<6I")
VERSION = 0x01000001  # from this one on nobody computes checksums
MAX_PAYLOAD_BYTES = 1 << 20  # what both adb programs offer, too
COPIED_BYTES = 4096  # below, one copy is cheaper than a packet of its own for the header

CNXN, AUTH, OPEN, OKAY, WRTE, CLSE = (
    int.from_bytes(name, "little") for name in (b"CNXN", b"AUTH", b"OPEN", b"OKAY", b"WRTE", b"CLSE")
)
TOKEN, SIGNATURE, PUBLIC_KEY = 1, 2, 3  # the first argument of AUTH


@dataclass(frozen=True)
class Header:
    """A packet without its payload. Streams are named by the sender's number first, the receiver's second."""

    command: int
    first: int
    second: int
    length: int


class Wire:
    """A connection to an adb server as a sequence of packets."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sock = sock
        self._loop = asyncio.get_running_loop()
        self._sending = asyncio.Lock()
        self._header = bytearray(HEADER.size)

    async def receive(self) -> Header:
        """The next header; its payload has to be taken with `fill` before the next call."""
        await self.fill(memoryview(self._header))
        command, first, second, length, _, magic = HEADER.unpack(self._header)
        if magic != command ^ 0xFFFFFFFF or length > MAX_PAYLOAD_BYTES:
            raise ConnectionError("this is no adb packet")
        return Header(command, first, second, length)

    async def fill(self, view: memoryview) -> None:
        """Receive until the view is full."""
        while view:
            size = await self._loop.sock_recv_into(self._sock, view)
            if size == 0:
                raise ConnectionResetError("the adb server has hung up")
            view = view[size:]

    async def send(self, command: int, first: int, second: int, payload: bytes | memoryview = b"") -> None:
        """Send one packet; packets of several tasks do not mix. Whether the server is still there, `receive` tells."""
        header = HEADER.pack(command, first, second, len(payload), 0, command ^ 0xFFFFFFFF)
        async with self._sending:
            with contextlib.suppress(OSError):
                if len(payload) < COPIED_BYTES:
                    await self._loop.sock_sendall(self._sock, header + payload)
                else:
                    await self._loop.sock_sendall(self._sock, header)
                    await self._loop.sock_sendall(self._sock, payload)

    def cut(self) -> None:
        """Let everything that waits for this connection fail."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """To be called when nothing waits for this connection any more. What was not sent is lost."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._sock.close()
