"""A stand-in iPhone plugged into the process that runs the tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tritmark.devices.ios import claim

from .phone import Phone


@contextmanager
def plugged_in() -> Iterator[Phone]:
    """The only iPhone there is while the ``with`` block runs; what was claimed of it is released afterwards."""
    with Phone() as phone, pytest.MonkeyPatch.context() as patch:
        for name, value in phone.environment.items():
            patch.setenv(name, value)
        try:
            yield phone
        finally:
            if phone.udid in claim._held:
                claim._held[phone.udid].release()
