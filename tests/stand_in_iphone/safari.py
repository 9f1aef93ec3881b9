"""Safari: headless Chromium that stands for the iPhone's browser, with its tabs, over Chromium's debugging protocol.

The address https://example.com is answered here, so that a test finds one secure page without a network. A tab whose
process died is loaded again, as Safari does.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import os
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tritmark.devices.browser.chromium import FLAGS
from tritmark.devices.child import end_tree

START_S = 30.0
EXAMPLE = "https://example.com/*"
EXAMPLE_PAGE = base64.b64encode(b"<!doctype html><title>Example Domain</title><h1>Example Domain</h1>").decode()


@dataclass
class Tab:
    """One page, by the number that Web Inspector gives it."""

    number: int
    session: str
    url: str
    title: str
    crashes: int = 0


class Safari:
    """Runs until closed. ``changed`` is awaited whenever a tab has opened, closed or gone elsewhere."""

    def __init__(self, program: str, flags: Sequence[str], changed: Callable[[], Awaitable[None]]) -> None:
        self._command, self._changed = [program, *FLAGS, *flags, "--remote-debugging-port=0"], changed
        self._process: asyncio.subprocess.Process
        self._socket: ClientConnection
        self._reading: asyncio.Task[None]
        self._ids, self._numbers = itertools.count(1), itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._running: set[asyncio.Future[Any]] = set()
        self.tabs: dict[str, Tab] = {}  # by Chromium's target

    async def start(self, url: str = "about:blank") -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="stand-in-safari-", ignore_cleanup_errors=True)
        home = {**os.environ, "HOME": self._folder.name, "XDG_CONFIG_HOME": self._folder.name}
        root = ["--no-sandbox"] if os.geteuid() == 0 else []
        arguments = [*self._command, *root, f"--user-data-dir={self._folder.name}/profile", url]
        nothing = asyncio.subprocess.DEVNULL
        self._process = await asyncio.create_subprocess_exec(*arguments, stdout=nothing, stderr=nothing, env=home)
        port, path = await self._listening()
        self._socket = await connect(f"ws://127.0.0.1:{port}{path}", max_size=None, compression=None, proxy=None)
        self._reading = asyncio.create_task(self._read())
        await self.call(None, "Target.setDiscoverTargets", discover=True)
        await self.call(None, "Target.setAutoAttach", autoAttach=True, waitForDebuggerOnStart=False, flatten=True)
        async with asyncio.timeout(START_S):
            while not self.tabs:
                await asyncio.sleep(0.02)

    async def _listening(self) -> tuple[str, str]:
        file = Path(self._folder.name, "profile", "DevToolsActivePort")
        async with asyncio.timeout(START_S):
            while not file.exists() or len(file.read_text().split()) < 2:
                await asyncio.sleep(0.05)
        port, path = file.read_text().split()
        return port, path

    async def close(self) -> None:
        self._reading.cancel()
        with suppress(asyncio.CancelledError):
            await self._reading
        end_tree(self._process.pid)
        await self._process.wait()
        for future in self._waiting.values():
            future.cancel()
        self.tabs.clear()
        self._folder.cleanup()

    def pids(self) -> list[int]:
        """Chromium's processes, the main one first."""
        with suppress(psutil.NoSuchProcess):
            main = psutil.Process(self._process.pid)
            return [main.pid, *(child.pid for child in main.children(recursive=True))]
        return []

    def renderers(self) -> list[int]:
        """The processes that compute for pages."""
        return [pid for pid in self.pids() if "--type=renderer" in psutil.Process(pid).cmdline()]

    async def close_tabs(self) -> None:
        """As a person would."""
        for target in list(self.tabs):
            await self.call(None, "Target.closeTarget", targetId=target)

    async def open_tab(self) -> None:
        await self.call(None, "Target.createTarget", url="about:blank")

    async def reload(self) -> None:
        for tab in self.tabs.values():
            await self.call(tab.session, "Page.reload")

    async def call(self, session: str | None, method: str, **params: Any) -> dict[str, Any]:
        """One request of Chromium's protocol and its whole answer, which has ``result`` or ``error``."""
        number = next(self._ids)
        future = self._waiting[number] = asyncio.get_running_loop().create_future()
        message = {"id": number, "method": method, "params": params, **({"sessionId": session} if session else {})}
        await self._socket.send(json.dumps(message))
        return await future

    async def _read(self) -> None:
        with suppress(ConnectionClosed):
            async for text in self._socket:
                message = json.loads(text)
                if "id" in message:
                    self._waiting.pop(message["id"]).set_result(message)
                    continue
                handler = getattr(self, "_on_" + message["method"].replace(".", "_"), None)
                if handler:
                    task = asyncio.ensure_future(handler(message.get("sessionId"), message["params"]))
                    self._running.add(task)
                    task.add_done_callback(self._running.discard)

    async def _on_Target_attachedToTarget(self, _: str, params: Mapping[str, Any]) -> None:  # noqa: N802
        info, session = params["targetInfo"], params["sessionId"]
        if info["type"] != "page":
            return
        self.tabs[info["targetId"]] = Tab(next(self._numbers), session, info["url"], info["title"])
        await self.call(session, "Fetch.enable", patterns=[{"urlPattern": EXAMPLE}])
        await self._changed()

    async def _on_Fetch_requestPaused(self, session: str, params: Mapping[str, Any]) -> None:  # noqa: N802
        html = [{"name": "Content-Type", "value": "text/html"}]
        await self.call(
            session, "Fetch.fulfillRequest",
            requestId=params["requestId"], responseCode=200, responseHeaders=html, body=EXAMPLE_PAGE,
        )  # fmt: skip

    async def _on_Target_targetInfoChanged(self, _: str, params: Mapping[str, Any]) -> None:  # noqa: N802
        info = params["targetInfo"]
        tab = self.tabs.get(info["targetId"])
        if tab:
            tab.url, tab.title = info["url"], info["title"]
            await self._changed()

    async def _on_Target_targetDestroyed(self, _: str, params: Mapping[str, Any]) -> None:  # noqa: N802
        self.tabs.pop(params["targetId"], None)
        await self._changed()

    async def _on_Inspector_targetCrashed(self, session: str, params: Mapping[str, Any]) -> None:  # noqa: N802
        for tab in self.tabs.values():
            tab.crashes += tab.session == session
        await self.call(session, "Page.reload")
        await self._changed()
