"""Full training on the GPU gives the weights of the NumPy reference, byte for byte, and a model like any other."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_runs import last, tritmark
from training_runs import course, random_batches, spot

from tritmark.bench import lesson
from tritmark.bench import pretrain as pretraining
from tritmark.bench.cli import app
from tritmark.devices.registry import open_device
from tritmark.engine.errors import TrainingError
from tritmark.engine.formats.blank import BlankModel
from tritmark.engine.formats.model import open_model
from tritmark.engine.formats.resident import weight_row_scales
from tritmark.engine.formats.ternary import unpack
from tritmark.engine.models.config import Config, read_config
from tritmark.engine.models.source import Source
from tritmark.engine.ops.ternarize import ternarized
from tritmark.engine.players.wgpu_player import load
from tritmark.engine.pretraining import compile_pretraining
from tritmark.engine.training import slot_of
from tritmark.engine.volumes import Volume, volumes

pytestmark = pytest.mark.usefixtures("gpu")
CONFIG = Config("bitnet", 64, 96, 2, 4, 2, 70, 64, 1e-5, 10000.0, 1.0, "silu", True)
STATE = ("parameters", "moments.1", "moments.2", "losses", "norms", "held_out")
SHAPE = ("--tokenizer", "300", "--embedding", "256", "--feed-forward", "256", "--layers", "1", "--heads", "4",
         "--context", "32", "--batch", "64", "--epochs", "2", "--validation", "0.2")  # fmt: skip


@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_a_run_gives_the_bytes_of_the_reference(dropout: float, gpu: Any) -> None:
    batches, steps = random_batches(3, 24, 70, held_out=1), course([[0], [1], [0, 1]], rate=3e-3, evaluated=(0, 3))
    made = compile_pretraining(CONFIG, batches, steps, gpu.caps, dropout=dropout)
    reference = spot(made, BlankModel(), "tq2_0")
    reference.reference.play(made.rows)
    session = load(gpu, made.plan, Source(BlankModel(), "tq2_0"))
    session.play()
    for name in STATE:
        assert session.read(slot_of(name)) == reference.array(name).tobytes(), name
    session.close()


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text") / "text.jsonl"
    lines = [f"The {a} sees the {b}, and the {b} hears the {a} in the {c}." for a in ("cat", "dog", "owl", "fox")
             for b in ("bird", "mouse", "horse") for c in ("garden", "house")]  # fmt: skip
    path.write_text("".join(json.dumps({"text": line}) + "\n" for line in lines))
    return path


@pytest.fixture(scope="module")
def made(text: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    out = tmp_path_factory.mktemp("made") / "model.gguf"
    return last(tritmark("pretrain", "--data", text, "--out", out, *SHAPE, "--learning-rate", "0.01", "--json"))


def test_it_learns_and_leaves_a_model_that_scores_what_was_measured(made: dict[str, Any], text: Path) -> None:
    assert made["held_out_after"] < 0.8 * made["held_out_before"]
    found = last(tritmark("perplexity", "--model", made["path"], "--data", text, "--json"))
    assert found["nll"] < made["held_out_before"]
    assert read_config(open_model(made["path"])).embedding == 256
    ended = tritmark("generate", "--model", made["path"], "--prompt", "The cat", "--tokens", "4", "--json")
    assert json.loads(ended.stdout.splitlines()[-1])["count"] == 4


def test_the_other_type_holds_the_same_trits(made: dict[str, Any], text: Path, tmp_path: Path) -> None:
    out = tmp_path / "model.gguf"
    arguments = ("--data", text, "--out", out, *SHAPE, "--learning-rate", "0.01", "--type", "tq2_0")
    tritmark("pretrain", *arguments, "--json")
    one, other = open_model(made["path"]), open_model(str(out))
    name = "blk.0.ffn_gate.weight"
    assert (one.tensors[name].type, other.tensors[name].type) == ("tq1_0", "tq2_0")
    assert (unpack(one.packed(name), "tq1_0")[0] == unpack(other.packed(name), "tq2_0")[0]).all()
    assert (weight_row_scales(one, name) == weight_row_scales(other, name)).all()
    assert os.path.getsize(made["path"]) < os.path.getsize(out)


def test_a_model_is_learnt_further_from_where_it_is(made: dict[str, Any], text: Path, tmp_path: Path) -> None:
    out = tmp_path / "model.gguf"
    arguments = ("--data", text, "--out", out, "--start", made["path"], "--context", "32", "--batch", "64")
    found = last(tritmark("pretrain", *arguments, "--epochs", "1", "--validation", "0.2", "--json"))
    assert found["held_out_before"] == pytest.approx(made["held_out_after"], rel=0.1)
    assert found["held_out_after"] < found["held_out_before"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "model.gguf", "model.metrics.jsonl", "model.metrics.svg"
    ]  # fmt: skip


def test_a_device_that_is_not_there_leaves_nothing_of_a_run_from_a_model(
    made: dict[str, Any], text: Path, tmp_path: Path
) -> None:
    arguments = ("--data", text, "--out", tmp_path / "model.gguf", "--start", made["path"], "--context", "32")
    ended = tritmark("pretrain", *arguments, "--batch", "64", "--device", "host:nonesuch", status=1)
    assert "nonesuch" in ended.stderr and not list(tmp_path.iterdir())


def test_ternary_weights_are_what_the_papers_say() -> None:
    latent = np.random.default_rng(1).normal(0, 0.02, (64, 256)).astype(np.float32)
    trits, scale = ternarized(latent)
    assert scale == pytest.approx(np.abs(latent).mean(), rel=1e-6)
    assert (trits == np.clip(np.rint(latent / np.abs(latent).mean()), -1, 1)).mean() > 0.999


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        (("--heads", "3"), "do not split into 3 heads"),
        (("--tokenizer", "100"), "too small"),
        (("--lr-scheduler", "sine"), "schedule 'sine' is unknown"),
        (("--context", "128"), "context"),
    ],
)
def test_shapes_that_cannot_be_are_refused_in_one_line(
    changed: tuple[str, str], says: str, text: Path, tmp_path: Path
) -> None:
    import subprocess
    import sys

    command = ["pretrain", "--data", str(text), "--out", str(tmp_path / "m.gguf"), *SHAPE, *changed]
    ended = subprocess.run([sys.executable, "-m", "tritmark.bench.cli", *command], capture_output=True, text=True)
    assert ended.returncode in (1, 2) and says in ended.stderr and ended.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


class Unwatched:
    def begun(self, *_: Any) -> None: ...
    def step(self, *_: Any) -> None: ...
    def warn(self, text: str) -> None:
        raise AssertionError(text)


def test_data_larger_than_a_device_should_hold_give_the_same_model_also_after_a_stop(
    made: dict[str, Any], text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[pretraining.Request] = []
    with monkeypatch.context() as patch:
        patch.setattr(pretraining, "pretrain", lambda device, request, *rest: asked.append(request))
        arguments = ("--data", text, "--out", tmp_path / "model.gguf", *SHAPE, "--learning-rate", "0.01")
        app(["pretrain"])(["pretrain", *map(str, arguments)], standalone_mode=False)
    cut: list[Volume] = []
    monkeypatch.setattr(lesson, "VOLUME_TOKENS", 8 * 64)
    monkeypatch.setattr(lesson, "volumes", lambda *run: cut.extend(volumes(*run)) or volumes(*run))
    stops = iter([False] * 8 + [True])
    with pytest.raises(TrainingError, match="stopped after step 9"):
        pretraining.pretrain(open_device("host"), asked[0], Unwatched(), lambda: next(stops))
    ended = pretraining.pretrain(open_device("host"), replace(asked[0], resume=True), Unwatched())
    assert len(cut) > 2 and ended.sha256 == made["sha256"] and ended.held_out_after == made["held_out_after"]
