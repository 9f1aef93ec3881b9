"""Both ways of a page to an iPhone, to their end: a real browser behind a stand-in plays what every device plays."""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType

import psutil
import pytest
from stand_in_iphone import Phone, plugged_in

from tritmark.devices.base import Bundle, DeviceError, finished
from tritmark.devices.browser.session import BrowserSession
from tritmark.devices.ios import iphone, open_device
from tritmark.devices.ios.claim import _held, claim
from tritmark.engine.conformance import golden_plan, probe_plan
from tritmark.engine.plan import Plan

TIMEOUT_S = 240.0
MODEL = "synthetic:tiny"


def bundle(plan: Plan, format: str = "tq2_0") -> Bundle:
    return Bundle(plan=plan, model=MODEL, format=format)


@pytest.fixture(scope="module")
def plugged() -> Iterator[Phone]:
    with plugged_in() as phone:
        yield phone


@pytest.fixture(scope="module")
def untrusted(plugged: Phone) -> Iterator[iphone.InjectedSession]:
    """The first session on a phone that has never seen this computer's certificate."""
    session = open_device(None, TIMEOUT_S).session()
    assert isinstance(session, iphone.InjectedSession)
    yield session
    session.close()


def plays_the_golden_plan(session: BrowserSession, format: str) -> None:
    plan = golden_plan(session.caps, format)
    loaded = session.load(bundle(plan, format))
    trace = finished(session.play(0, len(plan.steps)))
    assert trace.player == "web" and trace.plan_hash == plan.hash
    assert dict(trace.digests) == {probe.name: probe.expect for probe in plan.probes}
    assert loaded.ledger == {role: size for role, size in plan.bytes_by_role().items() if size}


def test_safari_blocks_the_page_until_the_certificate_is_trusted(
    plugged: Phone, untrusted: iphone.InjectedSession
) -> None:
    because = str(untrusted.because)
    assert "Safari does not trust this computer's certificate, which was now sent to the iPhone" in because
    assert "VPN & Device Management" in because and "Certificate Trust Settings" in because
    (profile,) = plugged.state.profiles.values()
    assert profile["PayloadContent"][0]["PayloadType"] == "com.apple.security.root"


@pytest.mark.parametrize("format", ["tq1_0", "tq2_0"])
def test_over_the_cable_a_model_gives_the_digests_of_every_other_device(
    untrusted: iphone.InjectedSession, format: str
) -> None:
    plays_the_golden_plan(untrusted, format)


def test_over_the_cable_slots_can_be_read(untrusted: iphone.InjectedSession) -> None:
    plan = probe_plan(untrusted.caps)
    untrusted.load(bundle(plan))
    assert finished(untrusted.play(0, 1)).digests["arithmetic"] == plan.probes[0].expect
    probe = plan.probes[0]
    assert len(untrusted.read(probe.slot, probe.offset, probe.bytes)) == probe.bytes


def test_more_weights_than_the_cable_should_carry_are_refused_with_the_reason(
    untrusted: iphone.InjectedSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(iphone, "INJECTED_BYTES", 1 << 18)
    refused = r"Certificate Trust Settings.*over the cable alone go at most 0 MiB of weights, here are 1; .*\+inject"
    with pytest.raises(DeviceError, match=refused):
        untrusted.load(bundle(golden_plan(untrusted.caps, "tq1_0"), "tq1_0"))


def test_telemetry_tells_the_battery_and_why_there_is_no_more(
    plugged: Phone, untrusted: iphone.InjectedSession
) -> None:
    told = untrusted.telemetry()
    times = [at_ns for at_ns, _ in told.samples]
    assert times and times == sorted(times)
    assert told.samples[0][1]["battery_celsius"] == 30.49
    assert told.methods["battery_celsius"] == "IORegistry, class IOPMPowerSource"
    assert told.methods["instruments"].startswith("Developer Mode is off")
    assert untrusted.memory() == ()


def test_the_phone_is_kept_awake_while_it_is_ours(plugged: Phone, untrusted: iphone.InjectedSession) -> None:
    assert plugged.state.assertions == ["PreventUserIdleSystemSleep"]


def test_the_tab_is_led_back_and_nothing_goes_on(plugged: Phone, untrusted: iphone.InjectedSession) -> None:
    assert plugged.urls() == ["https://example.com/"]
    untrusted.close()
    assert plugged.urls() == ["about:blank"]
    claim(plugged.udid).release()
    assert plugged.state.assertions == [] and plugged.udid not in _held
    running = [" ".join(process.cmdline()) for process in psutil.Process().children(recursive=True)]
    assert not [command for command in running if "pymobiledevice3" in command or "tritmark" in command]


def test_a_profile_that_is_not_switched_on_is_told_apart(plugged: Phone) -> None:
    with open_device(None, TIMEOUT_S).session() as session:
        assert isinstance(session, iphone.InjectedSession)
        because = str(session.because)
    assert "certificate: Settings > General > About > Certificate Trust Settings: switch on" in because
    claim(plugged.udid).release()


@pytest.fixture(scope="module")
def trusted(plugged: Phone) -> Iterator[BrowserSession]:
    """A session on the phone once its owner has switched on full trust."""
    plugged.trust_authorities()
    device = open_device(None, TIMEOUT_S)
    with device.session() as session:
        assert device.conditions()["route"] == "network"
        yield session


@pytest.mark.parametrize("format", ["tq1_0", "tq2_0"])
def test_over_the_network_a_model_gives_the_digests_of_every_other_device(trusted: BrowserSession, format: str) -> None:
    assert type(trusted) is BrowserSession
    plays_the_golden_plan(trusted, format)


def test_over_the_network_the_page_goes_on_without_the_cable(plugged: Phone, trusted: BrowserSession) -> None:
    plan = probe_plan(trusted.caps)
    trusted.load(bundle(plan))
    plugged.unplug()
    trace = finished(trusted.play(0, 1))
    plugged.plug()
    assert trace.digests == MappingProxyType({"arithmetic": plan.probes[0].expect})


def test_the_cable_can_be_asked_for(plugged: Phone, trusted: BrowserSession) -> None:
    trusted.close()
    device = open_device(f"{plugged.udid}+inject", TIMEOUT_S)
    with device.session() as session:
        assert isinstance(session, iphone.InjectedSession) and session.because is None
        assert device.conditions()["route"] == "cable"


def test_a_phone_in_another_network_is_told_so(plugged: Phone, monkeypatch: pytest.MonkeyPatch) -> None:
    """An address of documentation, where nobody answers."""
    from tritmark.devices.ios import lan

    monkeypatch.setattr(lan, "addresses", lambda: ["198.51.100.7"])
    for name in ("ARRIVAL_S", "RING_S"):
        monkeypatch.setattr(lan, name, 1.0)
    claim(plugged.udid).release()
    with open_device(None, TIMEOUT_S).session() as session:
        assert isinstance(session, iphone.InjectedSession)
        because = str(session.because)
    assert "does not reach this computer at 198.51.100.7: join the same Wi-Fi" in because
