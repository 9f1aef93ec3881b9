"""The page as a person sees it, in a real Chromium: what it shows of a run, what it asks, why it cannot play."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from browser_runs import Opened, page

from tritmark.devices.base import Bundle, DeviceError
from tritmark.devices.browser.devtools import Devtools, Page
from tritmark.engine.conformance import probe_plan

AWAY = "Object.defineProperty(Navigator.prototype, 'gpu', {get: () => undefined})"  # as a browser without WebGPU
PHONE = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
AGENTS = {
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/114.0.0.0 Mobile Safari/537.36": (
        "This is version 114 of the browser; WebGPU came with 121."
    ),
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 "
    "Mobile/15E148 Safari/604.1": "This is Safari 18; WebGPU needs iOS 26.",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/140.0 "
    "Mobile/15E148 Safari/604.1": "Other browsers of an iPhone may have no WebGPU.",
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0": "This Firefox has no WebGPU here.",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36": (
        "The browser is new enough, but its WebGPU is switched off."
    ),
}
OFFER: dict[str, Any] = {
    "models": ["synthetic:tiny", "a-model-with-a-name-that-is-longer-than-any-phone-is-wide-and-goes-on.gguf"],
    "writers": ["a-model-with-a-name-that-is-longer-than-any-phone-is-wide-and-goes-on.gguf"],
    "formats": ["tq1_0", "tq2_0", "tq1_0>tq2_0"],
    "workloads": ["decode:2", "prefill:2"],
    "prompt": "Once upon a time",
}


class Seen:
    """A session and a debugger that looks at its page."""

    def __init__(self, opened: Opened) -> None:
        self.session, self.browser = opened.session, opened.browser
        (found,) = Devtools(opened.browser.debugging_port()).pages()
        self.url = str(found["url"])
        self.tab = Page(found["webSocketDebuggerUrl"])

    def text(self, part: str = "body") -> str:
        """What is visible of a part of the page."""
        return str(self.tab.evaluate(f"document.querySelector({part!r}).innerText"))

    def waits_for(self, text: str, part: str = "body") -> bool:
        return bool(self.tab.until(f"document.querySelector({part!r}).innerText.includes({text!r})", 20))

    def asked(self, act: str) -> dict[str, Any]:
        """What the page answers to an offer once ``act`` (JavaScript that has ``form``) was done with the form."""
        with ThreadPoolExecutor(1) as thread:
            answer = thread.submit(self.session.ask, "choose", **OFFER)
            assert self.tab.until("!document.getElementById('ask').hidden", 20)
            self.tab.evaluate(f"{{ const form = document.getElementById('ask'); {act} }}")
            return answer.result(20)


@pytest.fixture(scope="module")
def seen() -> Iterator[Seen]:
    with page() as opened:
        yield Seen(opened)


def test_it_tells_the_device_and_waits(seen: Seen) -> None:
    assert seen.waits_for("Waiting for the computer", "#title")
    device = seen.text("#device")
    assert "Adapter" in device and seen.session.caps.adapter in device and "WebGPU" in device


def test_it_shows_the_model_the_format_and_how_far_it_is(seen: Seen) -> None:
    plan = probe_plan(seen.session.caps)
    seen.session.load(Bundle(plan=plan, model="synthetic:tiny", format="tq1_0>tq2_0"))
    shown = " ".join(seen.text("#model").split())
    assert "Name synthetic:tiny" in shown and "Format tq1_0 in the file, tq2_0 in memory" in shown
    assert seen.session.play(0, len(plan.steps)).status == "ok"
    assert seen.waits_for("Waiting for the computer", "#title")


def test_it_shows_speed_and_text_and_takes_nothing_for_markup(seen: Seen) -> None:
    seen.session.ask(
        "show", text="a <b>bold</b> bird", tokens_per_s=12.34, note="Warm-up 1", numbers=[["GPU MiB", "7"]]
    )
    assert seen.text("#rate") == "12.3" and seen.text("#text") == "a <b>bold</b> bird"
    assert seen.text("#note") == "Warm-up 1" and "GPU MiB\n7" in seen.text("#result")
    assert seen.tab.evaluate("document.querySelectorAll('b').length") == 0
    seen.session.ask("show", tokens_per_s=1234.5)
    assert seen.text("#rate") in ("1234", "1235") and seen.text("#text") == "a <b>bold</b> bird"


def test_what_a_person_chooses_comes_back(seen: Seen) -> None:
    measured = seen.asked("form.elements.format.value = 'tq2_0'; form.requestSubmit()")
    expected = {"model": "synthetic:tiny", "format": "tq2_0", "workload": "decode:2", "prompt": None}
    assert {name: measured[name] for name in expected} == expected
    written = seen.asked(
        "form.querySelector('[value=write]').click(); form.elements.prompt.value = 'a bird'; form.requestSubmit()"
    )
    expected = {"model": OFFER["writers"][0], "format": "tq2_0", "workload": None, "prompt": "a bird"}
    assert {name: written[name] for name in expected} == expected, "the format of before stays chosen"
    assert seen.tab.evaluate("document.getElementById('ask').hidden") is True


def test_nothing_is_wider_than_a_phone(seen: Seen) -> None:
    seen.tab.send("Emulation.setDeviceMetricsOverride", **PHONE).result(20)
    with ThreadPoolExecutor(1) as thread:
        answer = thread.submit(seen.session.ask, "choose", **OFFER)
        assert seen.tab.until("!document.getElementById('ask').hidden", 20)
        seen.tab.evaluate(
            "document.querySelector('[value=write]').click(); document.querySelector('details').open = true"
        )
        assert seen.tab.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
        controls = "[...document.querySelectorAll('button, select, textarea, fieldset label')]"
        heights = f"{controls}.filter((part) => part.offsetParent).map((part) => part.offsetHeight)"
        assert seen.tab.evaluate(f"Math.min(...{heights})") >= 44, "too low for a finger"
        seen.tab.evaluate("document.getElementById('ask').requestSubmit()")
        answer.result(20)
    seen.tab.send("Emulation.clearDeviceMetricsOverride").result(20)


def test_it_may_fetch_from_nowhere_else(seen: Seen) -> None:
    told = "(event) => { window.told = event.violatedDirective; }"
    listen = f"document.addEventListener('securitypolicyviolation', {told})"
    seen.tab.evaluate(f"{listen}; fetch('http://127.0.0.1:9/').catch(() => {{}}) && null")
    assert seen.tab.until("window.told", 20) == "connect-src"


def explained(seen: Seen, agent: str, *, secure: bool = True) -> dict[str, Any]:
    """What the page would say on a browser without WebGPU that calls itself ``agent``."""
    about = f"{{gpu: false, secure: {str(secure).lower()}, agent: {agent!r}, android: null, touch: false}}"
    seen.tab.evaluate(
        "window.told = null; import('./explain.js').then(({explain}) => "
        f"{{ window.told = explain(new Error('no WebGPU'), {about}); }}) && null"
    )
    told = seen.tab.until("window.told", 20)
    assert isinstance(told, dict)
    return told


@pytest.mark.parametrize(("agent", "says"), AGENTS.items())
def test_each_browser_without_webgpu_is_told_what_it_lacks(seen: Seen, agent: str, says: str) -> None:
    told = explained(seen, agent)
    assert told["what"] == f"WebGPU is missing in this page. {says}" and told["remedy"]


def test_a_page_over_plain_http_is_told_to_come_over_https(seen: Seen) -> None:
    told = explained(seen, next(iter(AGENTS)), secure=False)
    assert "plain http" in told["what"] and any("tritmark serve --lan" in line for line in told["remedy"])


def failed(seen: Seen, act: Callable[[], object]) -> str:
    """What the session says when ``act`` strikes while a person is asked."""
    timer = threading.Timer(0.5, act)
    timer.start()
    with pytest.raises(DeviceError) as caught:
        seen.session.ask("choose", **OFFER)
    timer.join()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_page_that_is_closed_says_farewell() -> None:
    with page() as opened:
        seen = Seen(opened)
        said = failed(seen, lambda: seen.tab.navigate("about:blank"))
    assert said.startswith("the page was closed or reloaded; leave it open")


def test_a_reloaded_page_says_that_its_link_is_used() -> None:
    with page() as opened:
        seen = Seen(opened)
        said = failed(seen, lambda: seen.tab.send("Page.reload").result(20))
        assert said.startswith("the page was closed or reloaded")
        assert seen.waits_for("This link") and seen.waits_for("Open the newest link that the computer shows.")


def test_a_page_without_webgpu_explains_itself() -> None:
    with page() as opened:
        seen = Seen(opened)
        seen.tab.send("Page.enable").result(20)
        seen.tab.send("Page.addScriptToEvaluateOnNewDocument", source=AWAY).result(20)
        seen.tab.send("Page.reload").result(20)
        assert seen.waits_for("WebGPU is missing in this page."), seen.text()
        assert "switched off" in seen.text("#note") and seen.tab.evaluate("document.querySelectorAll('li').length") > 1
