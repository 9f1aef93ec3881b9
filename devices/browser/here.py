"""What devices share whose player is a program of this computer other than the host's own."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from tritmark.engine.plan import Caps

from .session import Browser, BrowserSession


class BrowserHere:
    """A browser of this computer as a device. ``browser`` makes one that has not been opened yet."""

    needs_rest = False
    exclusive = False

    def __init__(self, name: str, browser: Callable[[], Browser], timeout_s: float) -> None:
        self.name = name
        self._browser, self._timeout_s = browser, timeout_s
        self._images = tempfile.TemporaryDirectory(prefix="tritmark-images-")

    def adapters(self) -> list[Mapping[str, Any]]:
        with self.session() as session:
            return [asdict(session.caps)]

    def session(self) -> BrowserSession:
        return BrowserSession(self._browser(), timeout_s=self._timeout_s, images=self._images.name)

    def conditions(self) -> Mapping[str, Any]:
        from ..conditions import read_conditions

        return read_conditions()

    def memory_bytes(self, caps: Caps) -> int | None:
        """Free system memory where the adapter shares it; browsers do not tell that of other GPUs."""
        if caps.kind in ("cpu", "integrated"):
            import psutil

            return psutil.virtual_memory().available
        return None

    def forget(self, model: str) -> None:
        """Weights come through the page's own connection each time; nothing is cached there."""
