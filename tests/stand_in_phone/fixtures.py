"""Fixtures with a stand-in phone. A test file imports those it wants: ``from stand_in_phone.fixtures import phone``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from .browser import chromium
from .phone import Phone
from .server import adb_programs


def alone(monkeypatch: pytest.MonkeyPatch, phone: Phone) -> None:
    """Let adb, adbutils and what is kept per user see this phone's adb server and home, and not the user's."""
    for name in ("ADB_SERVER_SOCKET", "ANDROID_SERIAL", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in phone.environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def plugged_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Phone]]:
    """``plugged_in(android="13")`` plugs a phone in; a second call a further one, at the same adb server."""
    if not adb_programs():
        pytest.skip("needs an adb program: pip install adbutils brings one")
    with ExitStack() as stack:
        phones: list[Phone] = []

        def plug_in(**options: Any) -> Phone:
            if phones:
                options = {"server": phones[0].server, **options}
            phones.append(stack.enter_context(Phone(**options)))
            alone(monkeypatch, phones[0])
            return phones[-1]

        yield plug_in


@pytest.fixture
def phone(plugged_in: Callable[..., Phone]) -> Phone:
    """A phone with Android 14, plugged in, in the environment of this test alone."""
    return plugged_in()


@pytest.fixture
def browsing_phone(phone: Phone) -> Phone:
    """The same where Chromium is there for it to open."""
    if chromium() is None:
        pytest.skip("needs Chromium (Debian: apt-get install chromium)")
    return phone
