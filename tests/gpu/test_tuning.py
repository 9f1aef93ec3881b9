"""`tritmark tune`: each product in every shape, the fastest kept for later runs there, results unchanged."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from command_runs import last, tritmark

from tritmark.bench import tuning
from tritmark.devices.registry import open_device
from tritmark.engine.formats.model import open_model
from tritmark.engine.inference import Workload, compile_workload, parse_format
from tritmark.engine.models.source import Source
from tritmark.engine.ops.choice import Choice, chosen
from tritmark.engine.ops.normed_product import Matvec
from tritmark.engine.players.wgpu_player import load
from tritmark.engine.tuning import choices, micro_plan
from tritmark.results.store import read

MODEL = "synthetic:tiny"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the user's."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("kind", ["cpu", "discrete"])
def test_every_shape_of_a_product_plays_in_one_small_plan(gpu: Any, kind: str) -> None:
    caps = replace(gpu.caps, kind=kind)
    compiled = compile_workload(open_model(MODEL), parse_format("tq1_0"), Workload.parse("decode:2"), caps)
    graph, row = compiled.graphs["decode"], compiled.rows[-1]
    found = choices(graph, caps)
    assert {key.split()[0] for key in found} == {"tq1_0", "f16"} and any("gated" in key for key in found)
    for choice, nodes in found.values():
        plan = micro_plan(graph, choice, nodes, row, caps, compiled.image)
        assert tuple(plan.programs) == choice.shapes
        session = load(gpu, plan, Source(open_model(MODEL), "tq1_0"))
        try:
            assert session.play().status == "ok"
        finally:
            session.close()


def test_the_measured_shape_is_taken_where_it_is_to_be_had() -> None:
    shapes = [Matvec(32, 8, 1), Matvec(32, 4, 2)]
    caps: Any = type("Caps", (), {"tuned": {"known": "32,4,2,1", "elsewhere": "7,7,7,7"}})
    assert chosen("known", shapes, caps) == shapes[1]
    assert chosen("elsewhere", shapes, caps) == chosen("unknown", shapes, caps) == shapes[0]


def test_a_shape_must_be_clearly_faster_to_replace_the_default() -> None:
    close = tuning.Tuned(product="p", shapes_ns={"default": 100.0, "other": 98.0})
    clear = tuning.Tuned(product="p", shapes_ns={"default": 100.0, "other": 50.0, "third": 70.0})
    assert close.best == "default" and close.gain == 1
    assert clear.best == "other" and clear.gain == 2


def test_what_tune_finds_runs_use_and_records_tell(cache: Path, tmp_path: Path, gpu: Any) -> None:
    arguments = ("--model", MODEL, "--format", "tq2_0")
    ended = tritmark("tune", *arguments, "--workload", "decode:2", "--budget", "60", "--json")
    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    assert lines[-1]["products"] == len(lines) - 1 == 5  # four of a layer, and the head
    assert lines[-1]["kernels"] > 8
    kept = tuning.tuned(gpu.caps).tuned
    assert kept == {line["product"]: line["best"] for line in lines[:-1]}
    assert all(min(line["shapes_ns"].values()) > 0 and line["best"] in line["shapes_ns"] for line in lines[:-1])

    other = {line["product"]: list(line["shapes_ns"])[-1] for line in lines[:-1]}  # whatever was fastest: another one
    tuning._keep(gpu.caps, other)
    run = ("run", *arguments, "--workload", "decode:4", "--repetitions", "3")
    tritmark(*run, "--out", tmp_path / "tuned")
    next(cache.rglob("tuned/*.json")).unlink()
    tritmark(*run, "--out", tmp_path / "default")
    (tuned,), (default,) = (read(tmp_path / name) for name in ("tuned", "default"))
    assert tuned.caps and tuned.caps["tuned"] == other and default.caps and not default.caps["tuned"]
    assert tuned.shader_hash != default.shader_hash
    assert tuned.digest == default.digest and tuned.status == default.status == "ok"


def test_plan_tells_the_time_of_what_was_measured(cache: Path, gpu: Any) -> None:
    """By a wide margin: the software GPU shares its cores with whatever else runs."""
    arguments = ("--model", "synthetic:125M?layers=2", "--format", "tq2_0", "--workload", "decode:4")
    before = last(tritmark("plan", *arguments, "--json"))
    assert before["predicted_tps"] is None
    assert tuning.measure_paces(open_device("host"), arguments[1], ["tq2_0"], ["decode:4"], 60) > 8
    told = last(tritmark("plan", *arguments, "--json"))["predicted_tps"]
    compiled = compile_workload(open_model(arguments[1]), parse_format("tq2_0"), Workload.parse("decode:4"), gpu.caps)
    session = load(gpu, compiled.plan, Source(open_model(arguments[1]), "tq2_0"))
    try:
        session.play()
        wall_ns = min(session.play(compiled.first_decode).wall_ns for _ in range(3))
    finally:
        session.close()
    assert 1 / 3 < told / (4e9 / wall_ns) < 3


def test_a_choice_names_its_default_first(gpu: Any) -> None:
    caps = replace(gpu.caps, kind="discrete")
    compiled = compile_workload(open_model(MODEL), parse_format("tq2_0"), Workload.parse("decode:2"), caps)
    for choice, _ in choices(compiled.graphs["decode"], caps).values():
        same = replace(caps, tuned={choice.key: choice.shapes[0]})
        again = compile_workload(open_model(MODEL), parse_format("tq2_0"), Workload.parse("decode:2"), same)
        assert isinstance(choice, Choice) and again.plan.shader_hash == compiled.plan.shader_hash


def test_bad_input_is_one_line(cache: Path) -> None:
    for arguments, word in (
        (("--model", "none.gguf"), "none.gguf"),
        (("--model", MODEL, "--workload", "tea"), "tea"),
        (("--model", MODEL, "--format", "q4_0"), "q4_0"),
    ):
        ended = tritmark("tune", *arguments, status=1)
        assert len(ended.stderr.splitlines()) == 1 and word in ended.stderr
    assert not list(cache.rglob("*.part"))
