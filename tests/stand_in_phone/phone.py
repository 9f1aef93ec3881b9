"""Phone: the stand-in phone as tests hold it: an adbd, folders, a browser and an adb server that knows it."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import threading
from collections.abc import Coroutine
from pathlib import Path
from types import TracebackType
from typing import Any

from .adbd import Adbd, Connection, State
from .forwarding import Reverse, connect
from .server import AdbServer, adb_programs, wait_until
from .shell import Shell
from .streams import Stream

TIMEOUT_S = 30.0


class Phone:
    """A phone that is plugged in while the ``with`` block runs; nothing of it is left afterwards."""

    def __init__(self, android: str = "14", adb: Path | None = None) -> None:
        self.files = Path(tempfile.mkdtemp(prefix="stand-in-phone-"))
        self.server = AdbServer(adb or adb_programs()[0])
        self._reverse, self._shell = Reverse(), Shell(self.files)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="stand-in phone", daemon=True)
        self._adbd: Adbd

    def __enter__(self) -> Phone:
        (self.files / "data/local/tmp").mkdir(parents=True)
        (self.files / "system/bin").mkdir(parents=True)
        for c in ("cat", "ls", "rm", "mkdir", "echo", "chmod", "timeout", "sleep", "date", "head"):
            (self.files / "system/bin" / c).symlink_to(shutil.which(c))
        self._thread.start()
        self._run(self._start())
        self.server.start()
        self._connect()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.server.stop()
        self._run(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(TIMEOUT_S)
        self._loop.close()
        shutil.rmtree(self.files)

    @property
    def serial(self) -> str:
        return f"127.0.0.1:{self._adbd.port}"

    @property
    def environment(self) -> dict[str, str]:
        return dict(self.server.environment)

    @property
    def calls(self) -> list[str]:
        return self._shell.calls

    @property
    def reverse(self) -> dict[str, str]:
        return dict(self._reverse.targets)

    def state(self, state: State) -> None:
        self._adbd.state = state
        self.unplug()
        self.plug()

    def unplug(self) -> None:
        self._run(self._adbd.stop())
        self.server.run("disconnect", self.serial)

    def plug(self) -> None:
        self._run(self._adbd.start())
        self._connect()

    def _listed(self) -> str | None:
        rows = dict(line.split("\t") for line in self.server.run("devices").splitlines() if "\t" in line)
        return rows.get(self.serial)

    def _connect(self) -> None:
        said = self.server.run("connect", self.serial)
        wait_until(lambda: self._listed() == self._adbd.state, f"{self.serial} to be listed ({said.strip()})")

    async def _start(self) -> None:
        self._adbd = Adbd("ro.product.name=shiba;ro.product.model=Pixel 8;ro.product.device=shiba;", self._serve)
        await self._adbd.start()

    async def _stop(self) -> None:
        await self._adbd.stop()
        await self._shell.close()

    async def _serve(self, connection: Connection, stream: Stream, service: str) -> None:
        kind, _, rest = service.partition(":")
        name, _, arguments = kind.partition(",")
        if name in ("shell", "exec"):
            await self._shell.serve(stream, arguments, rest)
        elif name == "reverse":
            await self._reverse.serve(connection, stream, rest)
        elif name == "tcp":
            await connect(stream, int(rest.rpartition(":")[2]))

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(TIMEOUT_S)
