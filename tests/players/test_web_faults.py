"""What goes wrong around a page in a real browser: one line that says what, soon, and nothing left behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import psutil
import pytest
from browser_runs import TIMEOUT_S, binary

from tritmark.devices.base import Bundle, DeviceError
from tritmark.devices.browser import chromium
from tritmark.devices.browser.devtools import Devtools, Page
from tritmark.devices.browser.here import BrowserHere
from tritmark.devices.browser.session import BrowserSession
from tritmark.engine.conformance import probe_plan
from tritmark.engine.plan import Plan

SILENCE_S = 6
GONE_S = 5.0


class Impatient(chromium.Chromium):
    """A browser whose page is given up after a few seconds."""

    def listen(self) -> Mapping[str, Any]:
        return {**super().listen(), "silence_s": SILENCE_S}


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """Every process that a test started is gone soon after it; those of tests before it do not count."""
    before = set(running())
    yield
    deadline_s = time.monotonic() + GONE_S
    while (left := {pid: command for pid, command in running().items() if pid not in before}) and (
        time.monotonic() < deadline_s
    ):
        time.sleep(0.1)
    assert not left


def running() -> dict[int, str]:
    """Processes that descend from this one and still run: by number, what they are."""
    found = {}
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if process.status() != psutil.STATUS_ZOMBIE:
                found[process.pid] = " ".join(process.cmdline())[:200]
    return found


def opened(*flags: str) -> tuple[Impatient, BrowserSession]:
    browser = Impatient(binary(), (*chromium.DIRECT, *flags))
    return browser, BrowserHere("chromium", lambda: browser, TIMEOUT_S).session()


def long_plan(session: BrowserSession) -> Plan:
    """A run of many seconds that compiles at once: the exactness probe, over and over."""
    plan = probe_plan(session.caps)
    return replace(plan, steps=plan.steps * 20_000)


def failure(act: Callable[[chromium.Chromium], None], *flags: str) -> str:
    """What a session says when ``act`` strikes in the middle of a run."""
    browser, session = opened(*flags)
    with session:
        plan = long_plan(session)
        session.load(Bundle(plan=plan, model="synthetic:tiny", format="tq2_0"))
        timer = threading.Timer(1.0, act, [browser])
        timer.start()
        began = time.monotonic()
        try:
            trace = session.play(0, len(plan.steps))
        except DeviceError as error:
            said = str(error)
        else:
            assert trace.status == "failed" and not trace.digests
            said = trace.reason or ""
        timer.join()
    assert time.monotonic() - began < 2 * SILENCE_S + 8
    assert "\n" not in said
    return said


def command(browser: chromium.Chromium, method: str) -> None:
    """Say something to the first page of a browser over its debugging port."""
    tools = Devtools(browser.debugging_port())
    with Page(tools.pages()[0]["webSocketDebuggerUrl"]) as page:
        page.send(method)
        time.sleep(0.2)  # a page that crashes sends no answer to wait for


def test_a_killed_browser_is_told_with_its_signal() -> None:
    assert "signal 9" in failure(lambda browser: browser.kill())


def test_a_crashed_tab_is_told_apart_from_a_slow_one() -> None:
    assert "has crashed" in failure(lambda browser: command(browser, "Page.crash"))


def test_a_reloaded_page_ends_the_run() -> None:
    assert "reloaded" in failure(lambda browser: command(browser, "Page.reload"))


def test_a_lost_gpu_is_a_failed_trace() -> None:
    def crash_gpu(browser: chromium.Chromium) -> None:
        version = Devtools(browser.debugging_port()).get("/json/version")
        with Page(version["webSocketDebuggerUrl"], "the browser") as whole:
            whole.send("Browser.crashGpuProcess")
            time.sleep(0.2)

    assert "the GPU device was lost" in failure(crash_gpu)


def test_a_browser_without_an_adapter_says_so_at_once() -> None:
    browser = Impatient(binary(), ())  # headless Chromium offers no adapter unless it is asked for the unsafe ones
    began = time.monotonic()
    with pytest.raises(DeviceError, match="found no adapter"):
        BrowserHere("chromium", lambda: browser, TIMEOUT_S).session()
    assert time.monotonic() - began < 30


def test_a_browser_that_cannot_start_is_named() -> None:
    device = BrowserHere("chromium", lambda: chromium.Chromium("/nowhere/chrome"), TIMEOUT_S)
    with pytest.raises(DeviceError, match="cannot start /nowhere/chrome"):
        device.session()


def test_an_unknown_browser_is_answered_with_what_to_do() -> None:
    with pytest.raises(DeviceError, match="there is no program /nowhere/chrome; install one"):
        chromium.open_device("/nowhere/chrome", 10)


def test_a_link_nobody_opens_ends_after_a_while() -> None:
    class Idle(chromium.Chromium):
        def open(self, scheme: str, port: int, path: str) -> None:
            """A browser that opens nothing."""

    with pytest.raises(DeviceError, match="no page said hello within 1 s"):
        BrowserSession(Idle(binary()), timeout_s=TIMEOUT_S, images="", hello_timeout_s=1)
