"""iPhones as `tritmark devices` sees them: a stand-in behind the real pymobiledevice3, in every state with a remedy."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from stand_in_iphone import Phone, plugged_in

from tritmark.devices.base import DeviceError
from tritmark.devices.ios import claim, iphone, open_device, sightings
from tritmark.devices.ios.cable import Cable

TIMEOUT_S = 60.0


@pytest.fixture(scope="module")
def plugged() -> Iterator[Phone]:
    with plugged_in() as phone:
        yield phone


@pytest.fixture
def phone(plugged: Phone) -> Iterator[Phone]:
    """The module's phone, as it was before each test."""
    before = dict(vars(plugged.state))
    yield plugged
    vars(plugged.state).update(before)
    plugged.plug()
    if plugged.udid in claim._held:
        claim._held[plugged.udid].release()


@pytest.fixture
def cable() -> Iterator[Cable]:
    made = Cable()
    yield made
    made.close()


def test_a_phone_that_is_ready_is_listed_with_model_and_system(phone: Phone) -> None:
    (seen,) = sightings()
    assert (seen.device, seen.state, seen.remedy) == (f"ios:{phone.udid}", "ready", None)
    assert seen.detail == "iPhone17,1, iOS 26.1"


@pytest.mark.parametrize(
    ("name", "value", "state", "remedy"),
    [
        ("trusted", False, "not trusted", "tap Trust"),
        ("inspector", False, "Web Inspector off", "Settings > Apps > Safari > Advanced > Web Inspector"),
        ("ios", "18.5", "iOS too old (26 needed for WebGPU)", "Software Update"),
    ],
)
def test_a_phone_that_is_not_ready_comes_with_what_to_do(
    phone: Phone, name: str, value: Any, state: str, remedy: str
) -> None:
    phone.set(name, value)
    (seen,) = sightings()
    assert seen.state == state and seen.remedy is not None and remedy in seen.remedy
    assert "iPhone17,1" in seen.detail


def test_looking_asks_no_phone_for_trust(phone: Phone) -> None:
    phone.set("trusted", False)
    sightings()
    assert phone.state.trust_questions == 0


def test_without_a_phone_there_is_nothing_to_list_and_one_line_to_read(phone: Phone) -> None:
    phone.unplug()
    assert sightings() == []
    with pytest.raises(DeviceError, match="no iPhone is plugged in: connect one with a data cable"):
        open_device(None, TIMEOUT_S)


def test_the_only_phone_needs_no_name_and_a_wrong_name_lists_the_others(phone: Phone) -> None:
    assert open_device(None, TIMEOUT_S).name == f"ios:{phone.udid}"
    assert open_device(f"{phone.udid.lower()}+inject", TIMEOUT_S).name == f"ios:{phone.udid}+inject"
    with pytest.raises(DeviceError, match=f"no iPhone 0000 is plugged in; there are: {phone.udid}"):
        open_device("0000", TIMEOUT_S)
    with pytest.raises(DeviceError, match="may stand only inject"):
        open_device(f"{phone.udid}+magic", TIMEOUT_S)


def test_conditions_tell_battery_and_system(phone: Phone) -> None:
    phone.set("battery", {"Temperature": 3512, "CurrentCapacity": 47, "ExternalConnected": False, "IsCharging": False})
    told = open_device(None, TIMEOUT_S).conditions()
    assert told["battery"] == {"percent": 47, "plugged": False} and told["charging"] is False
    assert told["temperatures_celsius"] == {"battery": 35.12}
    assert (told["model"], told["ios"]) == ("iPhone17,1", "26.1")


def test_conditions_of_a_phone_without_trust_tell_what_it_is(phone: Phone) -> None:
    phone.set("trusted", False)
    told = open_device(None, TIMEOUT_S).conditions()
    assert told["ios"] == "26.1" and "battery" not in told


def test_conditions_of_a_phone_that_is_gone_say_so(phone: Phone) -> None:
    device = open_device(None, TIMEOUT_S)
    phone.unplug()
    assert "not plugged in" in device.conditions()["unreachable"]


def test_instruments_say_why_they_tell_nothing(phone: Phone, cable: Cable) -> None:
    def reason() -> str:
        for _ in range(100):
            told = cable.ask("samples", udid=phone.udid)
            if told["reason"]:
                return str(told["reason"])
        pytest.fail("no reason came")

    assert "Developer Mode is off" in reason()
    cable.close()
    phone.set("developer", True)
    assert reason().startswith("Instruments ended: UserspaceTunnelUnavailableError")


def test_the_phone_is_asked_for_trust_when_it_is_to_be_used(phone: Phone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(iphone, "TRUST_S", 1.0)
    phone.set("trusted", False)
    with pytest.raises(DeviceError, match="tap Trust"):
        open_device(None, TIMEOUT_S).session()
    assert phone.state.trust_questions > 0


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("inspector", False, "Web Inspector is off: .*Advanced > Web Inspector"),
        ("ios", "18.5", "iOS 18.5: iOS 26 is needed"),
    ],
)
def test_a_session_on_a_phone_that_is_not_ready_is_one_line(phone: Phone, name: str, value: Any, says: str) -> None:
    device = open_device(None, TIMEOUT_S)
    phone.set(name, value)
    with pytest.raises(DeviceError, match=says) as caught:
        device.session()
    assert "\n" not in str(caught.value)


def test_a_plan_for_safari_may_have_what_safari_leaves_to_a_page(phone: Phone) -> None:
    assert open_device(None, TIMEOUT_S).memory_bytes(None) == 1_500_000_000  # type: ignore[arg-type]


def test_without_the_extra_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    (seen,) = sightings()
    assert (seen.device, seen.state) == ("ios", "unavailable") and "pip install 'tritmark[ios]'" in str(seen.remedy)
    with pytest.raises(DeviceError, match=r"pip install 'tritmark\[ios\]'"):
        open_device(None, TIMEOUT_S)


def test_an_extra_that_is_broken_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pymobiledevice3").mkdir()
    (tmp_path / "pymobiledevice3" / "__init__.py").write_text("raise ImportError('no module named bpylist2')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (seen,) = sightings()
    assert "pip install 'tritmark[ios]' (no module named bpylist2)" in str(seen.remedy)


def test_a_computer_without_usbmuxd_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USBMUXD_SOCKET_ADDRESS", str(tmp_path / "nothing"))
    (seen,) = sightings()
    assert seen.state == "unavailable" and "apt-get install usbmuxd" in str(seen.remedy)


def test_a_worker_that_has_died_is_started_again(phone: Phone, cable: Cable) -> None:
    cable.ask("list")
    assert cable._worker
    cable._worker.kill()
    assert cable.ask("list")["phones"][0]["udid"] == phone.udid
