"""The player as a process: it answers every request with one line of JSON, and plays as the library does."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from engine_runs import play

from tritmark.engine.formats.model import open_model
from tritmark.engine.inference import Compiled, Workload, compile_workload, parse_format
from tritmark.engine.plan import Caps, Trace

MODEL = "synthetic:tiny"
pytestmark = pytest.mark.usefixtures("gpu")


class Process:
    """The player's process, one request at a time."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tritmark.engine.players.serve"]
        self.child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def send(self, line: str) -> dict[str, Any]:
        assert self.child.stdin and self.child.stdout
        self.child.stdin.write(line + "\n")
        self.child.stdin.flush()
        found: dict[str, Any] = json.loads(self.child.stdout.readline())
        return found

    def ask(self, op: str, **fields: Any) -> dict[str, Any]:
        return self.send(json.dumps({"op": op, **fields}))


@pytest.fixture
def process() -> Iterator[Process]:
    """A fresh process, ended by the end of its requests."""
    started = Process()
    yield started
    assert started.child.stdin and started.child.stdout
    started.child.stdin.close()
    assert started.child.wait(30) == 0
    assert started.child.stdout.read() == ""


@pytest.fixture(scope="module")
def compiled(gpu: Any) -> Compiled:
    return compile_workload(open_model(MODEL), parse_format("tq1_0"), Workload.parse("decode:3@9"), gpu.caps)


@pytest.fixture
def plan_file(compiled: Compiled, tmp_path: Path) -> str:
    file = tmp_path / "plan.json"
    file.write_text(json.dumps(compiled.plan.to_json()))
    return str(file)


def test_a_run_in_a_process_equals_one_in_the_library(process: Process, gpu: Any, compiled: Compiled,
                                                      plan_file: str) -> None:  # fmt: skip
    opened = process.ask("open", adapter=None)
    assert opened["ok"] and Caps(**opened["caps"]).limits == gpu.caps.limits
    loaded = process.ask("load", plan=plan_file, model=MODEL, format="tq2_0>tq1_0")
    assert loaded["ok"] and loaded["load_ns"] > 0 and loaded["compile_ns"] > 0
    assert sum(loaded["ledger"].values()) == loaded["ledger_peak_bytes"] == compiled.plan.peak_gpu_bytes
    steps = len(compiled.plan.steps)
    trace = Trace.from_json(process.ask("play", first=0, last=steps, timing="wall")["trace"])
    assert trace.digests == play(gpu, compiled, open_model(MODEL), "tq1_0").digests
    assert trace.plan_hash == compiled.plan.hash and len(trace.steps) == steps
    tokens = base64.b64decode(process.ask("read", slot="tokens", offset=0, bytes=52)["base64"])
    assert len(tokens) == 52 and tokens[:4] == compiled.plan.slot_by_id["tokens"].inline[:4]
    assert process.ask("close") == {"ok": True}


def test_adapters_are_listed_without_opening_one(process: Process, gpu: Any) -> None:
    found = [Caps(**caps) for caps in process.ask("adapters")["adapters"]]
    assert gpu.caps.adapter in {caps.adapter for caps in found}


def test_a_bad_request_gets_one_line_and_the_process_lives(process: Process, plan_file: str) -> None:
    bad = [
        ({"op": "dance"}, "unknown request"),
        ({}, "unknown request"),
        ({"op": "load", "plan": plan_file, "model": MODEL, "format": "tq1_0"}, "no adapter is open"),
        ({"op": "play", "first": 0, "last": 1}, "no plan is loaded"),
        ({"op": "open", "adapter": "nonesuch"}, "nonesuch"),
    ]
    opened = [
        ({"op": "load", "plan": "/nowhere.json", "model": MODEL, "format": "tq1_0"}, "nowhere"),
        ({"op": "load", "plan": plan_file, "model": "synthetic:9T", "format": "tq1_0"}, "9T"),
        ({"op": "load", "plan": plan_file, "model": MODEL}, "format"),
        ({"op": "load", "plan": plan_file, "model": MODEL, "format": "tq2_0"}, "weight file holds"),
        ({"op": "load", "plan": __file__, "model": MODEL, "format": "tq1_0"}, "malformed"),
        ({"op": "read", "slot": "tokens", "offset": 0, "bytes": 4}, "no plan is loaded"),
    ]
    loaded = [
        ({"op": "play", "first": 0, "last": 10_000}, "outside"),
        ({"op": "play", "first": "zero", "last": 1}, "malformed"),
        ({"op": "play", "first": 0, "last": 1, "timing": "cpu"}, "timing"),
        ({"op": "read", "slot": "lost", "offset": 0, "bytes": 4}, "lost"),
        ({"op": "read", "slot": "tokens", "offset": 0, "bytes": 1 << 40}, "tokens"),
        ({"op": "read", "slot": "tokens", "offset": -4, "bytes": 4}, "tokens"),
    ]
    refused(process, bad)
    assert process.ask("open")["ok"]
    refused(process, opened)
    assert process.ask("load", plan=plan_file, model=MODEL, format="tq1_0")["ok"]
    refused(process, loaded)
    assert process.ask("play", first=0, last=1)["ok"]


def refused(process: Process, requests: list[tuple[dict[str, Any], str]]) -> None:
    for request, says in requests:
        answer = process.send(json.dumps(request))
        assert not answer["ok"] and says in answer["error"] and answer["kind"], request
        assert answer["error"] and "\n" not in answer["error"]


@pytest.mark.parametrize("line", ["not json", "[1, 2]", "3", '{"op": 5}', '{"op": null}'])
def test_a_line_that_is_no_request_gets_one_line(process: Process, line: str) -> None:
    answer = process.send(line)
    assert not answer["ok"] and answer["error"] and "\n" not in answer["error"]


def test_loading_again_frees_what_was_loaded(process: Process, compiled: Compiled, plan_file: str) -> None:
    process.ask("open")
    for _ in range(2):
        assert process.ask("load", plan=plan_file, model=MODEL, format="tq1_0")["ok"]
    trace = process.ask("play", first=0, last=1)["trace"]
    assert sum(trace["ledger"].values()) == compiled.plan.peak_gpu_bytes
