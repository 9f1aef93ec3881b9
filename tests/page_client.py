"""A page played by a plain HTTP client, and the process that serves it.

`Page` stands in for the browser's page: it says hello with the Caps of a device that does not exist, fetches requests
and posts answers, as engine/players/web/wire.js does. It has no GPU; tests tell it what to answer.
"""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import asdict
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from typing import Any

from imagined_device import CAPS

from tritmark.engine.formats.model import open_model
from tritmark.engine.inference import Workload, compile_workload, parse_format

HEADER = "X-Tritmark-Page"
LOADED = {"load_ns": 5, "compile_ns": 6, "ledger": {"weight": 7}, "ledger_peak_bytes": 8}
TRACE: dict[str, Any] = {
    "player": "web", "status": "ok", "reason": None, "timing": "wall", "wall_ns": 9, "encode_ns": 1,
    "steps": [{"step": 0, "end_ns": None, "gpu_ns": None}], "dispatches": [], "digests": {"logits": "00"},
    "ledger": {"weight": 7}, "ledger_peak_bytes": 8,
}  # fmt: skip


class Reply:
    """A whole HTTP response; names of headers in lower case."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()


class Server:
    """The server's process, one request at a time. ``served`` is its answer to ``listen``."""

    def __init__(self, **popen: Any) -> None:
        command = [sys.executable, "-m", "tritmark.engine.players.web.serve"]
        self.child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **popen)
        self.served: dict[str, Any] = {}

    def listen(self, images: Path, **fields: Any) -> dict[str, Any]:
        self.served = self.ask("listen", images=str(images), **fields)
        return self.served

    def ask(self, op: str, **fields: Any) -> dict[str, Any]:
        assert self.child.stdin and self.child.stdout
        self.child.stdin.write(json.dumps({"op": op, **fields}) + "\n")
        self.child.stdin.flush()
        found: dict[str, Any] = json.loads(self.child.stdout.readline())
        return found

    def begin(self, op: str, **fields: Any) -> Future[dict[str, Any]]:
        """``ask`` in a thread: the page has to answer meanwhile."""
        return in_background(lambda: self.ask(op, **fields))


class Page:
    """A page of the run that ``served`` describes; ``name`` is the id that browsers make up at random."""

    def __init__(self, served: Mapping[str, Any], name: str = "page-1", tls: ssl.SSLContext | None = None) -> None:
        self.name, self._served, self._tls = name, served, tls

    def send(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Reply:
        """One request. ``path`` lies below the run's unless it begins with "/"; ``headers`` replace the page's own."""
        sent = {HEADER: self.name} if headers is None else dict(headers)
        content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        connection = self.connect()
        try:
            connection.request(method, path if path.startswith("/") else self._served["path"] + path, content, sent)
            response = connection.getresponse()
            return Reply(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def connect(self) -> HTTPConnection:
        port = self._served["port"]
        if self._tls:
            return HTTPSConnection("127.0.0.1", port, timeout=40, context=self._tls)
        return HTTPConnection("127.0.0.1", port, timeout=40)

    def get(self, path: str, **headers: str) -> Reply:
        return self.send("GET", path, headers={HEADER: self.name, **headers})

    def hello(self, **changes: Any) -> Reply:
        return self.send("POST", "hello", {"page": self.name, "caps": {**asdict(CAPS), **changes}})

    def next(self) -> Reply:
        return self.send("GET", "next")

    def answer(self, asked: Mapping[str, Any], **fields: Any) -> Reply:
        return self.send("POST", "answer", {"id": asked["id"], "ok": True, **fields})

    def beat(self, **fields: Any) -> Reply:
        return self.send("POST", "beat", fields)

    def serve(self, **fields: Any) -> dict[str, Any]:
        """Fetch one request and answer it with ``fields``; the request."""
        asked: dict[str, Any] = self.next().json()
        assert self.answer(asked, **fields).status == 204
        return asked


def in_background(work: Callable[[], Any]) -> Future[Any]:
    """The result of ``work``, done in a thread that dies with the test."""
    future: Future[Any] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


@contextmanager
def running(images: Path, **fields: Any) -> Iterator[Server]:
    """A server that listens, ended by the end of its requests, which it must survive without a word too many."""
    server = Server(stderr=subprocess.PIPE)
    try:
        assert server.listen(images, **fields)["ok"], server.served
        yield server
        assert server.child.stdin and server.child.stdout and server.child.stderr
        server.child.stdin.close()
        assert server.child.wait(20) == 0
        assert server.child.stdout.read() == ""
        words = server.child.stderr.read()
        assert not words, words
    finally:
        server.child.kill()
        server.child.wait()


@contextmanager
def opened(images: Path, **fields: Any) -> Iterator[tuple[Server, Page]]:
    """A server whose page has said hello."""
    with running(images, **fields) as server:
        page = Page(server.served)
        assert page.hello().status == 200
        assert server.ask("open", wait_s=5)["ok"]
        yield server, page


def plan_file(
    folder: Path, model: str = "synthetic:tiny", format_: str = "tq1_0", workload: str = "decode:3@9"
) -> Path:
    """A file with the Plan of a workload on the imagined device."""
    compiled = compile_workload(open_model(model), parse_format(format_), Workload.parse(workload), CAPS)
    file = folder / f"{workload.partition(':')[0]}-{format_}.json"
    file.write_text(json.dumps(compiled.plan.to_json()))
    return file
