"""`tritmark view` as a process: what it answers, what it refuses, and that the page follows the records."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from shutil import copy

import pytest
from command_runs import tritmark
from session_records import made, written

from tritmark.results.store import Store

PUBLISHED = Path(__file__).resolve().parents[2] / "results" / "published" / "published.csv"
END_S = 20
needs_pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a file that can be read and holds nothing")


class Viewed:
    """The server's process and its port."""

    def __init__(self, child: subprocess.Popen[str], port: int) -> None:
        self.child, self.port = child, port

    def ask(self, path: str = "/", method: str = "GET", **headers: str) -> tuple[HTTPResponse, str]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, headers=headers)
            answer = connection.getresponse()
            return answer, answer.read().decode()
        finally:
            connection.close()


@contextmanager
def started(folder: Path, *arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tritmark.bench.cli", "view", *map(str, (folder, *arguments)), "--json"]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield child
    finally:
        child.kill()
        child.wait()


@contextmanager
def viewing(folder: Path, *arguments: str | Path) -> Iterator[Viewed]:
    with started(folder, *arguments) as child:
        assert child.stdout
        url = json.loads(child.stdout.readline())["url"]
        yield Viewed(child, int(url.rstrip("/").rpartition(":")[2]))


def end(child: subprocess.Popen[str]) -> None:
    """By Control-C, and by another one that comes while it ends."""
    child.send_signal(signal.SIGINT)
    assert child.stderr and child.stderr.readline() == "ended\n"
    child.send_signal(signal.SIGINT)
    assert child.wait(END_S) == 0 and child.stderr.read() == ""


@contextmanager
def held_up(pipe: Path) -> Iterator[None]:
    """From when somebody reads ``pipe``, which holds nothing yet."""
    deadline = time.monotonic() + END_S
    while True:
        try:
            writer = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
            break
        except OSError:  # nobody reads it
            assert time.monotonic() < deadline
            time.sleep(0.02)
    try:
        yield
    finally:
        os.close(writer)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("made"), made(minute=1), made(minute=2, format="tq2_0"))


@pytest.fixture(scope="module")
def viewed(folder: Path) -> Iterator[Viewed]:
    with viewing(folder) as found:
        yield found


def test_the_page_is_that_of_the_file(viewed: Viewed, folder: Path, tmp_path: Path) -> None:
    answer, page = viewed.ask()
    tritmark("report", folder, "--html", tmp_path / "page.html")
    assert answer.status == 200 and answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert page == (tmp_path / "page.html").read_text()


@pytest.mark.parametrize(
    "path", ["/x", "/../records.jsonl", "/records.jsonl", "/%2e%2e/etc/passwd", "/etc/passwd", "/favicon.ico"]
)
def test_there_is_nothing_but_the_page(viewed: Viewed, path: str) -> None:
    answer, text = viewed.ask(path)
    assert answer.status == 404 and text == "there is nothing but the page at /"


def test_only_get_is_answered(viewed: Viewed) -> None:
    assert {viewed.ask(method=method)[0].status for method in ("POST", "PUT", "DELETE")} == {501}


def test_a_site_that_calls_itself_by_our_address_reads_nothing(viewed: Viewed) -> None:
    answer, text = viewed.ask(Host="evil.example:80")
    assert answer.status == 403 and "tq1_0" not in text


def test_it_follows_the_records_and_says_when_they_cannot_be_read(viewed: Viewed, folder: Path) -> None:
    before = viewed.ask()[1]
    with Store(folder) as store:
        store.append(made(minute=3, adapter="made GPU 2"))
    after = viewed.ask()[1]
    assert "made GPU 2" in after and "made GPU 2" not in before
    whole = (folder / "records.jsonl").read_bytes()
    (folder / "records.jsonl").write_bytes(b"{}\n" + whole)
    answer, text = viewed.ask()
    assert answer.status == 500 and "line 1: not a record" in text
    (folder / "records.jsonl").write_bytes(whole)
    assert viewed.ask()[1] == after


def test_it_ends_with_control_c(folder: Path) -> None:
    with viewing(folder) as found:
        end(found.child)


@needs_pipes
def test_it_ends_with_control_c_before_there_is_a_page(folder: Path, tmp_path: Path) -> None:
    table = tmp_path / "published.csv"
    os.mkfifo(table)
    with started(folder, "--published", table) as child, held_up(table):
        end(child)


@needs_pipes
def test_it_ends_with_control_c_while_a_browser_waits(folder: Path, tmp_path: Path) -> None:
    table = tmp_path / "published.csv"
    copy(PUBLISHED, table)
    with viewing(folder, "--published", table) as found:
        table.unlink()
        os.mkfifo(table)
        with closing(HTTPConnection("127.0.0.1", found.port)) as connection:
            connection.request("GET", "/")
            with held_up(table):
                end(found.child)


def test_a_port_that_is_taken_is_one_line(viewed: Viewed, folder: Path) -> None:
    ended = tritmark("view", folder, "--port", str(viewed.port), status=2)
    assert "choose another --port" in ended.stderr and ended.stderr.count("\n") == 1


def test_records_that_cannot_be_read_are_said_before_anybody_is_invited(tmp_path: Path) -> None:
    ended = tritmark("view", tmp_path / "nothing", status=1)
    assert ended.stderr.startswith("tritmark: ") and ended.stderr.count("\n") == 1 and ended.stdout == ""
