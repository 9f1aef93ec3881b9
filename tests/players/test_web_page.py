"""One page and the server: requests, answers, and all that can happen to a page. It is a plain HTTP client here."""

from __future__ import annotations

import base64
import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from imagined_device import CAPS
from page_client import HEADER, LOADED, TRACE, Page, Server, in_background, opened, plan_file, running

from tritmark.engine.plan import Caps, Plan, Trace
from tritmark.engine.players.web import mailbox
from tritmark.engine.players.web.listener import Listener
from tritmark.engine.players.web.run import Run
from tritmark.engine.players.web.server import make_app

Steady = tuple[Server, Page, Plan]
MODEL = {"model": "synthetic:tiny", "format": "tq2_0>tq1_0"}


@contextmanager
def loaded(folder: Path) -> Iterator[Steady]:
    """A page that says it has loaded a Plan."""
    file = plan_file(folder)
    with opened(folder / "images") as (server, page):
        pending = server.begin("load", plan=str(file), **MODEL)
        page.serve(**LOADED)
        assert pending.result(10) == {"ok": True, **LOADED}
        yield server, page, Plan.from_json(json.loads(file.read_text()))


@pytest.fixture(scope="module")
def steady(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Steady]:
    """A loaded page for all tests that leave its run unharmed."""
    with loaded(tmp_path_factory.mktemp("steady")) as found:
        yield found


def test_open_waits_for_the_page_and_gives_its_caps(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        pending = server.begin("open", wait_s=20)
        time.sleep(0.2)
        assert not pending.done()
        page = Page(server.served)
        assert page.hello().status == 200
        caps = pending.result(5)["caps"]
        assert (
            Caps(**{**caps, "features": tuple(caps["features"]), "language_features": tuple(caps["language_features"])})
            == CAPS
        )
        assert page.hello().status == 200  # the answer to the first one was lost


def test_a_run_from_load_to_close(tmp_path: Path) -> None:
    file = plan_file(tmp_path)
    plan = Plan.from_json(json.loads(file.read_text()))
    with opened(tmp_path / "images") as (server, page):
        pending = server.begin("load", plan=str(file), **MODEL)
        asked = page.next().json()
        assert asked == {"id": 1, "op": "load", "plan": f"plan/{plan.hash}", "weights": "weights/", **MODEL}
        assert Plan.from_json(page.get(asked["plan"]).json()) == plan
        assert page.get("plan/" + "0" * 64).status == 404
        page.answer(asked, **LOADED)
        assert pending.result(5) == {"ok": True, **LOADED}

        pending = server.begin("play", first=0, last=1, timing="step")
        assert page.serve(trace=TRACE) == {"id": 2, "op": "play", "first": 0, "last": 1, "timing": "step"}
        trace = Trace.from_json(pending.result(5)["trace"])
        assert trace.plan_hash == plan.hash and trace.to_json() == {
            **TRACE,
            "plan_hash": plan.hash,
            "steps": trace.to_json()["steps"],
            "dispatches": (),
        }

        pending = server.begin("read", slot="tokens", offset=8, bytes=4)
        assert page.serve(base64="AAECAw==") == {"id": 3, "op": "read", "slot": "tokens", "offset": 8, "bytes": 4}
        assert pending.result(5) == {"ok": True, "base64": "AAECAw=="}

        pending = server.begin("choose", models=["a", "b"])
        assert page.serve(model="b") == {"id": 4, "op": "choose", "models": ["a", "b"]}
        assert pending.result(5) == {"ok": True, "model": "b"}

        pending = server.begin("close")
        assert page.next().json() == {"id": 0, "op": "close"}
        assert pending.result(5) == {"ok": True} and server.child.wait(10) == 0


def test_a_long_read_is_asked_for_in_pieces(steady: Steady) -> None:
    whole = bytes(range(256)) * (1 << 17)  # 32 MiB
    server, page, _ = steady
    pending = server.begin("read", slot="logits", offset=4, bytes=len(whole) - 4)
    for _ in range(2):
        asked = page.next().json()
        piece = whole[asked["offset"] : asked["offset"] + asked["bytes"]]
        assert page.answer(asked, base64=base64.b64encode(piece).decode()).status == 204
    assert base64.b64decode(pending.result(5)["base64"]) == whole[4:]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"adapter": 5}, "caps.adapter is 5, not a text"),
        ({"features": "subgroup"}, "caps.features is 'subgroup', not a list"),
        ({"features": [1]}, "caps.features[0] is 1"),
        ({"limits": {"maxBufferSize": "big"}}, "caps.limits.maxBufferSize is 'big', not a whole number"),
        ({"limits": {"maxBufferSize": True}}, "caps.limits.maxBufferSize is True"),
        ({"limits": None}, "caps.limits is null, not an object"),
        ({"colour": "red"}, "caps.colour is unknown"),
    ],
)
def test_a_malformed_hello_is_refused_and_told(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    with running(tmp_path) as server:
        pending = server.begin("open", wait_s=20)
        reply = Page(server.served).hello(**changes)
        assert reply.status == 400 and says in reply.text
        assert says in pending.result(5)["error"]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"no json", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"\xff\xfe\x00", "no JSON"),
        (b"[1]", "no JSON object"),
        (b"{}", "caps is null"),
        (b'{"caps": {}}', "caps.adapter is missing"),
        (b'{"error": "this browser has\\n no WebGPU here"}', "the page cannot play: this browser has no WebGPU here"),
    ],
)
def test_a_hello_that_is_none_ends_the_waiting(tmp_path: Path, body: bytes, says: str) -> None:
    with running(tmp_path) as server:
        pending = server.begin("open", wait_s=20)
        reply = Page(server.served).send("POST", "hello", body)
        assert reply.status == (200 if b"error" in body else 400)
        assert says in pending.result(5)["error"]


