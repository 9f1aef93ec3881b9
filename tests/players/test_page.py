"""The page as a person sees it, in a real Chromium: what it shows of a run, what it asks, why it cannot play."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from browser_runs import Opened, page
from page_client import Server, running

from tritmark.devices.base import Bundle, DeviceError
from tritmark.devices.browser.devtools import Devtools, Page
from tritmark.engine.conformance import probe_plan

AWAY = "Object.defineProperty(Navigator.prototype, 'gpu', {get: () => undefined})"  # as a browser without WebGPU
BLOCKED = "if (navigator.gpu) navigator.gpu.requestAdapter = async () => null"  # as one whose GPU is blocked
MAC = (
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1"
)
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
PLACE = """(() => {
  const unit = document.querySelector("#speed abbr").getBoundingClientRect();
  return { left: unit.left, bottom: document.getElementById("now").getBoundingClientRect().bottom,
    text: document.getElementById("rate").textContent };
})()"""
# The texts whose contrast is below 4.5:1 (WCAG 2.2, 1.4.3), and how many were looked at.
FAINT = """(() => {
  const numbers = (color) => color.match(/[\\d.]+/g).map(Number);
  const light = (color) => numbers(color).slice(0, 3).map((part) => part / 255)
    .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
    .reduce((sum, part, index) => sum + part * [0.2126, 0.7152, 0.0722][index], 0);
  const behind = (part) => {
    const color = getComputedStyle(part).backgroundColor;
    return numbers(color)[3] === 0 && part.parentElement ? behind(part.parentElement) : color;
  };
  const texts = [...document.querySelectorAll("body *")].filter((part) => part.checkVisibility()
    && [...part.childNodes].some((node) => node.nodeType === 3 && node.data.trim()));
  const contrast = (part) => {
    const [less, more] = [light(getComputedStyle(part).color), light(behind(part))].sort((a, b) => a - b);
    return (more + 0.05) / (less + 0.05);
  };
  return [texts.filter((part) => contrast(part) < 4.5).map((part) => part.outerHTML), texts.length];
})()"""


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


def computed(seen: Seen, module: str, body: str) -> Any:
    """What an async function of ``module`` returns in the page; ``body`` calls the module ``it``."""
    made = f"import('./{module}').then(async (it) => {{ {body} }})"
    seen.tab.evaluate(f"window.told = null; {made}.then((value) => {{ window.told = {{ value }}; }}) && null")
    told = seen.tab.until("window.told", 20)
    assert told, f"{module} threw"
    return told["value"]


def explained(seen: Seen, agent: str = "", said: str = "no WebGPU", **about: Any) -> dict[str, Any]:
    """What the page would say of an error on a browser that calls itself ``agent``; by default one without WebGPU."""
    known = json.dumps({"gpu": False, "secure": True, "agent": agent, "android": None, "touch": False, **about})
    found: dict[str, Any] = computed(seen, "explain.js", f"return it.explain(new Error({said!r}), {known});")
    return found


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


@pytest.mark.parametrize(
    ("about", "says"),
    [
        ({"agent": MAC, "touch": True}, "This is Safari 18; WebGPU needs iOS 26."),  # an iPad calls itself a Mac
        ({"agent": MAC}, "Safari has WebGPU since macOS 26."),
        ({"agent": "Mozilla/5.0 (Linux; Android 10; K) Chrome/156.0.0.0 Mobile", "android": 11}, "This is Android 11"),
        ({"said": "the server answered 410: the page was closed or reloaded", "gpu": True}, "has been used already"),
        ({"said": "the server answered 410: the page has been silent for 20 s", "gpu": True}, "silent for 20 s."),
        ({"said": "the computer that opened this page does not answer any more", "gpu": True}, "does not answer."),
        ({"said": "x is undefined", "gpu": True}, "X is undefined."),
    ],
)
def test_each_failure_is_explained(seen: Seen, about: dict[str, Any], says: str) -> None:
    told = explained(seen, **about)
    assert says in told["what"] and told["title"] and told["remedy"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_what_is_behind_it(seen: Seen, scheme: str) -> None:
    seen.session.ask("show", text="a bird", note="Warm-up 1", tokens_per_s=7.0, numbers=[["GPU MiB", "7"]])
    preference = [{"name": "prefers-color-scheme", "value": scheme}]
    seen.tab.send("Emulation.setEmulatedMedia", features=preference).result(20)
    seen.tab.evaluate("document.getElementById('ask').hidden = false")
    faint, count = seen.tab.evaluate(FAINT)
    seen.tab.evaluate("document.getElementById('ask').hidden = true")
    seen.tab.send("Emulation.setEmulatedMedia", features=[]).result(20)
    assert faint == [] and count > 20


def test_numbers_that_change_move_nothing(seen: Seen) -> None:
    places = []
    for speed in (0.0, 0.537, 7.27, 58.8):
        seen.session.ask("show", tokens_per_s=speed)
        places.append(seen.tab.evaluate(PLACE))
    assert places[0]["text"] == "0.00" and places[-1]["text"] == "58.8"
    assert len({(place["left"], place["bottom"]) for place in places}) == 1


def test_a_number_with_a_long_name_stays_in_one_line(seen: Seen) -> None:
    seen.tab.send("Emulation.setDeviceMetricsOverride", **PHONE).result(20)
    numbers = [["Seconds until it was throttled for the first time", "12.5"], ["ITL ms", "15.0/21.4/27.6"]]
    seen.session.ask("show", numbers=numbers)
    heights = seen.tab.evaluate("[...document.querySelectorAll('#numbers dd')].map((part) => part.offsetHeight)")
    seen.tab.send("Emulation.clearDeviceMetricsOverride").result(20)
    lines = [height / 24 for height in heights]  # the first one is as high as its name
    assert lines[1] == 1 and lines[0] <= 3


def test_the_keyboard_is_enough(seen: Seen) -> None:
    """Enter sends the text off; the focus comes back with the form."""
    writes = "form.querySelector('[value=write]').click(); form.elements.prompt.focus()"
    with ThreadPoolExecutor(1) as thread:
        answer = thread.submit(seen.asked, writes)
        assert seen.tab.until("document.activeElement.name === 'prompt'", 20)
        for kind in ("rawKeyDown", "keyUp"):
            seen.tab.send("Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter").result(20)
        assert answer.result(20)["workload"] is None
    assert seen.asked("window.focused = document.activeElement.tagName; form.requestSubmit()")
    assert seen.tab.evaluate("window.focused") == "BUTTON"


def test_a_browser_that_refuses_to_stay_awake_is_asked_once(seen: Seen) -> None:
    """Steps come by the hundred; asking for the screen at each of them would disturb what is measured."""
    refusing = "{ wakeLock: { request: async () => { asked += 1; throw new Error('battery saver'); } } }"
    shown = "{ visibilityState: 'visible', addEventListener: (name, act) => { comes = act; } }"
    body = f"let asked = 0, comes; const awake = it.keepAwake({refusing}, {shown}); const counts = [];"
    body += "for (const _ of [1, 2, 3]) { awake(true); await 0; await 0; await 0; } counts.push(asked);"
    body += "await comes(); counts.push(asked); awake(false); await comes(); counts.push(asked); return counts;"
    assert computed(seen, "wake.js", body) == [1, 2, 2]


@contextmanager
def tab(seen: Seen, url: str, first: str = "") -> Iterator[Page]:
    """``url`` in a further tab of the same browser, in which the script ``first`` runs before any other."""
    number = seen.tab.send("Target.createTarget", url="about:blank").result(20)["targetId"]
    tools = Devtools(seen.browser.debugging_port())
    (found,) = [found for found in tools.pages() if found["id"] == number]
    with Page(found["webSocketDebuggerUrl"]) as opened:
        opened.send("Page.enable").result(20)
        opened.send("Page.addScriptToEvaluateOnNewDocument", source=first).result(20)
        opened.navigate(url)
        yield opened
        tools.close_page(number)


def shows(page: Page, text: str) -> bool:
    return bool(page.until(f"document.body.innerText.includes({text!r})", 20))


def link(server: Server) -> str:
    return f"http://localhost:{server.served['port']}{server.served['path']}"


@pytest.mark.parametrize(
    ("script", "shown", "told"),
    [
        (AWAY, "WebGPU is missing in this page.", "the page cannot play: this browser has no WebGPU here"),
        (
            BLOCKED,
            "it found no GPU that it would use",
            "the page cannot play: the browser has WebGPU but found no adap",
        ),
    ],
    ids=["no WebGPU", "no adapter"],
)
def test_a_page_that_cannot_play_explains_itself_and_tells_the_server(
    seen: Seen, tmp_path: Path, script: str, shown: str, told: str
) -> None:
    with running(tmp_path) as server:
        pending = server.begin("open", wait_s=20)
        with tab(seen, link(server), script) as opened:
            assert shows(opened, "Tritmark cannot run here") and shows(opened, shown)
            assert opened.evaluate("document.querySelectorAll('#remedy li').length") == 2
            assert pending.result(20)["error"].startswith(told)


def test_a_link_that_is_opened_twice_is_explained_in_both_pages(seen: Seen, tmp_path: Path) -> None:
    with running(tmp_path) as server, tab(seen, link(server)) as first:
        assert server.ask("open", wait_s=20)["ok"]
        with tab(seen, link(server)) as second:
            assert shows(second, "This link is or was open in another page.")
            assert shows(first, "The run has ended") and shows(first, "opened a second time")


def test_a_browser_too_old_for_modules_leaves_a_note(seen: Seen, tmp_path: Path) -> None:
    with running(tmp_path) as server, tab(seen, "about:blank") as opened:
        opened.send("Emulation.setScriptExecutionDisabled", value=True).result(20)
        opened.send("Page.navigate", url=link(server)).result(20)
        assert shows(opened, "If this stays here, the browser is too old")


def test_a_run_leaves_nothing_to_complain_about_and_its_end_is_no_failure(seen: Seen, tmp_path: Path) -> None:
    with running(tmp_path) as server, tab(seen, link(server)) as opened:
        assert server.ask("open", wait_s=20)["ok"] and shows(opened, "Waiting for the computer")
        assert server.ask("show", text="<script>alert(1)</script>")["ok"]
        loads = "performance.getEntriesByType('resource')"
        loaded = opened.evaluate(f"{loads}.map((entry) => [new URL(entry.name).origin, entry.responseStatus])")
        origins, statuses = zip(*loaded, strict=True)
        assert set(origins) == {f"http://localhost:{server.served['port']}"} and set(statuses) <= {200, 204}
        (found,) = [found for found in Devtools(seen.browser.debugging_port()).pages() if found["url"] == link(server)]
        assert complaints(found["webSocketDebuggerUrl"]) == []
        assert server.ask("close")["ok"] and server.child.wait(10) == 0
        assert shows(opened, "The run has ended") and shows(opened, "You can close this page.")


def complaints(url: str) -> list[str]:
    """The errors in a page's console since it was opened."""
    from websockets.sync.client import connect

    found = []
    with connect(url, proxy=None) as socket:
        for number, method in enumerate(("Log.enable", "Runtime.enable", "Runtime.getIsolateId")):
            socket.send(json.dumps({"id": number, "method": method}))
        while (message := json.loads(socket.recv(20))).get("id") != 2:
            of = message.get("params", {})
            kind = of.get("entry", {}).get("level") or of.get("type") or of.get("exceptionDetails", {}).get("text")
            found += [json.dumps(of)[:300]] if kind and kind not in ("verbose", "info", "log") else []
    return found
