"""The debugging protocol of a browser, spoken to a real Chromium."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from browser_runs import binary

from tritmark.devices.base import DeviceError
from tritmark.devices.browser.chromium import FLAGS
from tritmark.devices.browser.devtools import Devtools, Page, PageGoneError
from tritmark.devices.browser.programs import Program

START_S = 30.0


@dataclass(frozen=True)
class Opened:
    """A browser and where it can be debugged."""

    browser: Program
    port: int


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    profile = tmp_path_factory.mktemp("profile")
    root = ["--no-sandbox"] if os.geteuid() == 0 else []
    ports = ["--remote-debugging-port=0", f"--user-data-dir={profile}"]
    browser = Program([binary(), *FLAGS, *root, *ports, "about:blank"])
    yield Opened(browser, _port(profile / "DevToolsActivePort"))
    browser.close()


def _port(file: Path) -> int:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if file.exists() and file.read_text().split():
            return int(file.read_text().split()[0])
        time.sleep(0.05)
    pytest.fail("the browser did not open its debugging port")


@pytest.fixture
def page(opened: Opened) -> Iterator[Page]:
    (found,) = Devtools(opened.port).pages()
    with Page(found["webSocketDebuggerUrl"]) as page:
        yield page


def test_values_come_as_json(page: Page) -> None:
    assert page.evaluate("({ a: [1, 'zwei', null], b: true })") == {"a": [1, "zwei", None], "b": True}
    assert page.evaluate("undefined") is None


def test_what_an_expression_throws_is_one_line(page: Page) -> None:
    with pytest.raises(DeviceError, match=r"^the page threw: TypeError: no\s") as caught:
        page.evaluate("(() => { throw new TypeError('no'); })()")
    assert "\n" not in str(caught.value)


def test_a_request_that_the_browser_does_not_know_is_one_line(page: Page) -> None:
    with pytest.raises(DeviceError, match=r"the page: 'Nothing\.here' wasn't found"):
        page.finish(page.send("Nothing.here"))


def test_questions_may_overtake_each_other(page: Page) -> None:
    started = [page.start(f"{number} * 2") for number in range(50)]
    assert [page.finish(each) for each in reversed(started)] == [number * 2 for number in reversed(range(50))]


def test_what_takes_time_is_asked_for_again(page: Page) -> None:
    page.evaluate("setTimeout(() => { globalThis.ready = 'yes'; }, 300); 1")
    assert page.until("globalThis.ready", 5.0) == "yes"
    assert not page.until("globalThis.never", 0.3)


def test_a_question_without_an_answer_ends(page: Page) -> None:
    before = time.monotonic()
    with pytest.raises(DeviceError, match=r"did not answer within 0\.5 s"):
        page.evaluate("(() => { const end = Date.now() + 1500; while (Date.now() < end); })()", 0.5)
    assert time.monotonic() - before < 1.5


def test_a_page_is_led_elsewhere(page: Page) -> None:
    page.navigate("about:blank#there")
    assert page.until("location.hash === '#there'", 10.0)


def test_a_port_where_nobody_listens_is_one_line() -> None:
    with pytest.raises(DeviceError, match="the debugging port 9 does not answer"):
        Devtools(9).pages()
    with pytest.raises(PageGoneError, match="cannot debug the page"):
        Page("ws://127.0.0.1:9/devtools/page/1")


def test_a_browser_that_ends_is_noticed_by_those_who_wait(opened: Opened, page: Page) -> None:
    waiting = page.start("(() => { const end = Date.now() + 60000; while (Date.now() < end); })()")
    time.sleep(0.3)
    opened.browser.close()
    with pytest.raises(PageGoneError, match="the connection to the page has ended"):
        page.finish(waiting, 10.0)
    with pytest.raises(PageGoneError):
        page.evaluate("1")
