"""Sync: adb's file transfer, in its first version: STAT, LIST, SEND, RECV, QUIT. The phone's root is a folder here."""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from .streams import Stream, StreamClosedError

PIECE_BYTES = 64 * 1024
WRITABLE = ("/data/local/tmp", "/sdcard", "/storage/emulated/0")
WORD = struct.Struct("<4sI")


class Sync:
    """Serves one ``sync:`` stream after another. ``free_bytes`` tells how much room the phone has, None for enough."""

    def __init__(self, root: Path, free_bytes: Callable[[], int | None]) -> None:
        self._root, self._free_bytes = root, free_bytes

    async def serve(self, stream: Stream) -> None:
        await stream.accept()
        incoming = Incoming(stream)
        verbs = {b"STAT": self._stat, b"LIST": self._list, b"RECV": self._recv}
        while True:
            verb, length = WORD.unpack(await incoming.take(WORD.size))
            path = bytes(await incoming.take(length)).decode()
            if verb == b"QUIT":
                return
            if verb == b"SEND":
                await self._send(incoming, stream, path)
            else:
                await verbs[verb](stream, path)

    async def _stat(self, stream: Stream, path: str) -> None:
        await stream.write(b"STAT" + _status(self._here(path)))

    async def _list(self, stream: Stream, path: str) -> None:
        folder, rows = self._here(path), b""
        for name in sorted([".", "..", *os.listdir(folder)]) if folder.is_dir() else ():
            encoded = name.encode()
            rows += b"DENT" + _status(folder / name) + struct.pack("<I", len(encoded)) + encoded
        await stream.write(rows + b"DONE" + bytes(16))

    async def _recv(self, stream: Stream, path: str) -> None:
        try:
            with self._here(path).open("rb") as file:
                buffer = bytearray(WORD.size + PIECE_BYTES)
                while size := file.readinto(memoryview(buffer)[WORD.size :]):
                    WORD.pack_into(buffer, 0, b"DATA", size)
                    await stream.write(memoryview(buffer)[: WORD.size + size])
            await stream.write(WORD.pack(b"DONE", 0))
        except OSError as error:
            await stream.write(_failure(f"open failed: {error.strerror}"))

    async def _send(self, incoming: Incoming, stream: Stream, target: str) -> None:
        path, _, mode = target.rpartition(",")
        here, failure, room = self._here(path), "", self._free_bytes()
        if not path.startswith(WRITABLE):
            failure = "couldn't create file: Read-only file system"
        else:
            here.parent.mkdir(parents=True, exist_ok=True)
        with open(os.devnull if failure else here, "wb") as file:
            failure = await _receive(incoming, file, failure, room)
        if failure:
            if path.startswith(WRITABLE):
                here.unlink()
            await stream.write(_failure(failure))
            return
        here.chmod(int(mode) & 0o777)
        await stream.write(WORD.pack(b"OKAY", 0))

    def _here(self, path: str) -> Path:
        return self._root / os.path.normpath(f"/{path}").lstrip("/")


class Incoming:
    """A stream's payloads as one sequence of bytes."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._view = memoryview(b"")

    async def some(self, most: int) -> memoryview:
        """Between 1 and ``most`` bytes, valid until the next call."""
        if not self._view:
            self._view = await self._stream.read()
            if not self._view:
                raise StreamClosedError
        part, self._view = self._view[:most], self._view[most:]
        return part

    async def take(self, size: int) -> bytes:
        """Exactly ``size`` bytes."""
        data = b""
        while len(data) < size:
            data += await self.some(size - len(data))
        return data


async def _receive(incoming: Incoming, file: BinaryIO, failure: str, room: int | None) -> str:
    """Write DATA until DONE; returns why that failed, having read everything all the same."""
    while True:
        word, length = WORD.unpack(await incoming.take(WORD.size))
        if word == b"DONE":
            return failure
        while length:
            part = await incoming.some(length)
            length -= len(part)
            if room is not None and (room := room - len(part)) < 0:
                failure = failure or "couldn't write file: No space left on device"
            elif not failure:
                file.write(part)


def _status(path: Path) -> bytes:
    """Mode, size and time of change; zeros where nothing is there."""
    try:
        found = path.lstat()
    except OSError:
        return bytes(12)
    size = 4096 if stat.S_ISDIR(found.st_mode) else found.st_size & 0xFFFFFFFF
    return struct.pack("<3I", found.st_mode, size, int(found.st_mtime))


def _failure(words: str) -> bytes:
    return WORD.pack(b"FAIL", len(words)) + words.encode()
