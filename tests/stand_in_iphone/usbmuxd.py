"""usbmuxd: lists the phone, keeps its pair record, and joins a client's socket to a port of the phone.

Only the property-list protocol, on TCP; pymobiledevice3 is sent here by USBMUXD_SOCKET_ADDRESS.
"""

from __future__ import annotations

import asyncio
import plistlib
import struct
from collections.abc import Awaitable, Callable
from typing import Any

from .state import State

Serve = Callable[[int, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
HEADER = struct.Struct("<IIII")  # length with the header, version, message, tag
PLIST_VERSION, PLIST_MESSAGE = 1, 8
OK, BAD_COMMAND, BAD_DEVICE = 0, 1, 2
DEVICE = 7


class Usbmuxd:
    """``serve(port, reader, writer)`` is the phone. ``plugged``: whether it is there."""

    def __init__(self, state: State, pair_record: bytes, serve: Serve) -> None:
        self._state, self._pair_record, self._serve = state, pair_record, serve
        self._server: asyncio.Server | None = None
        self._joined: set[asyncio.StreamWriter] = set()
        self.plugged = True

    async def start(self) -> int:
        """The port of 127.0.0.1 on which it listens."""
        self._server = await asyncio.start_server(self._client, "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    def unplug(self) -> None:
        """Every connection to the phone breaks, and nobody sees it any more."""
        self.plugged = False
        for writer in list(self._joined):
            writer.transport.abort()

    async def stop(self) -> None:
        self.unplug()
        if self._server:
            self._server.close()

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._joined.add(writer)
        try:
            while True:
                size, _, _, tag = HEADER.unpack(await reader.readexactly(HEADER.size))
                request = plistlib.loads(await reader.readexactly(size - HEADER.size))
                answer = self._answer(request)
                body = plistlib.dumps(answer)
                writer.write(HEADER.pack(HEADER.size + len(body), PLIST_VERSION, PLIST_MESSAGE, tag) + body)
                await writer.drain()
                if request["MessageType"] == "Connect" and answer["Number"] == OK:
                    port = request["PortNumber"]  # in network byte order
                    await self._serve((port & 0xFF) << 8 | port >> 8, reader, writer)
                    return
        except (OSError, asyncio.IncompleteReadError):
            return  # the client has hung up, or the cable is out
        finally:
            self._joined.discard(writer)
            writer.close()

    def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        properties = {"SerialNumber": self._state.udid, "ConnectionType": "USB", "DeviceID": DEVICE}
        kind = request["MessageType"]
        if kind == "ReadBUID":
            return {"BUID": "30142955-444094379208051516"}
        if kind == "ListDevices":
            there = [{"MessageType": "Attached", "DeviceID": DEVICE, "Properties": properties}]
            return {"DeviceList": there if self.plugged else []}
        if kind == "ReadPairRecord" and self._state.trusted:
            return {"PairRecordData": self._pair_record}
        if kind == "Connect":
            return _result(OK if self.plugged and request["DeviceID"] == DEVICE else BAD_DEVICE)
        return _result(OK if kind in ("Listen", "SavePairRecord") else BAD_DEVICE)


def _result(number: int) -> dict[str, Any]:
    return {"MessageType": "Result", "Number": number}
