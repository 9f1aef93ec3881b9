"""Phone: the stand-in phone as tests hold it: an adbd, folders, a browser, and an adb server that knows it.

Everything but the phone is real: the adb server, adbutils, Chromium. One thread runs the adbd; commands run as
processes of this computer.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import threading
from collections.abc import Coroutine
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

from .adbd import Adbd, Connection, State
from .browser import Browser
from .commands import COMMANDS, answer
from .control import Control
from .forwarding import Reverse, connect
from .keeper import Keeper, end, marked
from .server import AdbServer, adb_programs
from .shell import Shell
from .streams import Stream
from .sync import Sync
from .system import System
from .waiting import wait_until

TIMEOUT_S, ATTEMPTS = 30.0, 5
FOLDERS = ("data/local/tmp", "sdcard/Download", "storage/emulated/0", "system/bin", "proc", "sys")


class Phone:
    """A phone that is plugged in while the ``with`` block runs; nothing of it is left afterwards.

    ``files`` is the folder of this computer that is the phone's root, ``calls`` the commands that arrived, in order.
    """

    def __init__(self, android: str = "14", adb: Path | None = None, server: AdbServer | None = None) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="stand-in-"))
        self.files = self._folder / "phone"
        self._own_server = server is None
        self.server = server or AdbServer(adb or adb_programs()[0])
        self._system = System(android, self.files, Browser(self._folder))
        self._shell, self._reverse = Shell(self.files, marked({}, self._folder)), Reverse()
        self._sync = Sync(self.files, lambda: self._system.condition.free_bytes)
        self._control = Control(partial(answer, self._system))
        self._adbd = Adbd(self._identity(), self._serve)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="stand-in phone", daemon=True)
        self._plugged = False
        self._keeper: Keeper

    def __enter__(self) -> Phone:
        self._keeper = Keeper(self._folder, *([self.server.home] if self._own_server else []))
        self._make_files()
        self._thread.start()
        try:
            self._run(self._control.start(self.files / "system/bin", COMMANDS))
            self.server.start()
            self.plug()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End everything and delete the phone's files; each step is taken, whatever becomes of those before it."""
        with ExitStack() as last_first:
            last_first.callback(self._keeper.dismiss)
            last_first.callback(shutil.rmtree, self._folder, ignore_errors=True)
            last_first.callback(self._end_thread)
            last_first.callback(end, self._folder)
            last_first.callback(self._system.browser.stop)
            if self._own_server:
                last_first.callback(self.server.stop)
            if self._plugged:
                last_first.callback(self.unplug)

    @property
    def serial(self) -> str:
        """The phone's name in `adb devices`."""
        return f"127.0.0.1:{self._adbd.port}"

    @property
    def environment(self) -> dict[str, str]:
        """Variables with which adb and adbutils find this phone's adb server, and only this."""
        return dict(self.server.environment)

    @property
    def calls(self) -> list[str]:
        """Shell commands that arrived, in order."""
        return self._shell.calls

    @property
    def reverse(self) -> dict[str, str]:
        """Reversed ports as the phone sees them: its end -> the computer's."""
        return dict(self._reverse.targets)

    @property
    def settings(self) -> dict[str, str | None]:
        """Settings that were changed, as in ``{"global/stay_on_while_plugged_in": "15"}``; None: deleted."""
        return self._system.changed_settings

    @property
    def debug_app(self) -> str | None:
        """The app that developers have chosen to debug."""
        return self._system.settings.get("global/debug_app")

    def set(self, name: str, value: Any) -> None:
        """Change the phone's condition; condition.py has the names."""
        with self._system.lock:
            self._system.change(name, value)

    def state(self, state: State) -> None:
        """How `adb devices` shows it from now on: "device", "unauthorized" or "offline"."""
        self.unplug()
        self._adbd.state = state
        self.plug()

    def unplug(self) -> None:
        """Pull the cable: every connection is cut at once, and the adb server forgets the phone."""
        self._plugged = False
        self._run(self._adbd.stop())
        self._forget()

    def unplug_when(self, words: bytes) -> None:
        """Pull the cable when a page sends ``words`` through a reversed port; they do not arrive any more."""
        self._reverse.when(words, self.unplug)

    def plug(self) -> None:
        """Put the cable back and wait until the adb server lists the phone."""
        self._plugged = True
        wanted, self._adbd.state = self._adbd.state, "device" if self._adbd.state == "offline" else self._adbd.state
        self._run(self._adbd.start())
        self._introduce()
        if wanted == "offline":  # so adb calls a phone that it knows and that does not answer any more
            self._adbd.state = "offline"
            self._run(self._adbd.stop())
            wait_until(lambda: self._listed() == "offline", f"{self.serial} to be listed as offline")

    def _introduce(self) -> None:
        """Let the adb server connect; it may still be busy with the connection before, so more than once."""
        for attempt in range(ATTEMPTS):
            said = self.server.run("connect", self.serial).strip()
            try:
                what = f"{self.serial} to be listed as {self._adbd.state} ({said})"
                wait_until(lambda: self._listed() == self._adbd.state, what, TIMEOUT_S / ATTEMPTS)
            except TimeoutError:
                if attempt == ATTEMPTS - 1:
                    raise
                self._forget()
            else:
                return

    def _forget(self) -> None:
        """Let the adb server take the phone from its list."""
        self.server.run("disconnect", self.serial)
        wait_until(lambda: self._listed() is None, f"{self.serial} to be forgotten")

    def browser_pids(self, kind: str | None = None) -> list[int]:
        """Processes of the running browser, its own first; ``kind``: "browser", "renderer", "gpu", "utility"."""
        return [pid for pid, each in self._system.browser.processes() if kind in (None, each)]

    def reload(self) -> None:
        """Load the browser's page anew, as somebody does who pulls it down."""
        self._system.browser.reload()

    def kill(self, kind: str, reason: str = "LOW_MEMORY") -> None:
        """Let the phone end the browser's processes of a kind and remember why; system.py has the reasons."""
        with self._system.lock:
            self._system.kill(kind, reason)

    def _listed(self) -> str | None:
        rows = dict(line.split("\t") for line in self.server.run("devices").splitlines() if "\t" in line)
        return rows.get(self.serial)

    def _identity(self) -> str:
        known = self._system.texts.properties()
        names = (f"ro.product.{name}" for name in ("name", "model", "device"))
        return "".join(f"{name}={known[name]};" for name in names)

    def _make_files(self) -> None:
        for folder in FOLDERS:
            (self.files / folder).mkdir(parents=True)
        available = {"available": f"{self._system.condition.available_memory_bytes // 1024:>8}"}
        for path, content in self._system.texts.files(available):
            (self.files / path).parent.mkdir(parents=True, exist_ok=True)
            (self.files / path).write_text(content)

    def _end_thread(self) -> None:
        self._run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(TIMEOUT_S)
        self._loop.close()

    async def _end(self) -> None:
        await self._shell.close()
        await self._control.stop()
        await asyncio.get_running_loop().shutdown_default_executor()

    async def _serve(self, connection: Connection, stream: Stream, service: str) -> None:
        kind, _, rest = service.partition(":")
        name, _, arguments = kind.partition(",")
        if name in ("shell", "exec"):
            await self._shell.serve(stream, arguments, rest)
        elif name == "sync":
            await self._sync.serve(stream)
        elif name == "reverse" and self._system.condition.reverse:
            await self._reverse.serve(connection, stream, rest)
        elif name == "tcp":
            await connect(stream, int(rest.rpartition(":")[2]))
        elif service == "localabstract:chrome_devtools_remote":
            await connect(stream, self._system.browser.port)
        # anything else is closed without having been accepted: adb reports "closed"

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(TIMEOUT_S)