def altered(**changes: Any) -> dict[str, Any]:
    return {name: value for name, value in {**TRACE, **changes}.items() if value != "missing"}


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ({}, "play is null, not an object"),
        ({"trace": 5}, "play is 5, not an object"),
        ({"trace": altered(wall_ns="missing")}, "play.wall_ns is missing"),
        ({"trace": altered(wall_ns=1.5)}, "play.wall_ns is 1.5, not a whole number"),
        ({"trace": altered(steps=[{"step": 0}])}, "play.steps[0].end_ns is missing"),
        ({"trace": altered(steps=[{"step": 0, "end_ns": "x", "gpu_ns": None}])}, "play.steps[0].end_ns is 'x'"),
        ({"trace": altered(digests={"logits": 3})}, "play.digests.logits is 3, not a text"),
        ({"trace": altered(ledger=[])}, "play.ledger is [], not an object"),
        ({"trace": altered(mood="good")}, "play.mood is unknown"),
        ({"ok": False, "error": "the GPU\n is tired"}, "the GPU is tired"),
        ({"ok": False}, "failed to play without a reason"),
        ({"ok": "yes"}, "failed to play without a reason"),
    ],
)
def test_a_wrong_answer_is_one_line_and_the_run_goes_on(steady: Steady, answer: dict[str, Any], says: str) -> None:
    server, page, _ = steady
    pending = server.begin("play", first=0, last=1)
    page.serve(**answer)
    found = pending.result(5)
    assert not found["ok"] and says in found["error"] and "\n" not in found["error"]
    pending = server.begin("play", first=0, last=1)
    page.serve(trace=TRACE)
    assert pending.result(5)["ok"]


@pytest.mark.parametrize("text", [None, "", "AAE=", "no base64!", 7])
def test_a_wrong_read_is_one_line(steady: Steady, text: Any) -> None:
    server, page, _ = steady
    pending = server.begin("read", slot="tokens", offset=0, bytes=4)
    page.serve(base64=text)
    assert "the page's answer to read" in pending.result(5)["error"]


def test_a_wrong_answer_to_load_is_one_line(tmp_path: Path) -> None:
    with opened(tmp_path / "images") as (server, page):
        pending = server.begin("load", plan=str(plan_file(tmp_path)), **MODEL)
        page.serve(**{**LOADED, "load_ns": None})
        assert "load.load_ns is null, not a whole number" in pending.result(5)["error"]


