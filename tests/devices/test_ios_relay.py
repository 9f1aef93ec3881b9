"""Requests of a page over the debugger, from a stand-in iPhone's browser through the real bridge, to a server here."""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from stand_in_iphone import Phone, plugged_in

from tritmark.devices.base import DeviceError
from tritmark.devices.browser.devtools import Page
from tritmark.devices.ios.claim import claim
from tritmark.devices.ios.injected import SECURE, SECURE_PAGE
from tritmark.devices.ios.relay import PIECE_BYTES, Relay

BLOB = secrets.token_bytes(8 << 20)
SLOWEST_BYTES_PER_S = 1e6  # this is no measurement of a phone; it fails where the relay itself has become slow


class Handler(BaseHTTPRequestHandler):
    """``bytes/N``: the first N bytes; ``echo``: what was sent, after it was waited for; ``empty``: 204."""

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._answer(200, BLOB[: int(self.path.rpartition("/")[2])])

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path.endswith("/empty"):
            self._answer(204, b"")
        else:
            time.sleep(float(self.headers.get("X-Wait", 0)))
            self._answer(418, f"{self.headers['X-Page']} {body.decode()}".encode())

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "text/plain")
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture(scope="module")
def base() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/r/nonce/"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def phone() -> Iterator[Phone]:
    with plugged_in() as phone:
        yield phone


@pytest.fixture(scope="module")
def page(phone: Phone) -> Iterator[Page]:
    page, _ = claim(phone.udid).inspector().open_tab()
    page.navigate(SECURE_PAGE)
    assert page.until(SECURE, 20.0)
    yield page
    page.close()


@pytest.fixture
def relay(page: Page, base: str) -> Iterator[Relay]:
    relay = Relay(page, base)
    yield relay
    relay.close()


def outcome(page: Page, promise: str, timeout_s: float = 60.0) -> Any:
    """What a promise in the page came to; the bridge to Safari awaits none."""
    page.evaluate(
        f"globalThis.came = undefined; {promise}.then((value) => {{ globalThis.came = {{ value }}; }},"
        " (error) => { globalThis.came = { value: `${error.name}: ${error.message}` }; }); 1"
    )
    return page.until("globalThis.came", timeout_s)["value"]


@pytest.mark.parametrize("size", [0, 1, PIECE_BYTES, PIECE_BYTES + 1, len(BLOB)])
def test_an_answer_of_any_size_arrives_bit_for_bit(page: Page, relay: Relay, base: str, size: int) -> None:
    digest = outcome(
        page,
        f"tritmarkRelay.fetch({json.dumps(base)} + 'bytes/{size}').then((r) => r.arrayBuffer())"
        ".then((b) => crypto.subtle.digest('SHA-256', b)).then((d) => Array.from(new Uint8Array(d)))",
    )
    assert bytes(digest) == hashlib.sha256(BLOB[:size]).digest()


def test_megabytes_pass_in_a_second(page: Page, relay: Relay, base: str) -> None:
    """The best of up to three: the machine may do other things too."""
    speeds = [0.0]
    while len(speeds) <= 3 and max(speeds) <= SLOWEST_BYTES_PER_S:
        before = time.monotonic()
        fetched = f"tritmarkRelay.fetch('{base}bytes/{len(BLOB)}')"
        assert outcome(page, f"{fetched}.then((r) => r.arrayBuffer()).then((b) => b.byteLength)") == len(BLOB)
        speeds.append(len(BLOB) / (time.monotonic() - before))
    print(f"{max(speeds) / 1e6:.1f} MB/s over the debugger of a stand-in")
    assert max(speeds) > SLOWEST_BYTES_PER_S


def test_method_headers_body_and_status_are_carried(page: Page, relay: Relay, base: str) -> None:
    sent = "{ method: 'POST', headers: { 'X-Page': '7' }, body: 'grüße' }"
    answer = "Promise.all([r.status, r.ok, r.headers.get('Content-Type'), r.text()])"
    assert outcome(page, f"tritmarkRelay.fetch('{base}echo', {sent}).then((r) => {answer})") == [
        418, False, "text/plain", "7 grüße",
    ]  # fmt: skip


def test_an_answer_without_a_body_is_an_answer(page: Page, relay: Relay, base: str) -> None:
    sent = "{ method: 'POST', body: '' }"
    assert outcome(page, f"tritmarkRelay.fetch('{base}empty', {sent}).then((r) => r.status)") == 204


def test_small_answers_do_not_wait_behind_long_ones(page: Page, relay: Relay, base: str) -> None:
    page.evaluate("globalThis.order = []; 1")
    sizes = (len(BLOB), 9)
    noted = (f"tritmarkRelay.fetch('{base}bytes/{size}').then(() => order.push({size}))" for size in sizes)
    assert outcome(page, f"Promise.all([{', '.join(noted)}]).then(() => order)") == [9, len(BLOB)]


def test_an_answer_that_is_waited_for_holds_up_no_other(page: Page, relay: Relay, base: str) -> None:
    waited = f"tritmarkRelay.fetch('{base}echo', {{ method: 'POST', headers: {{ 'X-Wait': '1.5' }}, body: '' }})"
    before = time.monotonic()
    assert outcome(page, f"{waited}, tritmarkRelay.fetch('{base}bytes/9').then((r) => r.status)") == 200
    assert time.monotonic() - before < 1.2


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/r/nonce/x", "https://example.com/", "file:///etc/passwd"])
def test_only_this_run_is_reached(page: Page, relay: Relay, base: str, url: str) -> None:
    says = outcome(page, f"tritmarkRelay.fetch('{url}').then((r) => r.status)")
    assert says == "TypeError: ValueError: not an address of this run"


def test_a_server_that_is_gone_is_a_failed_fetch(page: Page) -> None:
    relay = Relay(page, "http://127.0.0.1:9/")
    try:
        says = outcome(page, "tritmarkRelay.fetch('http://127.0.0.1:9/next').then((r) => r.status)")
        assert says.startswith("TypeError: ConnectionRefusedError") and relay.failure is None
    finally:
        relay.close()


def test_a_relay_whose_phone_is_unplugged_says_so(page: Page, relay: Relay, phone: Phone) -> None:
    phone.unplug()
    deadline = time.monotonic() + 15.0
    while relay.failure is None and time.monotonic() < deadline:
        time.sleep(0.1)
    assert relay.failure == "the connection to Safari's page has ended"
    with pytest.raises(DeviceError):
        page.evaluate("1")
