"""Small services of the stand-in iPhone: battery, notifications, power assertions, configuration profiles."""

from __future__ import annotations

import asyncio
import plistlib
from typing import Any

from .plists import receive, send
from .state import State

INSPECTOR_OFF = "com.apple.webinspectord.disabled"


class Services:
    """One method a service: ``(reader, writer)``, until the client hangs up."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._observers: set[asyncio.StreamWriter] = set()

    async def diagnostics_relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            request = await receive(reader)
            known = request.get("EntryClass") == "IOPMPowerSource"
            registry = {"IORegistry": self._state.battery} if known else {}
            await send(writer, {"Status": "Success", "Diagnostics": registry})

    async def notification_proxy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._observers.add(writer)
        try:
            while True:
                await receive(reader)
        finally:
            self._observers.discard(writer)

    async def notify(self, name: str) -> None:
        """Tell everybody who observes notifications."""
        for writer in list(self._observers):
            await send(writer, {"Command": "RelayNotification", "Name": name})

    async def assertion_agent(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """An assertion is held for as long as its connection."""
        held = []
        try:
            while True:
                request = await receive(reader)
                held.append(request["AssertionTypeKey"])
                self._state.assertions.append(request["AssertionTypeKey"])
                await send(writer, {"Status": "Success"})
        finally:
            for each in held:
                self._state.assertions.remove(each)

    async def mobile_config(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A profile that a computer sends counts as installed at once; on an iPhone the person has to agree."""
        while True:
            await send(writer, {"Status": "Acknowledged", **self._profiles(await receive(reader))})

    def _profiles(self, request: dict[str, Any]) -> dict[str, Any]:
        if request["RequestType"] == "InstallProfile":
            profile = plistlib.loads(request["Payload"])
            self._state.profiles[profile["PayloadIdentifier"]] = profile
        if request["RequestType"] == "RemoveProfile":
            del self._state.profiles[plistlib.loads(request["ProfileIdentifier"])["PayloadIdentifier"]]
        metadata = {
            name: {"PayloadUUID": profile["PayloadUUID"], "PayloadVersion": profile["PayloadVersion"]}
            for name, profile in self._state.profiles.items()
        }
        return {"OrderedIdentifiers": list(metadata), "ProfileMetadata": metadata}
