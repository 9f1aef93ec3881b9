"""The web player's server keeps to its run: nonce, files, headers, uploads, ports. The page is a plain HTTP client."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from page_client import HEADER, Page, Server, opened, plan_file, running

ROOT = Path(__file__).resolve().parents[2]
TEN_GB = 10 * 10**9
GETS = ("", "client.js", "next", "plan/0", "weights/0")
POSTS = ("hello", "answer", "beat", "bye")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests that leave its run unharmed."""
    with running(tmp_path_factory.mktemp("images")) as started:
        yield started


@pytest.fixture
def page(server: Server) -> Page:
    found = Page(server.served)
    assert found.hello().status == 200
    return found


@pytest.mark.parametrize(
    "base", ["/r/wrong/", "/r//", "/r/", "/", "//", "/R/{nonce}/", "/r/{nonce}x/", "/r/{nonce}%00/"]
)
def test_without_the_nonce_there_is_nothing(page: Page, base: str) -> None:
    nonce = page._served["path"].split("/")[2]
    for method, paths in (("GET", GETS), ("POST", POSTS), ("HEAD", GETS), ("OPTIONS", POSTS), ("PUT", POSTS)):
        for path in paths:
            reply = page.send(method, base.format(nonce=nonce) + path, {} if method == "POST" else None)
            assert reply.status == 404, (method, base, path)
    assert page.send("GET", f"/r/{nonce}").status == 404
    assert page.beat().status == 204  # the run goes on


def test_each_run_has_a_nonce_of_its_own(server: Server, tmp_path: Path) -> None:
    with running(tmp_path) as other:
        nonces = {served["path"].split("/")[2] for served in (server.served, other.served)}
        assert len(nonces) == 2 and all(len(nonce) >= 32 for nonce in nonces)
        assert Page({**other.served, "path": server.served["path"]}).hello().status == 404


@pytest.mark.parametrize(
    ("headers", "status"), [({}, 400), ({HEADER: ""}, 400), ({HEADER: "a b"}, 400), ({HEADER: "page-2"}, 409)]
)
def test_another_page_and_none_are_refused(page: Page, headers: dict[str, str], status: int) -> None:
    for method, path in (("GET", "next"), ("POST", "answer"), ("POST", "beat"), ("POST", "bye")):
        assert page.send(method, path, {"id": 1} if method == "POST" else None, headers).status == status, path
    if status == 400:
        with_body = page.send("POST", "bye?page=page-2", None, headers)
        assert with_body.status == 409
    assert page.beat().status == 204


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS"])
def test_every_answer_has_the_security_headers(page: Page, method: str) -> None:
    for path in ("", "client.js", "nonesuch", "hello", "next?x=1", "/", "/r/wrong/"):
        if (method, path) in (("GET", "next?x=1"), ("POST", "hello")):
            continue  # waits; ends the run
        headers = page.send(method, path).headers
        assert headers["cross-origin-opener-policy"] == "same-origin"
        assert headers["cross-origin-embedder-policy"] == "require-corp"
        assert headers["cache-control"] == "no-store" and headers["x-content-type-options"] == "nosniff"
        assert headers["content-security-policy"].startswith("default-src 'self';")
        assert headers["referrer-policy"] == "no-referrer"


def test_the_page_gets_its_own_files_and_no_others(page: Page) -> None:
    script = page.get("client.js")
    assert script.status == 200 and script.headers["content-type"].startswith("text/javascript")
    assert script.body == (ROOT / "engine/players/web/client.js").read_bytes()
    for name in ("serve.py", "README.md", "__init__.py", "__pycache__", "nonesuch.js", ".", "client.js/"):
        assert page.get(name).status == 404, name


@pytest.mark.parametrize(
    "path",
    [
        "../serve.py", "../../plan.py", "..%2fserve.py", "%2e%2e/serve.py", "%2e%2e%2fserve.py", "..%5cserve.py",
        "%252e%252e%252fserve.py", "....//serve.py", "plan/../../serve.py", "weights/..%2f..%2fserve.py",
        "weights/%2fetc%2fpasswd", "/etc/passwd", "//etc/passwd", "%2fetc%2fpasswd", "client.js%00.py", "./../gpu.py",
        "plan/..%2f..%2f..%2f..%2fetc%2fpasswd", "weights//etc/passwd", "..\\serve.py", "%c0%ae%c0%ae/serve.py",
    ],
)  # fmt: skip
def test_no_path_leaves_the_page_s_files(page: Page, path: str) -> None:
    reply = page.get(path)
    assert reply.status == 404 and b"import" not in reply.body and b"root:" not in reply.body


def test_the_host_header_appears_in_no_answer(page: Page) -> None:
    for path in ("", "client.js", "client.js/", "plan", "plan/", "weights/", "/r", "/"):
        reply = page.get(path, Host="evil.example")
        assert b"evil" not in reply.body and not any("evil" in value for value in reply.headers.values())
        assert not 300 <= reply.status < 400


def test_the_server_listens_on_loopback_alone(server: Server) -> None:
    connections = psutil.Process(server.child.pid).net_connections("inet")
    assert {c.laddr.ip for c in connections if c.status == psutil.CONN_LISTEN} == {"127.0.0.1"}


