"""Pages that a person opens from a link: one page for many sessions, one link for one page.

Chromium stands for the person and their browser.
"""

from __future__ import annotations

import re
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest
from browser_runs import TIMEOUT_S, binary

from tritmark.bench import serving
from tritmark.bench.case import Case
from tritmark.bench.commands.serve import shown
from tritmark.bench.inquire import Piece, Request
from tritmark.bench.run import run_matrix
from tritmark.bench.serving import Offer, Serving
from tritmark.bench.verify import Verdict
from tritmark.devices.base import Device, DeviceError
from tritmark.devices.browser import byhand, chromium, invitation
from tritmark.devices.browser.byhand import ByHand, VisitorError
from tritmark.devices.browser.devtools import Devtools, Page
from tritmark.devices.browser.invitation import Invitation
from tritmark.results.record import Record


class Person:
    """Opens links in Chromium as they come, and keeps what was seen."""

    def __init__(self, *flags: str, at: str = "localhost") -> None:
        self.invitations: list[Invitation] = []
        self._flags, self._at = flags, at
        self._open = ExitStack()
        self.browser: chromium.Chromium | None = None

    def invite(self, invitation: Invitation) -> None:
        self.invitations.append(invitation)
        self.open(invitation.links[0])

    def open(self, link: str) -> None:
        where = urlsplit(link)
        assert where.port
        self.browser = chromium.Chromium(binary(), (*chromium.DIRECT, *self._flags))
        self._open.callback(self.browser.close)
        self.browser.open(where.scheme, where.port, where.path)

    def page(self) -> Page:
        assert self.browser
        found = _soon(lambda: Devtools(self.browser.debugging_port()).pages())  # type: ignore[union-attr]
        return self._open.enter_context(Page(found[0]["webSocketDebuggerUrl"]))

    def leave(self) -> None:
        self._open.close()


def _soon(look: Callable[[], list[dict[str, str]]]) -> list[dict[str, str]]:
    deadline_s = time.monotonic() + 20
    while True:
        try:
            found = look()
            if found or time.monotonic() > deadline_s:
                return found
        except DeviceError:
            if time.monotonic() > deadline_s:
                raise
        time.sleep(0.1)


@pytest.fixture
def person() -> Iterator[Person]:
    person = Person()
    yield person
    person.leave()


