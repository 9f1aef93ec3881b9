"""What goes wrong with an iPhone in the middle of a matrix: one failed row that says so, and later cases still run.

One matrix on one stand-in phone, case after case; something happens to the phone in most of them. What is played is the
exactness probe, many times over where a case has to last.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from threading import Timer
from typing import Any

import pytest
from stand_in_iphone import Phone, plugged_in

from tritmark.bench.case import Case
from tritmark.bench.cooldown import Rest
from tritmark.bench.prepare import Prepared
from tritmark.bench.run import run_matrix
from tritmark.bench.verify import Verdict
from tritmark.devices.base import Device
from tritmark.devices.ios import claim, iphone, lan, open_device, safari
from tritmark.devices.ios.injected import InjectedSafari
from tritmark.devices.ios.lan import LanSafari
from tritmark.devices.ios.relay import Relay
from tritmark.engine.conformance import golden_plan, probe_plan
from tritmark.engine.plan import Caps
from tritmark.results.record import Record

MODEL = "synthetic:tiny"
TIMEOUT_S = 240.0
SILENCE_S = 6
LONG_STEPS = 20_000
IN_THE_RUN_S = 0.3
NETWORK, CABLE = "ios", "ios:+inject"

Act = Callable[[Phone], Any]


@dataclass(frozen=True, kw_only=True)
class Fault:
    """``act`` strikes when the case reaches ``stage``; ``undo`` is what the person does when the row is there."""

    device: str
    stage: str = "compile"  # before any session
    act: Act = lambda phone: None
    undo: Act = lambda phone: None
    says: str | None = None  # None: nothing is wrong


def setting(name: str, value: Any) -> Act:
    return lambda phone: phone.set(name, value)


def anew(name: str, value: Any) -> Act:
    """A setting that a run finds which begins now."""

    def change(phone: Phone) -> None:
        let_go(phone)
        phone.set(name, value)

    return change


def let_go(phone: Phone) -> None:
    if phone.udid in claim._held:
        claim._held[phone.udid].release()


locks: list[Any] = []


def take(phone: Phone) -> None:
    """As another process would that runs something on the phone."""
    let_go(phone)
    locks.append(claim._lock(phone.udid))


def give_back(phone: Phone) -> None:
    locks.pop().release()


def trust(phone: Phone) -> None:
    """Switch on full trust; a run that begins now finds the network."""
    phone.trust_authorities()
    claim.claim(phone.udid).lan_failure = None
    lan.ARRIVAL_S = 20.0


RUN, WEIGHTS = "warm-up 1", "weights"
FAULTS = {
    "another run": Fault(
        device=CABLE, act=take, undo=give_back, says="another run is using the iPhone .*: wait for its end"
    ),
    "not trusted": Fault(
        device=CABLE, act=anew("trusted", False), undo=setting("trusted", True), says="tap Trust in the question"
    ),
    "iOS too old": Fault(
        device=CABLE, act=anew("ios", "18.5"), undo=anew("ios", "26.1"), says="has iOS 18.5: iOS 26 is needed"
    ),
    "unplugged while weights go": Fault(
        device=CABLE, stage=WEIGHTS, undo=Phone.plug, says="the iPhone is not plugged in any more"
    ),
    "unplugged in a run": Fault(
        device=CABLE, stage=RUN, act=Phone.unplug, undo=Phone.plug, says="the iPhone is not plugged in any more"
    ),
    "Web Inspector switched off in a run": Fault(
        device=CABLE, stage=RUN, act=setting("inspector", False), undo=setting("inspector", True),
        says="Web Inspector is off",
    ),
    "no trust for the certificate": Fault(
        device=NETWORK, undo=trust,
        says="Safari does not trust this computer's certificate.*over the cable alone go at most 0 MiB .*inject",
    ),
    "tab closed": Fault(
        device=NETWORK, stage=RUN, act=Phone.close_tabs, undo=Phone.open_tab, says="Safari has closed the page"
    ),
    "page reloaded": Fault(device=NETWORK, stage=RUN, act=Phone.reload, says="Safari's page was reloaded"),
    "memory ran out": Fault(device=NETWORK, stage=RUN, act=Phone.crash_pages, says="because memory ran out"),
    "screen locked": Fault(
        device=NETWORK, stage=RUN, act=Phone.lock, undo=Phone.unlock, says="the iPhone is locked: unlock it"
    ),
    "Safari ended": Fault(device=NETWORK, stage=RUN, act=Phone.end_safari, says="Safari has closed the page"),
    "nothing": Fault(device=NETWORK),
}  # fmt: skip


CASES = [
    Case(model=MODEL, format="tq2_0", workload=name, device=fault.device, repetitions=1)
    for name, fault in FAULTS.items()
]


def prepare(case: Case, caps: Caps) -> Prepared:
    """Cases are named after their faults; those that strike in a run get a long one."""
    fault = FAULTS[case.workload]
    if fault.stage == WEIGHTS or fault.undo is trust:
        plan = golden_plan(caps, case.format)
    else:
        plan = probe_plan(caps)
        plan = replace(plan, steps=plan.steps * (LONG_STEPS if fault.stage == RUN else 1))
    return Prepared(plan=plan, first_decode=len(plan.steps), prompt_tokens=1, model_sha256="0")


@cache
def caps_of(phone: Phone) -> Caps:
    with open_device(None, TIMEOUT_S).session() as session:
        return session.caps


def strike_at_weights(patch: pytest.MonkeyPatch, strike: Callable[[], None]) -> None:
    """The only weights that go over the cable are those of one case."""
    exchange = Relay._exchange

    def striking(relay: Relay, request: Mapping[str, Any]) -> Any:
        if "/weights/" in str(request["url"]):
            strike()
        return exchange(relay, request)

    patch.setattr(Relay, "_exchange", striking)


def be_impatient(patch: pytest.MonkeyPatch) -> None:
    """Wait for what will not come only as long as a stand-in needs."""
    for browser in (LanSafari, InjectedSafari):
        listen = browser.listen
        patch.setattr(browser, "listen", lambda self, listen=listen: {**listen(self), "silence_s": SILENCE_S})
    patch.setattr(lan, "ARRIVAL_S", 3.0)
    patch.setattr(safari, "LOOK_S", 2.0)
    patch.setattr(iphone, "TRUST_S", 1.0)
    patch.setattr(iphone, "INJECTED_BYTES", 0)


@pytest.fixture(scope="module")
def rows() -> Iterator[dict[str, Record]]:
    """One row a fault."""
    with pytest.MonkeyPatch.context() as patch, plugged_in() as phone:
        be_impatient(patch)
        strike_at_weights(patch, phone.unplug)

        def tell(case: Case, stage: str) -> None:
            fault = FAULTS[case.workload]
            if stage == fault.stage == RUN:
                Timer(IN_THE_RUN_S, fault.act, [phone]).start()
            elif stage == fault.stage:
                fault.act(phone)

        def check(device: Device) -> Verdict:
            return Verdict(caps=caps_of(phone), exact=True, reason=None)

        found = {}
        rest = Rest(timeout_s=0, probe=lambda device: 1.0)
        for record in run_matrix(CASES, prepare=prepare, check=check, tell=tell, rest=rest):
            FAULTS[record.workload].undo(phone)
            found[record.workload] = record
        yield found


@pytest.mark.parametrize("name", [name for name, fault in FAULTS.items() if fault.says])
def test_a_row_says_what_happened(rows: dict[str, Record], name: str) -> None:
    row, says = rows[name], FAULTS[name].says
    assert row.status == "failed" and row.reason and "\n" not in row.reason
    assert says and re.search(says, row.reason), row.reason


def test_later_cases_still_run(rows: dict[str, Record]) -> None:
    assert list(rows) == list(FAULTS)
    last = rows["nothing"]
    assert last.status == "ok", last.reason
    assert last.digest and last.samples_ns


def test_a_phone_that_is_gone_says_so_in_the_conditions(rows: dict[str, Record]) -> None:
    conditions = rows["unplugged in a run"].conditions
    assert conditions and "not plugged in" in conditions["after"]["unreachable"]
