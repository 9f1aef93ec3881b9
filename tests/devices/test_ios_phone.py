"""A real iPhone, where one is plugged in: what no stand-in can show."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tritmark.bench.verify import verify
from tritmark.devices.base import Device
from tritmark.devices.ios import open_device, sightings
from tritmark.devices.ios.claim import _held

TIMEOUT_S = 600.0

pytestmark = pytest.mark.device


@pytest.fixture
def iphone() -> Iterator[Device]:
    """A real phone that is ready. Without one: skip."""
    ready = [seen.device for seen in sightings() if seen.state == "ready"]
    if not ready:
        pytest.skip("needs a real iPhone that `tritmark devices` calls ready")
    yield open_device(ready[0].removeprefix("ios:"), TIMEOUT_S)
    for held in list(_held.values()):
        held.release()


def test_safari_computes_exactly_and_tells_how_the_phone_feels(iphone: Device) -> None:
    verdict = verify(iphone)
    assert verdict.exact and verdict.reason is None
    assert verdict.caps and verdict.caps.dialect == "webkit"
    told = iphone.conditions()
    assert told["route"] in ("network", "cable") and 0 < told["temperatures_celsius"]["battery"] < 60
