"""Both ways of a page to an iPhone, to their end: a real browser behind a stand-in plays what every device plays."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import psutil
import pytest
from engine_runs import reference_run
from stand_in_iphone import Phone, plugged_in

from tritmark.bench import verify as checks
from tritmark.bench.case import Case
from tritmark.bench.forecast import forecast
from tritmark.bench.measure import combined_digest
from tritmark.bench.run import run_matrix
from tritmark.bench.verify import Verdict, verify
from tritmark.devices.base import Bundle, Device, DeviceError, finished
from tritmark.devices.browser.session import BrowserSession
from tritmark.devices.ios import iphone, lan, open_device
from tritmark.devices.ios.claim import _held, claim
from tritmark.devices.session import caps_from_json
from tritmark.engine.conformance import golden_plan, probe_plan
from tritmark.engine.formats.model import open_model
from tritmark.engine.inference import Workload, compile_workload, parse_format
from tritmark.engine.plan import Plan
from tritmark.results.record import Record

TIMEOUT_S = 240.0
MODEL, WORKLOAD, FORMATS = "synthetic:tiny", "decode:2", ("tq1_0", "tq2_0")
TOO_LARGE = "synthetic:13B"
BLOCKED_S = 3.0  # the stand-in shows at once that it does not trust a certificate


def bundle(plan: Plan, format: str = "tq2_0") -> Bundle:
    return Bundle(plan=plan, model=MODEL, format=format)


def cases(device: str, model: str = MODEL) -> list[Case]:
    return [Case(model=model, format=each, workload=WORKLOAD, device=device, repetitions=1) for each in FORMATS]


def passed(device: Device) -> Verdict:
    """In place of the exactness probe and the golden check, which one route goes through."""
    with device.session() as session:
        return Verdict(caps=session.caps, exact=True, reason=None)


def gives_the_reference_s_bits(record: Record) -> None:
    """The record's digest is that of NumPy, which went through the same plan."""
    assert record.status == "ok", record.reason
    model, caps = open_model(MODEL), caps_from_json(record.caps or {})
    compiled = compile_workload(model, parse_format(record.format), Workload.parse(WORKLOAD), caps)
    reference = reference_run(compiled, model, record.format)
    arrays = {probe.name: reference.arrays[probe.name] for probe in compiled.plan.probes}
    digests = {name: hashlib.sha256(array.tobytes()).hexdigest() for name, array in arrays.items()}
    assert (record.player, record.plan_hash) == ("web", compiled.plan.hash)
    assert record.digest == combined_digest(digests) and set(digests) == {"tokens", "logits"}


def tells_how_the_phone_felt(record: Record, route: str) -> None:
    assert record.conditions and record.telemetry
    before, after, rest = (record.conditions[name] for name in ("before", "after", "rest"))
    assert (before["model"], before["ios"], before["route"]) == ("iPhone17,1", "26.1", route)
    assert before["battery"] == {"percent": 81, "plugged": True} == after["battery"]
    assert rest["goal"] == {"battery": pytest.approx(32.49)} and rest["reached"]
    assert all(values["battery_celsius"] == 30.49 for _, values in record.telemetry["samples"])
    assert record.telemetry["methods"]["battery_celsius"] == "IORegistry, class IOPMPowerSource"
    assert record.telemetry["methods"]["instruments"].startswith("Developer Mode is off")


def nothing_is_left(phone: Phone) -> None:
    """No page of ours, no assertion, no lock, no process."""
    assert phone.urls() == ["about:blank"]
    claim(phone.udid).release()
    assert phone.state.assertions == [] and phone.udid not in _held
    running = [" ".join(process.cmdline()) for process in psutil.Process().children(recursive=True)]
    assert not [command for command in running if "pymobiledevice3" in command or "tritmark" in command]


@pytest.fixture(scope="module")
def plugged() -> Iterator[Phone]:
    with plugged_in() as phone:
        yield phone


