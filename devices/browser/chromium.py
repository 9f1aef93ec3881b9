"""Chromium, or any browser built from it, of this computer: headless, with a profile of its own.

It brings Tint, the WGSL front end of Chrome on phones. ``chromium:PATH`` chooses the program; ``chromium:gles`` asks
for the adapter behind OpenGL ES (WebGPU's compatibility mode), which is where Mesa's drivers show that Dawn refuses as
Vulkan.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

from ..base import DeviceError
from ..registry import Sighting
from .here import BrowserHere
from .programs import Program, ProgramBrowser

NAMES = (
    "chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "brave-browser", "brave",
    "microsoft-edge", "msedge", "vivaldi", "opera",
)  # fmt: skip
APPS = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
    r"C:\Program Files\Google\Chrome\Application\chrome.exe",
    r"C:\Program Files (x86)\Microsoft\Edge\Application\msedge.exe",
)
FLAGS = (
    "--headless=new", "--disable-dev-shm-usage", "--no-first-run", "--no-default-browser-check",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
    "--disable-background-timer-throttling", "--disable-renderer-backgrounding",
    "--ignore-gpu-blocklist", "--remote-debugging-port=0",
)  # fmt: skip
DIRECT = ("--enable-unsafe-webgpu",)  # without it headless Chromium offers no adapter behind Vulkan
GLES = ("--use-webgpu-adapter=opengles", "--use-gl=angle", "--use-angle=vulkan")
PULSE_S = 3.0  # a page that is alive answers within this
REMEDY = "install one (Debian: sudo apt-get install chromium) or name it: --device chromium:/path/to/chrome"


class Chromium(ProgramBrowser):
    """One headless browser process with an empty profile, gone without a trace when it is closed."""

    def __init__(self, program: str, flags: tuple[str, ...] = DIRECT) -> None:
        super().__init__()
        self._binary, self._flags = program, flags
        self._profile = tempfile.TemporaryDirectory(prefix="tritmark-chromium-", ignore_cleanup_errors=True)

    def open(self, scheme: str, port: int, path: str) -> None:
        root = ("--no-sandbox",) if hasattr(os, "geteuid") and os.geteuid() == 0 else ()
        profile = f"--user-data-dir={self._profile.name}"
        url = f"{scheme}://localhost:{port}{path}"
        command = [self._binary, *FLAGS, *root, *self._flags, profile, url]
        self._program = Program(command, self._environment())

    def debugging_port(self) -> int:
        """Where the browser listens for its developer tools, on loopback; DeviceError where it does not."""
        try:
            return int(Path(self._profile.name, "DevToolsActivePort").read_text(encoding="ascii").split()[0])
        except (OSError, ValueError, IndexError) as error:
            raise DeviceError("the browser does not listen for its developer tools") from error

    def trouble(self) -> str | None:
        return super().trouble() or self._crash()

    def close(self) -> None:
        super().close()
        self._profile.cleanup()

    def _environment(self) -> dict[str, str] | None:
        """A killed browser leaves temporary files; they go with its profile. Elsewhere paths would get too long."""
        return {**os.environ, "TMPDIR": self._profile.name} if sys.platform == "linux" else None

    def _crash(self) -> str | None:
        """Whether the page still thinks: a tab that crashed leaves its browser running."""
        from .devtools import Devtools, Page

        try:
            page = Devtools(self.debugging_port()).pages()[0]
            with Page(page["webSocketDebuggerUrl"]) as tab:
                tab.evaluate("1", PULSE_S)
        except (DeviceError, IndexError):
            return "the browser's tab has crashed or hangs; it may be out of memory: choose a smaller model or workload"
        return None


def find() -> str | None:
    """The first Chromium-family browser of this computer."""
    found = (shutil.which(name) for name in NAMES)
    return next((path for path in found if path), None) or next((app for app in APPS if Path(app).is_file()), None)


def open_device(argument: str | None, timeout_s: float) -> BrowserHere:
    """``argument``: ``gles``, or the path of a browser; None takes the first one there is."""
    flags = GLES if argument == "gles" else DIRECT
    binary = find() if argument in (None, "gles") else shutil.which(argument or "")
    if binary is None:
        what = (
            "no Chromium-family browser was found" if argument in (None, "gles") else f"there is no program {argument}"
        )
        raise DeviceError(f"{what}; {REMEDY}")
    name = f"chromium:{argument}" if argument else "chromium"
    return BrowserHere(name, lambda: Chromium(binary, flags), timeout_s)


def sightings() -> list[Sighting]:
    binary = find()
    return [Sighting(device="chromium", state="ready", detail=binary)] if binary else []
