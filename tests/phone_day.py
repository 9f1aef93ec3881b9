"""A bad day of a phone: one campaign in which every case meets a fault, and what was seen of it.

The phone is the stand-in behind the real adb server, with a real Chromium. Cases play the exactness probe, which
compiles at once, in place of a model.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from imagined_device import CAPS
from phone_page import wait_for
from stand_in_phone import Phone, PretendedServer

from tritmark.bench.case import Case
from tritmark.bench.cooldown import Rest
from tritmark.bench.prepare import Prepared
from tritmark.bench.run import run_matrix
from tritmark.bench.verify import Verdict
from tritmark.devices.android import claim
from tritmark.devices.android.adb import Adb
from tritmark.devices.registry import open_device
from tritmark.engine.conformance import golden_plan, probe_plan
from tritmark.engine.plan import Plan, Slot
from tritmark.results.record import Record

PHONE_CAPS = replace(CAPS, dialect="tint", features=())
MODEL, FORMAT = "synthetic:tiny", "tq2_0"
INTO_PLAY_S = 0.3
OTHER_RUN = """
import sys
from tritmark.devices.android.adb import Adb
from tritmark.devices.android.claim import claim
claim(Adb(sys.argv[1]))
print("claimed", flush=True)
sys.stdin.read()
"""


def probe() -> Plan:
    return probe_plan(PHONE_CAPS)


def long_probe() -> Plan:
    """Many seconds of work."""
    return replace(probe(), steps=probe().steps * 20_000)


def probe_that_needs_f16() -> Plan:
    """Chromium has no 16-bit floats where it computes on the processor."""
    return replace(probe(), features=("shader-f16",))


def probe_with_a_huge_buffer() -> Plan:
    return replace(probe(), slots=(*probe().slots, Slot(id="huge", bytes=2 << 30, role="state")))


def model_with_weights() -> Plan:
    return golden_plan(PHONE_CAPS, FORMAT)


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What happens to a case, and how it is mended once its row is written."""

    row: str  # how the reason begins that the row gives; PHONE stands for the serial number; empty: the case is fine
    strike: Callable[[Day], None] = lambda day: None
    at: str = "cold load"  # the stage at whose begin it strikes
    in_play: bool = False  # a little later, in the middle of the play that the stage consists of
    plan: Callable[[], Plan] = probe
    heal: Callable[[Day], None] = lambda day: None


@dataclass
class Day:
    """The phone, what its faults need, and by fault what was seen."""

    phone: Phone
    untouched: Callable[[Phone], dict[str, Any]]
    borrowed: ExitStack = field(default_factory=ExitStack)  # another run, another adb server
    strikes: list[Future[None]] = field(default_factory=list)
    rows: dict[str, Record] = field(default_factory=dict)
    changed: dict[str, set[str]] = field(default_factory=dict)  # on the phone and in its journal, as the row came
    left: dict[str, set[str]] = field(default_factory=dict)  # the same once the phone was well again

    def run(self, faults: Mapping[str, Fault]) -> None:
        """One campaign with a case for each fault."""
        before, device = self.untouched(self.phone), f"android:{self.phone.serial}"
        by_workload = {f"prefill:{number}": fault for number, fault in enumerate(faults.values(), 1)}
        cases = [Case(model=MODEL, format=FORMAT, workload=workload, device=device) for workload in by_workload]

        def changed() -> set[str]:
            now = self.untouched(self.phone)
            return {what for what in now if now[what] != before[what]}

        with ThreadPoolExecutor(1) as thread, self.borrowed:

            def tell(case: Case, stage: str) -> None:
                fault = by_workload[case.workload]
                if stage == fault.at and fault.in_play:
                    self.strikes.append(thread.submit(self._strike_soon, fault))
                elif stage == fault.at:
                    fault.strike(self)

            records = run_matrix(
                cases,
                tell=tell,
                prepare=lambda case, caps: prepared(by_workload[case.workload].plan()),
                device_of=lambda spec: open_device(spec, timeout_s=60.0),
                check=lambda device: Verdict(caps=PHONE_CAPS, exact=True, reason=None),
                rest=Rest(timeout_s=0.0),
            )
            for name, record in zip(faults, records, strict=True):
                self.rows[name], self.changed[name] = record, changed()
                faults[name].heal(self)
                claim.recover(Adb(self.phone.serial))
                self.left[name] = changed()
        for strike in self.strikes:
            strike.result()

    def _strike_soon(self, fault: Fault) -> None:
        time.sleep(INTO_PLAY_S)
        fault.strike(self)

    def run_elsewhere(self) -> None:
        """Let another process use the phone."""
        command = (sys.executable, "-c", OTHER_RUN, self.phone.serial)
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.borrowed.callback(process.communicate)
        assert process.stdout and process.stdout.readline() == "claimed\n"

    def replace_adb(self) -> None:
        """Let an adb server of another version be the one that answers."""
        server = self.borrowed.enter_context(PretendedServer(40))
        patch = self.borrowed.enter_context(pytest.MonkeyPatch.context())
        for name, value in server.environment.items():
            patch.setenv(name, value)

    def give_back(self) -> None:
        """End the other run, or the other adb server."""
        self.borrowed.close()

    def plug(self) -> None:
        """Put the cable back, once it is quite out."""
        phone = self.phone
        wait_for(lambda: phone.serial not in phone.server.run("devices"), "the adb server to forget the phone")
        phone.plug()


def prepared(plan: Plan) -> Prepared:
    return Prepared(plan=plan, first_decode=len(plan.steps), prompt_tokens=1, model_sha256="0" * 64)