@pytest.mark.parametrize(
    ("path", "status"), [("answer", 413), ("hello", 413), ("beat", 413), ("/r/wrong/hello", 404), ("next", 405)]
)
def test_a_declared_upload_of_10_gb_is_refused_at_once(tmp_path: Path, path: str, status: int) -> None:
    with opened(tmp_path) as (server, page):
        reply, seconds = upload(server, page, path, {"Content-Length": str(TEN_GB)}, seconds=0)
        assert reply.startswith(b"HTTP/1.1 %d" % status)
        assert seconds < 2


@pytest.mark.parametrize(
    ("path", "framing", "status"),
    [
        ("answer", {"Content-Length": str(TEN_GB)}, 413),
        ("answer", {"Transfer-Encoding": "chunked"}, 413),
        ("/r/wrong/answer", {"Content-Length": str(TEN_GB)}, 404),
        ("/r/wrong/answer", {"Transfer-Encoding": "chunked"}, 404),
    ],
)
def test_who_uploads_without_end_is_cut_off(tmp_path: Path, path: str, framing: dict[str, str], status: int) -> None:
    """Nothing is read after a refusal; an answer of unknown length ends at 64 MiB."""
    with opened(tmp_path) as (server, page):
        process = psutil.Process(server.child.pid)
        before = process.memory_info().rss
        reply, seconds = upload(server, page, path, framing, seconds=10)
        assert reply.startswith(b"HTTP/1.1 %d" % status)
        assert seconds < 10
        assert process.memory_info().rss - before < 160 << 20


def upload(server: Server, page: Page, path: str, headers: dict[str, str], seconds: float) -> tuple[bytes, float]:
    """POST as much as the server takes within ``seconds``; the first bytes of its reply, and how long that took."""
    target = path if path.startswith("/") else server.served["path"] + path
    head = "".join(f"{name}: {value}\r\n" for name, value in {HEADER: page.name, "Host": "x", **headers}.items())
    chunk = b"x" * (1 << 16)
    sent = chunk if "Content-Length" in headers else b"%x\r\n%s\r\n" % (len(chunk), chunk)
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", server.served["port"]), timeout=20) as stream:
        stream.sendall(f"POST {target} HTTP/1.1\r\n{head}\r\n".encode())
        try:
            while time.monotonic() - began < seconds:
                stream.sendall(sent)
        except OSError:
            pass  # the server has hung up, as it should
        return stream.recv(64), time.monotonic() - began


def test_an_answer_that_is_too_long_fails_its_request_in_one_line(tmp_path: Path) -> None:
    with opened(tmp_path) as (server, page):
        pending = server.begin("show", text="x")
        asked = page.next().json()
        connection = page.connect()
        connection.putrequest("POST", server.served["path"] + "answer")
        connection.putheader(HEADER, page.name)
        connection.putheader("Content-Length", str(TEN_GB))
        connection.endheaders(b'{"id": %d' % asked["id"])
        assert connection.getresponse().status == 413
        connection.close()
        assert "longer than" in pending.result(5)["error"]


def test_a_port_in_use_is_named(server: Server, tmp_path: Path) -> None:
    other = Server()
    try:
        answer = other.listen(tmp_path, port=server.served["port"])
        assert not answer["ok"] and answer["kind"] == "PlayerError"
        assert f"port {server.served['port']}" in answer["error"] and "in use" in answer["error"]
        assert other.listen(tmp_path)["ok"]  # the process lives and may try another one
    finally:
        other.child.kill()
        other.child.wait()


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"host": "192.0.2.1"}, "192.0.2.1"),
        ({"host": "no such host"}, "no such host"),
        ({"port": 1 << 20}, "port 1048576"),
        ({"port": -1}, "port -1"),
        ({"port": "http"}, "malformed"),
        ({"names": 5}, "malformed"),
        ({"silence_s": "long"}, "malformed"),
    ],
)
def test_an_address_that_cannot_be_listened_on_is_one_line(
    tmp_path: Path, fields: dict[str, object], says: str
) -> None:
    server = Server()
    try:
        answer = server.listen(tmp_path, **fields)
        assert not answer["ok"] and says in answer["error"] and "\n" not in answer["error"]
    finally:
        server.child.kill()
        server.child.wait()


def test_requests_out_of_order_get_one_line_each(tmp_path: Path) -> None:
    plan = str(plan_file(tmp_path))
    load = {"op": "load", "plan": plan, "model": "synthetic:tiny", "format": "tq1_0"}
    server = Server()
    for request, says in (({"op": "open"}, "not listen"), (load, "not listen"), ({"op": "dance"}, "unknown request")):
        assert says in server.ask(**request)["error"]
    server.child.kill()
    server.child.wait()
    with running(tmp_path / "images") as server:
        assert "no page said hello within 0.1 s" in server.ask("open", wait_s=0.1)["error"]
        assert "no page is open" in server.ask(**load)["error"]
        assert "already listens" in server.ask("listen", images=str(tmp_path))["error"]
        assert "no plan is loaded" in server.ask("play", first=0, last=1)["error"]
        assert "no plan is loaded" in server.ask("read", slot="tokens", offset=0, bytes=4)["error"]
        assert server.ask("close") == {"ok": True}
        assert server.child.wait(10) == 0
