"""Changes: everything that is changed on a phone, each as a value that knows how to undo itself.

A change is written to the journal (journal.py) before it is made, so each undo does nothing where there is nothing to
undo. An undo raises DeviceError where the phone is gone or refuses.
"""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import Protocol

from ..base import DeviceError
from . import devtools
from .adb import Adb
from .files import TEMPORARY, push

BY_HAND = "undo this by hand in the phone's settings"


class Change(Protocol):
    def undo(self, adb: Adb) -> None:
        """Put the phone back as it was."""


@dataclass(frozen=True)
class Setting:
    """A system setting; ``old`` is None where it had no value."""

    namespace: str
    name: str
    old: str | None

    def undo(self, adb: Adb) -> None:
        words = (
            ("delete", self.namespace, self.name) if self.old is None else ("put", self.namespace, self.name, self.old)
        )
        adb.must(("settings", *words), BY_HAND)


@dataclass(frozen=True)
class File:
    """A small file; ``old`` is its former content in base64, None where there was none."""

    path: str
    old: str | None
    mode: int

    def undo(self, adb: Adb) -> None:
        if self.old is None:
            adb.must(("rm", "-f", self.path), f"delete {self.path}")
        else:
            push(adb, io.BytesIO(base64.b64decode(self.old)), self.path, self.mode)


@dataclass(frozen=True)
class DebugApp:
    """The app that developers have chosen to debug; ``wait``: it waits for a debugger when it starts."""

    old: str | None
    wait: bool

    def undo(self, adb: Adb) -> None:
        words = ("set-debug-app", *(("-w",) if self.wait else ()), "--persistent", self.old)
        adb.must(("am", "clear-debug-app") if self.old is None else ("am", *map(str, words)), BY_HAND)


@dataclass(frozen=True)
class Running:
    """An app that was started with our settings and has to be ended so that the next start reads the old ones."""

    package: str

    def undo(self, adb: Adb) -> None:
        adb.must(("am", "force-stop", self.package), f"end {self.package} by hand")


@dataclass(frozen=True)
class Reverse:
    """A port of the phone that leads to ``port`` of this computer."""

    port: int

    def undo(self, adb: Adb) -> None:
        for remote, local in adb.reverses().items():
            if local == f"tcp:{self.port}":
                adb.remove_reverse(remote)


@dataclass(frozen=True)
class Tab:
    """A page that was opened in a browser. Where the browser is not running, there is no page to close."""

    package: str
    url: str

    def undo(self, adb: Adb) -> None:
        devtools.close_pages(adb, self.package, self.url)


@dataclass(frozen=True)
class Folder:
    """A folder of ours with all that is in it, and what still runs from it."""

    path: str

    def undo(self, adb: Adb) -> None:
        if not self.path.startswith(TEMPORARY):
            raise DeviceError(f"{self.path} is not one of our folders and stays")
        adb.must(("rm", "-rf", self.path), f"delete {self.path}", timeout_s=60.0)


KINDS: dict[str, type[Change]] = {
    kind.__name__: kind for kind in (Setting, File, DebugApp, Running, Reverse, Tab, Folder)
}


def setting(adb: Adb, namespace: str, name: str) -> Setting:
    """A setting as it is now."""
    value = adb.must(("settings", "get", namespace, name), "start the phone anew").strip()
    return Setting(namespace, name, None if value in ("", "null") else value)


def file(adb: Adb, path: str) -> File:
    """A file as it is now."""
    mode, content = adb.read(path) or (0o644, None)
    return File(path, None if content is None else base64.b64encode(content).decode(), mode)


def debug_app(adb: Adb) -> DebugApp:
    """The chosen debug app as it is now."""
    return DebugApp(setting(adb, "global", "debug_app").old, setting(adb, "global", "wait_for_debugger").old == "1")