def test_a_plan_that_the_page_s_gpu_cannot_hold_is_not_sent(tmp_path: Path) -> None:
    with running(tmp_path / "images") as server:
        page = Page(server.served)
        page.hello(limits={**CAPS.limits, "maxBufferSize": 4096})
        server.ask("open")
        answer = server.ask("load", plan=str(plan_file(tmp_path)), **MODEL)
        assert answer["kind"] == "PlanError" and "allows buffers of 4,096" in answer["error"]


def test_what_got_lost_on_the_way_is_repeated(steady: Steady) -> None:
    """A cable that comes back: a page that asks again gets its request again, and may answer twice."""
    server, page, _ = steady
    pending = server.begin("show", text="1")
    asked = page.next().json()
    assert page.next().json() == asked
    assert page.answer(asked).status == 204 and pending.result(5)["ok"]
    assert page.answer(asked).status == 204
    pending = server.begin("show", text="2")
    again = page.next().json()
    assert page.answer(asked, late=True).status == 204 and not pending.done()
    assert page.answer(again, text="done").status == 204 and pending.result(5)["text"] == "done"
    for wrong in ({"id": 999}, {"id": "1"}, {"id": None}, {"id": 0}):
        assert page.answer(wrong).status == 409


def test_an_interrupted_answer_can_be_sent_again(steady: Steady) -> None:
    server, page, _ = steady
    pending = server.begin("show")
    asked = page.next().json()
    connection = page.connect()
    connection.putrequest("POST", server.served["path"] + "answer")
    connection.putheader(HEADER, page.name)
    connection.putheader("Content-Length", "1000")
    connection.endheaders(b'{"id": 1, "ok": tr')
    connection.close()
    time.sleep(0.2)
    assert not pending.done()
    page.answer(asked)
    assert pending.result(5)["ok"]


def test_a_poll_without_a_request_ends_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailbox, "POLL_S", 0.1)
    run = Run(mailbox.Mailbox(silence_s=0.1))
    listener = Listener(make_app(run, {}), "127.0.0.1", 0)
    try:
        page = Page({"port": listener.port, "path": run.path})
        page.hello()
        time.sleep(0.3)  # nobody is silent who was asked nothing
        assert page.next().status == 204 and page.next().status == 204
    finally:
        listener.close()


def gone(server: Server, page: Page, pending: Any, says: str) -> None:
    """The pending request and every later one fail with ``says``, and the page is told that the run is over."""
    for answer in (pending.result(5), server.ask("show"), server.ask("open")):
        assert not answer["ok"] and says in answer["error"] and "\n" not in answer["error"]
    for reply in (
        page.next(),
        page.beat(),
        page.answer({"id": 1}),
        page.get("plan/0"),
        page.get("weights/0"),
        page.hello(),
    ):
        assert reply.status == 410 and says in reply.text
    assert page.get("client.js").status == 200  # so that a page can say what happened


def test_a_reloaded_page_ends_the_run(tmp_path: Path) -> None:
    with opened(tmp_path) as (server, page):
        pending = server.begin("show")
        page.next()
        reply = Page(server.served, "page-2").hello()
        assert reply.status == 409 and "reloaded" in reply.text
        gone(server, page, pending, "the page was reloaded, or opened a second time")
        assert Page(server.served, "page-2").hello().status == 409


