"""Stream: one of many conversations over a connection. Each side may send one packet and then waits for its OKAY."""

from __future__ import annotations

import asyncio

from .protocol import CLSE, MAX_PAYLOAD_BYTES, OKAY, WRTE, Wire


class StreamClosedError(ConnectionError):
    """The other side has closed the stream."""


class Stream:
    """A stream between ``number`` here and ``peer`` at the adb server (0 until the server has accepted it).

    A payload is acknowledged when the next one is asked for, that is after it was consumed: this is the
    back-pressure, and it lets all payloads of a stream share one buffer.
    """

    def __init__(self, wire: Wire, number: int, peer: int) -> None:
        self.number, self.peer = number, peer
        self._wire = wire
        self._buffer = bytearray()
        self._inbox: asyncio.Queue[memoryview | None] = asyncio.Queue()
        self._unacknowledged = False
        self._may_send = asyncio.Event()
        self._accepted = self._closed_here = self._closed_there = False

    async def accept(self) -> None:
        """Tell the server that the service it has opened is there."""
        self._accepted = True
        self._may_send.set()
        await self._wire.send(OKAY, self.number, self.peer)

    async def accepted(self) -> bool:
        """Whether the server accepts the stream that was opened from here."""
        await self._may_send.wait()
        return not self._closed_there

    async def read(self) -> memoryview:
        """The next payload, valid until the next call; empty when the other side has closed."""
        if self._unacknowledged:
            self._unacknowledged = False
            if not self._closed_there:
                await self._wire.send(OKAY, self.number, self.peer)
        view = await self._inbox.get()
        if view is None:
            self._inbox.put_nowait(None)
            return memoryview(b"")
        self._unacknowledged = True
        return view

    async def write(self, data: bytes | memoryview) -> None:
        """Send data, in as many packets as it takes; StreamClosedError where nobody listens any more."""
        view = memoryview(data)
        while view:
            await self._may_send.wait()
            if self._closed_there or self._closed_here:
                raise StreamClosedError
            self._may_send.clear()
            await self._wire.send(WRTE, self.number, self.peer, view[:MAX_PAYLOAD_BYTES])
            view = view[MAX_PAYLOAD_BYTES:]

    async def close(self) -> None:
        """End the stream, or refuse it where it was not accepted; a second call does nothing."""
        if not self._closed_here:
            self._closed_here = True
            self._may_send.set()
            self._inbox.put_nowait(None)
            await self._wire.send(CLSE, self.number if self._accepted else 0, self.peer)

    # What follows is called by the connection as packets arrive.

    async def take(self, length: int) -> None:
        """Receive a payload into the stream's buffer."""
        if len(self._buffer) < length:
            self._buffer = bytearray(length)
        view = memoryview(self._buffer)[:length]
        await self._wire.fill(view)
        self._inbox.put_nowait(view)

    def acknowledge(self, peer: int) -> None:
        """The other side has consumed what was sent, or has accepted the stream."""
        self.peer, self._accepted = peer, True
        self._may_send.set()

    def end(self) -> None:
        """The other side has closed the stream."""
        self._closed_there = True
        self._may_send.set()
        self._inbox.put_nowait(None)
