"""Phones for the Android tests: the stand-in one with a state folder of its own, and a real one that is plugged in."""

from __future__ import annotations

import atexit
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from stand_in_phone import Phone, adb_programs, fixtures

from tritmark.devices.android import claim
from tritmark.devices.android.adb import Adb
from tritmark.devices.base import DeviceError

plugged_in = fixtures.plugged_in


@pytest.fixture
def phone(plugged_in: Callable[..., Phone]) -> Iterator[Phone]:
    """A stand-in phone with Android 14; what a test has claimed of it is free again afterwards."""
    yield plugged_in()
    _release_claims()


@pytest.fixture(scope="module")
def long_plugged_in() -> Iterator[Phone]:
    """The same for all tests of a file."""
    if not adb_programs():
        pytest.skip("needs an adb program: pip install adbutils brings one")
    with Phone() as phone, pytest.MonkeyPatch.context() as patch:
        fixtures.alone(patch, phone)
        yield phone
        _release_claims()


def _release_claims() -> None:
    atexit.unregister(claim._last_try)
    for held in claim._held.values():
        held.lock.release()
    claim._held.clear()


@pytest.fixture
def adb(phone: Phone) -> Adb:
    """What reaches that phone."""
    return Adb(phone.serial)


@pytest.fixture(scope="session")
def untouched() -> Callable[[Phone], dict[str, Any]]:
    """What a run has to put back on a phone, and the journals it keeps until then; to be compared before and after."""

    def look(phone: Phone) -> dict[str, Any]:
        folder = phone.files / "data/local/tmp"
        there = {
            path.relative_to(folder).as_posix(): path.is_file() and path.read_bytes() for path in folder.rglob("*")
        }
        return {
            "files": there,
            "settings": phone.settings,
            "debug_app": phone.debug_app,
            "reverse": phone.reverse,
            "browser": phone.browser_pids(),
            "journals": list(claim.state_folder().glob("*.json")),
        }

    return look


@pytest.fixture
def android_phone() -> Adb:
    """A real phone. Without one: skip."""
    from tritmark.devices.android.discovery import find

    try:
        return Adb(find(None).serial)
    except DeviceError as error:
        pytest.skip(f"needs a real phone: {error}")
