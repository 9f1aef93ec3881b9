"""Property lists as lockdownd's services exchange them: a big-endian length, then the list as XML."""

from __future__ import annotations

import asyncio
import plistlib
import struct
from typing import Any


async def receive(reader: asyncio.StreamReader) -> dict[str, Any]:
    """The next message; IncompleteReadError where the other side has hung up."""
    (size,) = struct.unpack(">I", await reader.readexactly(4))
    message: dict[str, Any] = plistlib.loads(await reader.readexactly(size))
    return message


async def send(writer: asyncio.StreamWriter, message: dict[str, Any]) -> None:
    body = plistlib.dumps(message)
    writer.write(struct.pack(">I", len(body)) + body)
    await writer.drain()