@pytest.fixture(scope="module")
def untrusted(plugged: Phone) -> Iterator[iphone.InjectedSession]:
    """The first session on a phone that has never seen this computer's certificate."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lan, "ARRIVAL_S", BLOCKED_S)
        session = open_device(None, TIMEOUT_S).session()
    assert isinstance(session, iphone.InjectedSession)
    yield session
    session.close()


def test_safari_blocks_the_page_until_the_certificate_is_trusted(
    plugged: Phone, untrusted: iphone.InjectedSession
) -> None:
    because = str(untrusted.because)
    assert "Safari does not trust this computer's certificate, which was now sent to the iPhone" in because
    assert "VPN & Device Management" in because and "Certificate Trust Settings" in because
    (profile,) = plugged.state.profiles.values()
    assert profile["PayloadContent"][0]["PayloadType"] == "com.apple.security.root"


def test_over_the_cable_slots_can_be_read(untrusted: iphone.InjectedSession) -> None:
    plan = probe_plan(untrusted.caps)
    untrusted.load(bundle(plan))
    assert finished(untrusted.play(0, 1)).digests["arithmetic"] == plan.probes[0].expect
    probe = plan.probes[0]
    assert len(untrusted.read(probe.slot, probe.offset, probe.bytes)) == probe.bytes


def test_the_phone_is_kept_awake_while_it_is_ours(plugged: Phone, untrusted: iphone.InjectedSession) -> None:
    assert plugged.state.assertions == ["PreventUserIdleSystemSleep"]
    assert plugged.urls() == ["https://example.com/"]


def test_a_profile_that_is_not_switched_on_is_told_apart(
    plugged: Phone, untrusted: iphone.InjectedSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    untrusted.close()
    nothing_is_left(plugged)
    monkeypatch.setattr(lan, "ARRIVAL_S", BLOCKED_S)
    with open_device(None, TIMEOUT_S).session() as session:
        assert isinstance(session, iphone.InjectedSession)
        because = str(session.because)
    assert "certificate: Settings > General > About > Certificate Trust Settings: switch on" in because


def test_over_the_cable_a_model_gives_the_digest_of_the_reference(plugged: Phone) -> None:
    records = list(run_matrix(cases(f"ios:{plugged.udid}+inject"), check=passed))
    assert [record.format for record in records] == list(FORMATS)
    for record in records:
        gives_the_reference_s_bits(record)
        tells_how_the_phone_felt(record, "cable")
    nothing_is_left(plugged)


@pytest.fixture(scope="module")
def trusting(plugged: Phone) -> Phone:
    """The phone once its owner has switched on full trust."""
    plugged.trust_authorities()
    return plugged


def test_over_the_network_a_model_gives_the_digest_of_the_reference(
    trusting: Phone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "GOLDEN_FORMATS", ("tq1_0",))  # both are compared with the reference below
    records = list(run_matrix(cases("ios"), check=verify))
    assert [record.format for record in records] == list(FORMATS)
    for record in records:
        gives_the_reference_s_bits(record)
        tells_how_the_phone_felt(record, "network")
        assert record.exact is True
    nothing_is_left(trusting)


@pytest.fixture(scope="module")
def trusted(trusting: Phone) -> Iterator[tuple[iphone.IPhone, BrowserSession]]:
    """A phone and a session on it, over the network."""
    device = open_device(None, TIMEOUT_S)
    assert isinstance(device, iphone.IPhone)
    with device.session() as session:
        assert type(session) is BrowserSession
        yield device, session


def test_what_is_beyond_safari_s_limits_does_not_fit(trusted: tuple[iphone.IPhone, BrowserSession]) -> None:
    """Its memory for a page, and the buffers that it allows; bindings are cut to what is allowed."""
    device, session = trusted
    small = replace(session.caps, limits={**session.caps.limits, "maxBufferSize": 1 << 16})
    for model, caps, says in ((TOO_LARGE, session.caps, "has 1,431 MiB"), (MODEL, small, "allows buffers of 65,536")):
        for case in cases("ios", model):
            told = forecast(case, caps, device.memory_bytes(caps), None)
            assert not told["fits"] and says in told["reason"]


def test_a_plan_beyond_a_limit_is_refused_before_a_weight_is_sent(
    trusted: tuple[iphone.IPhone, BrowserSession],
) -> None:
    device, session = trusted
    plan = golden_plan(session.caps, "tq2_0")
    huge = replace(plan.slots[-1], bytes=session.caps.limit("maxBufferSize") + 4)
    with pytest.raises(DeviceError, match="allows buffers of"):
        session.load(bundle(replace(plan, slots=(*plan.slots[:-1], huge))))
    assert weight_files(device) == []


def weight_files(device: iphone.IPhone) -> list[Path]:
    """What was made to be sent."""
    return list(Path(device._images.name).iterdir())


def test_over_the_network_the_page_goes_on_without_the_cable(
    trusting: Phone, trusted: tuple[iphone.IPhone, BrowserSession]
) -> None:
    _, session = trusted
    plan = probe_plan(session.caps)
    session.load(bundle(plan))
    trusting.unplug()
    trace = finished(session.play(0, 1))
    trusting.plug()
    assert trace.digests == MappingProxyType({"arithmetic": plan.probes[0].expect})
    session.close()


def test_a_case_that_does_not_fit_is_a_row_without_a_weight_sent(trusting: Phone) -> None:
    device = open_device(None, TIMEOUT_S)
    assert isinstance(device, iphone.IPhone)
    (record,) = run_matrix(cases("ios", TOO_LARGE)[:1], device_of=lambda spec: device, check=passed)
    assert record.status == "failed" and record.load_ns == {"cold": (), "warm": ()}
    assert "the plan needs" in str(record.reason) and "1,431 MiB" in str(record.reason)
    assert weight_files(device) == []


def test_a_phone_in_another_network_is_told_so(plugged: Phone, monkeypatch: pytest.MonkeyPatch) -> None:
    """An address of documentation, where nobody answers."""
    monkeypatch.setattr(lan, "addresses", lambda: ["198.51.100.7"])
    for name in ("ARRIVAL_S", "RING_S"):
        monkeypatch.setattr(lan, name, 1.0)
    claim(plugged.udid).release()
    with open_device(None, TIMEOUT_S).session() as session:
        assert isinstance(session, iphone.InjectedSession)
        because = str(session.because)
    assert "does not reach this computer at 198.51.100.7: join the same Wi-Fi" in because