def test_of_two_pages_at_once_only_the_first_is_served(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        pages = [Page(server.served, f"page-{n}") for n in range(4)]
        replies = [future.result(10) for future in [in_background(page.hello) for page in pages]]
        assert sorted(reply.status for reply in replies) == [200, 409, 409, 409]
        assert "opened a second time" in server.ask("open")["error"]


def test_a_page_that_says_bye_ends_the_run(tmp_path: Path) -> None:
    """A browser sends it from a page that goes away, without a header of ours."""
    with opened(tmp_path) as (server, page):
        pending = server.begin("show")
        page.next()
        assert page.send("POST", f"bye?page={page.name}", headers={}).status == 204
        gone(server, page, pending, "the page was closed or reloaded")


def test_a_silent_page_ends_the_run(tmp_path: Path) -> None:
    with opened(tmp_path, silence_s=1) as (server, page):
        began = time.monotonic()
        pending = server.begin("show")
        page.next()
        page.beat(busy=True, phase="weights", done=3, total=40, visible=True)
        gone(server, page, pending, "the page has been silent for 1 s, asked to show (weights 3 of 40)")
        assert 1 <= time.monotonic() - began < 4


def test_a_page_that_never_fetches_its_request_is_silent(tmp_path: Path) -> None:
    with opened(tmp_path, silence_s=0.5) as (server, page):
        gone(server, page, server.begin("show"), "silent for 0.5 s")


def test_a_silent_page_that_was_hidden_is_told_to_stay_in_front(tmp_path: Path) -> None:
    with opened(tmp_path, silence_s=0.5) as (server, page):
        pending = server.begin("show")
        page.next()
        page.beat(busy=True, phase={"odd": "thing" * 1000}, visible=False)
        gone(server, page, pending, "it was hidden before (screen locked, or another app in front)")


def test_a_page_that_gives_signs_of_life_has_time(tmp_path: Path) -> None:
    with opened(tmp_path, silence_s=1) as (server, page):
        pending = server.begin("show")
        asked = page.next().json()
        for _ in range(6):
            time.sleep(0.5)
            assert page.beat(busy=True).status == 204
        assert not pending.done()
        page.answer(asked)
        assert pending.result(5)["ok"]


def test_another_page_s_life_is_no_sign_of_this_one_s(tmp_path: Path) -> None:
    with opened(tmp_path, silence_s=1) as (server, _):
        pending = server.begin("show")
        began = time.monotonic()
        while not pending.done() and time.monotonic() - began < 5:
            assert Page(server.served, "page-2").beat().status in (409, 410)
        assert "silent" in pending.result(1)["error"]


@pytest.mark.parametrize("body", [b"no json", b"[]", b'{"id": 1'])
def test_an_answer_that_is_no_object_ends_the_run(tmp_path: Path, body: bytes) -> None:
    with opened(tmp_path) as (server, page):
        pending = server.begin("show")
        page.next()
        assert page.send("POST", "answer", body).status == 400
        assert "the page's answer was refused: it is no JSON" in pending.result(5)["error"]


def test_the_process_ends_with_its_requests_even_in_the_middle_of_one(tmp_path: Path) -> None:
    with opened(tmp_path, silence_s=60) as (server, page):
        polled = in_background(page.next)
        time.sleep(0.2)
        pending = server.begin("show")
        assert polled.result(5).status == 200
        assert server.child.stdin
        server.child.stdin.close()  # what happens when the program that asks is killed
        assert "has ended" in pending.result(5)["error"]
        assert server.child.wait(10) == 0


def test_close_does_not_wait_long_for_a_page_that_is_gone(tmp_path: Path) -> None:
    with opened(tmp_path) as (server, _):
        began = time.monotonic()
        assert server.ask("close") == {"ok": True}
        assert server.child.wait(10) == 0 and time.monotonic() - began < 5


def test_libraries_cannot_write_among_the_answers(tmp_path: Path) -> None:
    """A malformed HTTP request makes the HTTP library complain: on stderr."""
    server = Server(stderr=subprocess.PIPE)
    try:
        server.listen(tmp_path)
        page = Page(server.served)
        connection = page.connect()
        connection.connect()
        connection.sock.sendall(b"\x00\x01 nonsense\r\n\r\n")
        assert b"400" in connection.sock.recv(100)
        connection.close()
        assert server.ask("close") == {"ok": True}
        assert server.child.wait(10) == 0 and server.child.stdout and server.child.stdout.read() == ""
    finally:
        server.child.kill()
        server.child.wait()


def test_caps_of_a_real_page_are_as_wide_as_ours() -> None:
    """The fields that caps.js sends are those of Caps, but for what was tuned, which the host adds: both sides change
    together.
    """
    script = (Path(__file__).resolve().parents[2] / "engine/players/web/caps.js").read_text()
    assert all(f"{name}:" in script for name in asdict(CAPS).keys() - {"tuned"})
