"""Browser: the phone's Chrome, which is this computer's real Chromium without a screen."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import subprocess
import urllib.parse
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import psutil

from .keeper import marked
from .waiting import wait_until

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--remote-debugging-port=0", "--no-first-run",
    "--no-default-browser-check", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-extensions",
)  # fmt: skip
WEBGPU = "--enable-unsafe-webgpu"  # without it headless Chromium has no adapter where there is no GPU
START_TIMEOUT_S = 30.0
END_TIMEOUT_S = 10.0
KINDS = {"renderer": "renderer", "gpu-process": "gpu", "utility": "utility", "zygote": "zygote"}


def chromium() -> str | None:
    """The Chromium of this computer."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """One Chromium at a time. ``folder`` holds its profile, which outlives it, and what else it writes."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._profile = folder, folder / "profile"
        self._process: subprocess.Popen[bytes] | None = None
        self.port: int | None = None  # of its debugging server

    def start(self, url: str, flags: Sequence[str]) -> None:
        """Start it and wait until its debugging server is there."""
        program = chromium()
        if program is None:
            raise RuntimeError("no Chromium is installed (Debian: apt-get install chromium)")
        said = self._profile / "DevToolsActivePort"
        said.unlink(missing_ok=True)
        self._process = subprocess.Popen(
            [program, *FLAGS, *flags, f"--user-data-dir={self._profile}", url],
            env=marked({**os.environ, "HOME": str(self._folder)}, self._folder),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        wait_until(lambda: said.exists() and "\n" in said.read_text(), "Chromium to start", START_TIMEOUT_S)
        self.port = int(said.read_text().split()[0])

    def open_tab(self, url: str) -> None:
        """Open a page in the running browser."""
        self._ask("PUT", f"/json/new?{urllib.parse.quote(url, safe=':/?&=#%')}")

    def show(self, visible: bool) -> None:
        """Make its pages visible or hidden, as their ``document.visibilityState`` then tells."""
        page = self._page()
        if page is None:
            return
        with Debugging(json.loads(self._ask("GET", "/json/version"))) as whole:
            window = whole.call("Browser.getWindowForTarget", targetId=page["id"])["windowId"]
            state = "normal" if visible else "minimized"
            whole.call("Browser.setWindowBounds", windowId=window, bounds={"windowState": state})

    def reload(self) -> None:
        """Load the first page anew."""
        page = self._page()
        assert page is not None
        with Debugging(page) as tab:
            tab.call("Page.reload")

    def _page(self) -> dict[str, Any] | None:
        return next((each for each in json.loads(self._ask("GET", "/json/list")) if each["type"] == "page"), None)

    def stop(self) -> None:
        """End it with all its processes; nothing where none runs."""
        if self._process is None:
            return
        processes = self._tree()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self._process.wait(END_TIMEOUT_S)
        wait_until_gone(processes)
        self._process = self.port = None

    def ended(self) -> tuple[int, int] | None:
        """(pid, exit status as in `subprocess`) if it ended by itself or was killed; told once."""
        if self._process is None or self._process.poll() is None:
            return None
        pid, status = self._process.pid, self._process.returncode
        self.stop()
        return pid, status

    def processes(self) -> list[tuple[int, str]]:
        """(pid, kind) of its processes: "browser" first, then "renderer", "gpu", "utility" and "zygote"."""
        found = []
        for process in self._tree():
            with contextlib.suppress(psutil.Error):
                if not gone(process):
                    found.append((process.pid, _kind(process.cmdline())))
        return found

    def _tree(self) -> list[psutil.Process]:
        if self._process is None or self._process.poll() is not None:
            return []
        try:
            browser = psutil.Process(self._process.pid)
            return [browser, *browser.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def _ask(self, method: str, path: str) -> bytes:
        assert self.port is not None
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=END_TIMEOUT_S)
        try:
            connection.request(method, path)
            return connection.getresponse().read()
        finally:
            connection.close()


class Debugging(AbstractContextManager["Debugging"]):
    """A page of the browser, or the browser itself, over Chrome's debugging protocol."""

    def __init__(self, target: Mapping[str, Any]) -> None:
        from websockets.sync.client import connect

        self._open, self._calls = ExitStack(), 0
        self._socket = self._open.enter_context(connect(target["webSocketDebuggerUrl"], open_timeout=END_TIMEOUT_S))

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def call(self, method: str, **parameters: Any) -> Mapping[str, Any]:
        """The result of a method."""
        self._calls += 1
        self._socket.send(json.dumps({"id": self._calls, "method": method, "params": parameters}))
        while (answer := json.loads(self._socket.recv(END_TIMEOUT_S))).get("id") != self._calls:
            pass  # events
        return dict(answer["result"])


def gone(process: psutil.Process) -> bool:
    """Whether a process has ended; that its parent has not noticed yet does not count."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def wait_until_gone(processes: Sequence[psutil.Process]) -> None:
    """Wait for the end of processes that were killed."""
    wait_until(lambda: all(map(gone, processes)), "Chromium's processes to end", END_TIMEOUT_S)


def _kind(command: Sequence[str]) -> str:
    types = [word.removeprefix("--type=") for word in command if word.startswith("--type=")]
    return KINDS.get(types[0], "utility") if types else "browser"