@pytest.fixture
def quick_check(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The exactness probe and golden check have tests of their own; here it is counted how often they are asked for."""
    asked = []

    def check(device: Device) -> Verdict:
        asked.append(device.name)
        with device.session() as session:
            return Verdict(caps=session.caps, exact=True, reason=None)

    monkeypatch.setattr(serving, "verify", check)
    return asked


def by_hand(person: Person, **options: object) -> ByHand:
    settings = {"lan": False, "timeout_s": TIMEOUT_S, "open_s": 60.0, "invite": person.invite, **options}
    return ByHand("browser", **settings)  # type: ignore[arg-type]


def text_of(page: Page) -> str:
    return str(page.evaluate("document.body.innerText"))


def test_one_page_serves_all_sessions_of_a_run_and_hears_of_its_end(person: Person) -> None:
    device = by_hand(person)

    def check(device: Device) -> Verdict:
        with device.session() as session:
            return Verdict(caps=session.caps, exact=None, reason=None)

    case = Case(model="synthetic:tiny", format="tq1_0", workload="decode:2", device="browser")
    (record,) = run_matrix([case], device_of=lambda spec: device, check=check)
    assert record.status == "ok" and record.player == "web", record.reason
    assert len(person.invitations) == device.visits == 1
    page = person.page()
    device.close()
    assert page.until("document.getElementById('title').textContent === 'The run has ended'", 20)


def test_a_link_serves_one_page_and_the_next_session_invites_again(person: Person) -> None:
    device = by_hand(person)
    device.session()
    (first,) = person.invitations[0].links
    person.open(first)
    assert person.page().until("document.body.dataset.state === 'failed'", 20)
    assert "This link is or was open in another page." in text_of(person.page())
    with pytest.raises(DeviceError, match="the page was reloaded, or opened a second time"):
        device.ask("show")
    person.leave()
    device.session()
    assert device.visits == 2 and person.invitations[1].links != person.invitations[0].links
    device.close()


def test_phones_of_the_network_are_served_over_https(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(byhand, "addresses", lambda: ["127.0.0.1"])
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))  # the authority of this test is nobody's
    person = Person("--ignore-certificate-errors")
    device = by_hand(person, lan=True)
    try:
        assert device.session().caps.adapter
        (told,) = person.invitations
        assert re.fullmatch(r"https://127\.0\.0\.1:\d+/r/[\w-]{32}/", told.links[0])
        assert told.certificates is not None
        unchecked = ssl.create_default_context()
        unchecked.check_hostname, unchecked.verify_mode = False, ssl.CERT_NONE
        kinds = [urlopen(link, context=unchecked).headers["Content-Type"] for link in told.certificates]
        assert kinds == ["application/x-apple-aspen-config", "application/x-x509-ca-cert"]
    finally:
        device.close()
        person.leave()


def test_a_computer_without_a_network_says_so(monkeypatch: pytest.MonkeyPatch, person: Person) -> None:
    monkeypatch.setattr(byhand, "addresses", list)
    with pytest.raises(DeviceError, match="this computer is in no network") as caught:
        by_hand(person, lan=True).session()
    assert not isinstance(caught.value, VisitorError) and not person.invitations


def test_nobody_coming_is_told(person: Person) -> None:
    silent = by_hand(person, open_s=0.2, invite=lambda invitation: None)
    with pytest.raises(VisitorError, match=r"no page said hello within 0\.2 s"):
        silent.session()


@pytest.mark.parametrize("argument", ["LAN", "https", "1"])
def test_other_ways_to_open_a_page_are_unknown(argument: str) -> None:
    with pytest.raises(DeviceError, match="say browser, or browser:lan"):
        byhand.open_device(argument, 10.0)


def test_an_invitation_tells_where_to_go_and_what_to_trust() -> None:
    here = invitation.text(Invitation(links=("http://localhost:1/r/n/",)))
    assert "http://localhost:1/r/n/" in here and "certificate" not in here.lower()
    certificates = ("https://10.0.0.2:1/authority.mobileconfig", "https://10.0.0.2:1/authority.crt")
    near = invitation.text(Invitation(links=("https://10.0.0.2:1/r/n/",), certificates=certificates))
    assert all(link in near for link in certificates) and "▀" in near
    assert max(len(line.removeprefix(invitation.WHITE_ON_BLACK)) for line in near.splitlines()) < 80


class Desk:
    """Somebody before the page who serves themselves, and the computer's side of it."""

    def __init__(self, person: Person, offer: Offer) -> None:
        self.device, self.told, self.records = by_hand(person), list[str](), list[Record]()
        self.serving = Serving(self.device, offer, tell=self.told.append, each=self.keep)

    def keep(self, record: Record) -> dict[str, Any]:
        self.records.append(record)
        return shown(record)

    def turn(self, person: Person, **chosen: str) -> str:
        """The page's text after one choice. The form is filled in and sent as soon as it is there."""
        self.device.session()
        page = person.page()
        fill = ";".join(f"form.elements[{name!r}].value = {value!r}" for name, value in chosen.items())
        change = "for (const radio of form.elements.mode) radio.dispatchEvent(new Event('change'))"
        mode = f"form.elements.mode.value = {'write' if 'prompt' in chosen else 'measure'!r};{change}"
        page.evaluate(
            "window.chooser = setInterval(() => { const form = document.getElementById('ask'); if (form.hidden) return;"
            f"{mode};{fill};"
            "form.requestSubmit(); }, 100)"
        )
        self.serving.turn()
        return text_of(page)


def offer(*writers: str, models: tuple[str, ...] = ("synthetic:tiny",)) -> Offer:
    return Offer(models=models, writers=writers, formats=("tq1_0", "tq2_0"), workloads=("decode:2", "prefill:2"),
                 prompt="a song", tokens=5)  # fmt: skip


def test_a_person_measures_what_they_choose_on_the_page(person: Person, quick_check: list[str]) -> None:
    desk = Desk(person, offer())
    text = desk.turn(person, format="tq2_0", workload="prefill:2")
    (record,) = desk.records
    assert (record.format, record.workload, record.status) == ("tq2_0", "prefill:2", "ok"), record.reason
    assert "Prefill tok/s" in text and "tok/s" in text and "Measured 3 times" in text
    assert quick_check == ["browser"]
    page = person.page()
    page.evaluate("clearInterval(window.chooser)")
    leaving = threading.Timer(1.0, page.navigate, ["about:blank"])
    leaving.start()
    desk.serving.turn()
    leaving.join()
    assert desk.told[-1].startswith("the page was closed or reloaded")
    desk.device.close()


def test_a_person_lets_a_model_write_on_the_page(person: Person, golden: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = str(golden / "tiny-llama.tq2_0.gguf")
    assert serving.can_write(model) and not serving.can_write("synthetic:tiny")
    desk = Desk(person, offer(model, models=("synthetic:tiny", model)))
    text = desk.turn(person, prompt="a bird", format="tq2_0")
    assert "\na bird" in text and "The text is complete." in text and desk.records == []
    monkeypatch.setattr(serving, "generate", refuse)
    assert "the model is too large for this page" in desk.turn(person, prompt="a bird", format="tq2_0")
    assert desk.told[-1] == "the model is too large for this page"
    desk.device.close()


def refuse(device: Device, request: Request) -> Iterator[Piece]:
    raise DeviceError("the model is too large for this page")


@pytest.mark.parametrize(
    "choice",
    [
        {"model": "/etc/passwd", "format": "tq1_0", "workload": "decode:2"},
        {"model": "synthetic:tiny", "format": "f64", "workload": "decode:2"},
        {"model": "synthetic:tiny", "format": "tq1_0", "workload": "decode:9999999"},
        {"model": "synthetic:tiny", "format": "tq1_0", "workload": None, "prompt": "it has no tokenizer"},
        {"model": "m", "format": "tq1_0", "workload": None, "prompt": "x" * 20_001},
        {"model": "m", "format": "tq1_0", "workload": None, "prompt": ["x"]},
        {},
    ],
)
def test_a_page_can_choose_nothing_that_it_was_not_offered(choice: dict[str, object]) -> None:
    assert not offer("m").admits(choice)


def test_what_was_offered_may_be_chosen() -> None:
    assert offer().admits({"model": "synthetic:tiny", "format": "tq1_0", "workload": "decode:2", "prompt": None})
    assert offer("m").admits({"model": "m", "format": "tq1_0", "workload": None, "prompt": "x"})


def serve(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tritmark.bench.cli", "serve", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=folder)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--model", "nope.gguf"), "nope.gguf"),
        (("--workload", "dance:2"), "dance:2"),
        (("--format", "q9"), "q9"),
    ],
)
def test_what_cannot_be_offered_is_one_line(arguments: tuple[str, ...], says: str, tmp_path: Path) -> None:
    ended = serve(*arguments, folder=tmp_path)
    assert ended.returncode != 0 and says in ended.stderr and ended.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_port_in_use_is_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = serve("--model", "synthetic:tiny", "--port", str(port), folder=tmp_path)
    assert ended.returncode == 1 and not list(tmp_path.iterdir())
    assert f"port {port} of 127.0.0.1 is in use" in ended.stderr and ended.stderr.count("\n") == 1
