"""Rest before a case: how long a phone waits, for what, and what its record says of it. Phones here are imagined."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, repeat
from typing import Any

import pytest

from tritmark.bench.cooldown import POLL_S, Rest, goal, late, temperatures
from tritmark.devices.base import DeviceError


@dataclass
class Phone:
    """Tells one condition after the other, the last one again and again."""

    told: Iterator[Mapping[str, Any]]
    name: str = "android:1"
    needs_rest: bool = True

    def conditions(self) -> Mapping[str, Any]:
        return next(self.told)


@dataclass
class Clock:
    now_s: float = 0.0
    slept: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds
        self.slept.append(seconds)


def battery(*celsius: float, **more: Any) -> Iterator[Mapping[str, Any]]:
    told = [{"temperatures_celsius": {"battery": value, "cpu": 90.0}, **more} for value in celsius]
    return chain(told, repeat(told[-1]))


def rest(clock: Clock, probes: Iterator[float] | None = None, timeout_s: float = 300.0) -> Rest:
    def probe(device: Any) -> float:
        if probes is None:
            raise DeviceError("the phone android:1 is gone: plug the cable in again")
        return next(probes)

    return Rest(timeout_s=timeout_s, probe=probe, clock=lambda: clock.now_s, sleep=clock.sleep)


def test_a_device_that_needs_no_rest_is_not_asked() -> None:
    clock = Clock()
    host = Phone(iter(()), needs_rest=False)
    rest(clock).meet(host)
    assert rest(clock).wait(host, print) is None and clock.slept == []


def test_a_cool_phone_does_not_wait() -> None:
    clock, phone = Clock(), Phone(battery(30.0, 31.5))
    sleeper = rest(clock)
    sleeper.meet(phone)
    report = sleeper.wait(phone, print)
    assert report == {
        "goal": {"battery": 32.0},
        "found": {"battery": 31.5},
        "left": {"battery": 31.5},
        "reached": True,
        "waited_s": 0.0,
    }


def test_a_hot_phone_waits_until_it_is_near_its_first_temperature_and_tells_of_it() -> None:
    clock, heard = Clock(), list[str]()
    sleeper, phone = rest(clock), Phone(battery(30.0, 36.0, 34.0, 32.1, 32.0))
    sleeper.meet(phone)
    sleeper.meet(phone)  # the first impression stands
    report = sleeper.wait(phone, heard.append)
    assert report and report["reached"] and report["waited_s"] == 3 * POLL_S and "missed" not in report
    assert heard == [f"cooling down: battery {now} C, wanted 32.0 C" for now in ("36.0", "34.0", "32.1")]


def test_the_wait_ends_with_its_timeout_and_says_what_was_missed() -> None:
    clock = Clock()
    sleeper, phone = rest(clock, timeout_s=20.0), Phone(battery(30.0, 39.0))
    sleeper.meet(phone)
    report = sleeper.wait(phone, lambda text: None)
    assert report and not report["reached"] and report["waited_s"] == 20.0
    assert report["missed"] == "battery 39.0 C, wanted 32.0 C"


def test_a_phone_that_was_hot_at_first_has_to_get_below_the_cap() -> None:
    assert goal({"battery": 44.0}) == {"battery": 38.0} and goal({"soc": 80.0}) == {"soc": 55.0}


def test_a_thermal_status_has_to_be_none() -> None:
    assert goal({"battery": 30.0, "thermal_status": 2}) == {"battery": 32.0, "thermal_status": 0}
    assert late({"thermal_status": 0}, {"thermal_status": 1}) == "thermal_status 1, wanted 0"


def test_slow_sensors_are_preferred_to_those_of_the_chip() -> None:
    hot = {"temperatures_celsius": {"cpu": 70.0, "skin": 33.0, "battery": 30.0, "soc": 60.0}, "thermal_status": 0}
    assert temperatures(hot) == {"battery": 30.0, "skin": 33.0, "thermal_status": 0}
    assert temperatures({"temperatures_celsius": {"cpu": 70.0, "modem": 20.0}}) == {"cpu": 70.0}
    assert temperatures({}) == temperatures({"temperatures_celsius": {"modem": 20.0}}) == {}


def test_without_a_thermometer_a_probe_has_to_be_as_fast_as_at_first() -> None:
    clock, heard = Clock(), list[str]()
    sleeper = rest(clock, iter((10e6, 14e6, 11e6, 10.4e6)))
    phone = Phone(repeat({"load": 1}))
    sleeper.meet(phone)
    report = sleeper.wait(phone, heard.append)
    assert report and report["reached"] and report["waited_s"] == 2 * POLL_S
    assert report["goal"] == pytest.approx({"probe_ns": 10.5e6}) and report["left"] == {"probe_ns": 10.4e6}
    assert heard[0] == "cooling down: probe_ns 14.00 ms, wanted 10.50 ms"


def test_a_phone_that_is_gone_ends_the_wait_and_leaves_the_rest_to_its_case() -> None:
    clock = Clock()
    sleeper, phone = rest(clock), Phone(chain([{"temperatures_celsius": {"battery": 30.0}}], repeat({})))
    sleeper.meet(phone)
    report = sleeper.wait(phone, print)
    assert report and not report["reached"] and "is gone" in report["missed"] and clock.slept == []


def test_meeting_a_phone_that_does_not_answer_is_no_error() -> None:
    clock = Clock()
    sleeper, phone = rest(clock), Phone(repeat({"unreachable": "no cable"}))
    sleeper.meet(phone)
    report = sleeper.wait(phone, print)
    assert report and not report["reached"] and report["goal"] == {}
