"""webinspectord: Web Inspector's service on the iPhone, as WebKit speaks it, in front of the stand-in's browser.

A client is told of Safari and its tabs, sets up a socket to a tab, and exchanges the tab's debugging protocol through
it: each message wrapped for the tab's current target, which is replaced when the tab goes to another site. Chromium's
protocol is close enough to WebKit's to be passed on; where they differ in what a client could rely on, this module is
WebKit: promises are not awaited, and what an expression threw comes as ``wasThrown``.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from websockets.exceptions import ConnectionClosed

from .plists import receive, send
from .safari import Safari, Tab
from .services import INSPECTOR_OFF, Services
from .state import State

APPLICATION = "PID:412"
SAFARI = {
    "WIRApplicationIdentifierKey": APPLICATION,
    "WIRApplicationBundleIdentifierKey": "com.apple.mobilesafari",
    "WIRApplicationNameKey": "Safari",
    "WIRAutomationAvailabilityKey": "WIRAutomationAvailabilityNotAvailable",
    "WIRIsApplicationActiveKey": 1,
    "WIRIsApplicationProxyKey": False,
    "WIRIsApplicationReadyKey": True,
}


class Webinspectord:
    """All clients of one phone."""

    def __init__(self, state: State, services: Services) -> None:
        self._state, self._services = state, services
        self._clients: dict[Client, asyncio.StreamWriter] = {}
        self._last = float("-inf")
        self.safari: Safari
        self.launch: Callable[[], Awaitable[None]]  # starts Safari, which `safari` is from then on

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        too_soon = time.monotonic() < self._last + self._state.gate_s
        if not self._state.inspector:
            await self._services.notify(INSPECTOR_OFF)
        if too_soon or not self._state.inspector:
            return
        self._last = time.monotonic()
        client = Client(self._state, self, writer)
        self._clients[client] = writer
        try:
            while True:
                request = await receive(reader)
                await client.handle(request["__selector"], request["__argument"])
        finally:
            self._clients.pop(client, None)

    def drop_clients(self) -> None:
        """What becomes of them when Web Inspector is switched off."""
        for writer in self._clients.values():
            writer.transport.abort()

    async def changed(self) -> None:
        """Tell every client what tabs there are."""
        for client in list(self._clients):
            await client.changed()

    async def started(self) -> None:
        """Tell every client that Safari is there."""
        for client in list(self._clients):
            await client.started()

    async def ended(self) -> None:
        """Tell every client that Safari is gone."""
        for client in list(self._clients):
            await client.ended()


class Client:
    """One connection. ``_sockets``: the tabs it has attached to, by the name that it gave each."""

    def __init__(self, state: State, inspector: Webinspectord, writer: asyncio.StreamWriter) -> None:
        self._state, self._inspector, self._writer = state, inspector, writer
        self._sockets: dict[str, Socket] = {}
        self._running: set[asyncio.Task[None]] = set()

    async def handle(self, selector: str, argument: dict[str, Any]) -> None:
        name = selector.removeprefix("_rpc_").removesuffix(":")
        handler = getattr(self, f"_on_{name}", None)
        if handler:
            await handler(argument)

    async def changed(self) -> None:
        for socket in self._sockets.values():
            await socket.follow()
        await self._on_forwardGetListing({})

    async def started(self) -> None:
        await self.push("applicationConnected", SAFARI)
        await self._on_forwardGetListing({})

    async def ended(self) -> None:
        self._sockets.clear()
        await self.push("applicationDisconnected", SAFARI)

    async def _on_reportIdentifier(self, argument: dict[str, Any]) -> None:  # noqa: N802
        await self.push("reportCurrentState", {"WIRAutomationAvailabilityKey": "WIRAutomationAvailabilityNotAvailable"})
        await self._on_getConnectedApplications(argument)

    async def _on_getConnectedApplications(self, argument: dict[str, Any]) -> None:  # noqa: N802
        running = {APPLICATION: SAFARI} if self._state.safari else {}
        await self.push("reportConnectedApplicationList", {"WIRApplicationDictionaryKey": running})

    async def _on_requestApplicationLaunch(self, argument: dict[str, Any]) -> None:  # noqa: N802
        if not self._state.safari:
            await self._inspector.launch()

    async def _on_forwardGetListing(self, argument: dict[str, Any]) -> None:  # noqa: N802
        pages = {
            str(tab.number): {
                "WIRPageIdentifierKey": tab.number,
                "WIRTypeKey": "WIRTypeWebPage",
                "WIRTitleKey": tab.title,
                "WIRURLKey": tab.url,
            }
            for tab in self._inspector.safari.tabs.values()
        }
        if self._state.safari:
            listing = {"WIRApplicationIdentifierKey": APPLICATION, "WIRListingKey": pages}
            await self.push("applicationSentListing", listing)

    async def _on_forwardSocketSetup(self, argument: dict[str, Any]) -> None:  # noqa: N802
        number = argument["WIRPageIdentifierKey"]
        found = [tab for tab in self._inspector.safari.tabs.values() if tab.number == number]
        if found:
            socket = self._sockets[argument["WIRSenderKey"]] = Socket(self, argument["WIRSenderKey"], found[0])
            await socket.announce("Target.targetCreated", targetInfo={"targetId": socket.target, "type": "page"})

    async def _on_forwardSocketData(self, argument: dict[str, Any]) -> None:  # noqa: N802
        socket = self._sockets.get(argument["WIRSenderKey"])
        if socket:
            await socket.handle(json.loads(argument["WIRSocketDataKey"]))

    async def _on_forwardDidClose(self, argument: dict[str, Any]) -> None:  # noqa: N802
        self._sockets.pop(argument["WIRSenderKey"], None)

    async def push(self, selector: str, argument: dict[str, Any]) -> None:
        if not self._writer.is_closing():
            await send(self._writer, {"__selector": f"_rpc_{selector}:", "__argument": argument})

    async def pass_on(self, socket: Socket, message: dict[str, Any]) -> None:
        """Let Chromium do what a message asks, without waiting for it."""
        task = asyncio.create_task(self._answer(socket, socket.target, message))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _answer(self, socket: Socket, target: str, message: dict[str, Any]) -> None:
        params = dict(message.get("params", {}))
        if message["method"] == "Runtime.evaluate":
            params = {"userGesture": params.pop("emulateUserGesture", False), **params, "awaitPromise": False}
        try:
            answer = await self._inspector.safari.call(socket.tab.session, message["method"], **params)
        except ConnectionClosed:
            return  # nor does a Safari that has ended
        if target != socket.target:
            return  # a target that is gone answers nothing
        if "result" in answer and message["method"] == "Runtime.evaluate":
            answer["result"]["wasThrown"] = answer["result"].pop("exceptionDetails", None) is not None
        answer = {"id": message["id"], **{key: answer[key] for key in ("result", "error") if key in answer}}
        await socket.announce("Target.dispatchMessageFromTarget", targetId=target, message=json.dumps(answer))


class Socket:
    """A client's way to one tab."""

    _numbers = itertools.count(1)

    def __init__(self, client: Client, name: str, tab: Tab) -> None:
        self._client, self._name, self.tab = client, name, tab
        self.target, self._process = f"page-{next(self._numbers)}", _process(tab)

    async def handle(self, message: dict[str, Any]) -> None:
        if message["method"] == "Target.sendMessageToTarget" and message["params"]["targetId"] == self.target:
            await self._client.pass_on(self, json.loads(message["params"]["message"]))
        await self._send({"id": message["id"], "result": {}})

    async def follow(self) -> None:
        """A tab that is at another site, or has crashed, has a new process, hence a new target."""
        if _process(self.tab) != self._process:
            self._process, old, self.target = _process(self.tab), self.target, f"page-{next(self._numbers)}"
            info = {"targetId": self.target, "type": "page", "isProvisional": True}
            await self.announce("Target.targetCreated", targetInfo=info)
            await self.announce("Target.didCommitProvisionalTarget", oldTargetId=old, newTargetId=self.target)
            await self.announce("Target.targetDestroyed", targetId=old)

    async def announce(self, method: str, **params: Any) -> None:
        await self._send({"method": method, "params": params})

    async def _send(self, message: dict[str, Any]) -> None:
        argument = {
            "WIRApplicationIdentifierKey": APPLICATION,
            "WIRDestinationKey": self._name,
            "WIRMessageDataKey": json.dumps(message).encode(),
        }
        await self._client.push("applicationSentData", argument)


def _process(tab: Tab) -> tuple[str, str, int]:
    parts = urlsplit(tab.url)
    return parts.scheme, parts.netloc, tab.crashes
