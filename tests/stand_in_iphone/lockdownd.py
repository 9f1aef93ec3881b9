"""lockdownd: tells what the phone is, pairs, and starts services on ports of their own.

Sessions are not encrypted: the answer to StartSession says so, which pymobiledevice3 accepts.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from .plists import receive, send
from .state import State

PORT = 62078
Service = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Lockdownd:
    """``services`` by name. A started one waits on a port until somebody connects to it."""

    def __init__(self, state: State, public_key: bytes, services: Mapping[str, Service]) -> None:
        self._state, self._public_key, self._services = state, public_key, services
        self._started: dict[int, Service] = {}
        self._ports = itertools.count(49152)

    async def serve(self, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Whatever listens on a port of the phone."""
        if port == PORT:
            while True:
                request = await receive(reader)
                await send(writer, {"Request": request["Request"], **self._answer(request)})
        if port in self._started:
            await self._started.pop(port)(reader, writer)

    def _answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        handler = getattr(self, f"_on_{request['Request']}", None)
        return {"Error": "InvalidRequest"} if handler is None else handler(request)

    def _on_QueryType(self, request: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N802
        return {"Type": "com.apple.mobile.lockdown"}

    def _on_GetValue(self, request: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N802
        domain, key = request.get("Domain"), request.get("Key")
        if domain == "com.apple.security.mac.amfi":
            return {"Value": self._state.developer}
        if key == "DevicePublicKey":
            return {"Value": self._public_key}
        values = self._state.values()
        return {"Value": values} if key is None else {"Value": values[key]} if key in values else {}

    def _on_Pair(self, request: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N802
        self._state.trust_questions += 1
        return {"EscrowBag": b"bag"} if self._state.trusted else {"Error": "PairingDialogResponsePending"}

    def _on_StartSession(self, request: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N802
        if not self._state.trusted:
            return {"Error": "InvalidHostID"}
        return {"SessionID": "1", "EnableSessionSSL": False}

    def _on_StopSession(self, request: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N802
        return {"Result": "Success"}

    def _on_StartService(self, request: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N802
        service = self._services.get(request["Service"])
        if service is None:
            return {"Error": "InvalidService"}
        port = next(self._ports)
        self._started[port] = service
        return {"Port": port, "EnableServiceSSL": False}
