"""Pages that tests run: a Chromium-family browser of this machine with the web player in it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tritmark.devices.browser import chromium
from tritmark.devices.browser.here import BrowserHere
from tritmark.devices.browser.session import BrowserSession

TIMEOUT_S = 240.0


def binary() -> str:
    """The browser; without one: skip, or fail where REQUIRE_GPU=1 says that nothing may be skipped."""
    found = chromium.find()
    if found is None:
        if os.environ.get("REQUIRE_GPU") == "1":
            pytest.fail("REQUIRE_GPU=1, but there is no Chromium-family browser")
        pytest.skip("needs a Chromium-family browser")
    return found


class Opened:
    """A session and the browser behind it."""

    def __init__(self, *flags: str, direct: bool = True) -> None:
        self.browser = chromium.Chromium(binary(), (*(chromium.DIRECT if direct else ()), *flags))
        self.device = BrowserHere("chromium", lambda: self.browser, TIMEOUT_S)
        self.session: BrowserSession = self.device.session()


@contextmanager
def page(*flags: str) -> Iterator[Opened]:
    """A page that has said hello; the browser is gone at the end."""
    opened = Opened(*flags)
    try:
        yield opened
    finally:
        opened.session.close()
