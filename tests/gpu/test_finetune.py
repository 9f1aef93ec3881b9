"""`tritmark finetune`, from data to an adapter: the same bytes everywhere, kept through interruptions, and useful."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import tokenizer_samples as samples
from command_runs import last, tritmark
from made_models import Recipe, made_model

from tritmark.bench import checkpoint, finetune
from tritmark.bench.finetune import Request
from tritmark.devices.registry import open_device
from tritmark.engine.data.dataset import Shape
from tritmark.engine.errors import FormatError, TrainingError
from tritmark.engine.formats.adapter import read_adapter
from tritmark.engine.formats.gguf_writer import write_gguf
from tritmark.engine.formats.model import open_model
from tritmark.engine.models.lora import Lora

pytestmark = pytest.mark.usefixtures("gpu")
SETTINGS = ("--context", "24", "--learning-rate", "0.01", "--lora-rank", "2", "--validation", "0.2", "--epochs", "2")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model with a tokenizer of bytes."""
    metadata = samples.byte_pairs([("a", "b")])
    made = made_model(Recipe(vocabulary=len(metadata["tokenizer.ggml.tokens"])))
    made.metadata = {**made.metadata, **metadata}
    return write_gguf(made, tmp_path_factory.mktemp("model") / "model.gguf", "tq2_0")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "data.jsonl"
    path.write_text("".join(json.dumps({"prompt": f"{n} and ", "completion": "one is ab."}) + "\n" for n in range(5)))
    return path


@pytest.fixture(scope="module")
def whole(model: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The outcome of a run that nothing disturbed."""
    out = tmp_path_factory.mktemp("whole") / "adapter.gguf"
    return last(tritmark("finetune", "--model", model, "--data", data, "--out", out, *SETTINGS, "--json"))


def test_it_learns_and_leaves_an_adapter_its_metrics_and_a_plot(whole: dict[str, Any], model: Path) -> None:
    assert whole["held_out_after"] < 0.8 * whole["held_out_before"]
    out = Path(whole["path"])
    assert sorted(path.name for path in out.parent.iterdir()) == [
        "adapter.gguf", "adapter.metrics.jsonl", "adapter.metrics.svg"
    ]  # fmt: skip
    adapter = read_adapter(out)
    adapter.check(open_model(str(model)))
    assert len(adapter.pairs) == 7 and adapter.alpha == 16.0
    lines = [json.loads(line) for line in Path(whole["metrics"]).read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(whole["steps"] + 1))
    assert all(line["tokens"] >= line["supervised_tokens"] > 0 for line in lines[1:])


def test_the_other_format_gives_the_same_adapter(
    whole: dict[str, Any], model: Path, data: Path, tmp_path: Path
) -> None:
    arguments = ("--model", model, "--data", data, "--out", tmp_path / "a.gguf", "--format", "tq2_0>tq1_0")
    assert last(tritmark("finetune", *arguments, *SETTINGS, "--json"))["sha256"] == whole["sha256"]


def test_a_run_that_was_told_to_end_goes_on_bit_for_bit(
    whole: dict[str, Any], model: Path, data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "adapter.gguf"
    arguments = ["finetune", "--model", str(model), "--data", str(data), "--out", str(out), *SETTINGS]
    process = subprocess.Popen(
        [sys.executable, "-m", "tritmark.bench.cli", *arguments], stderr=subprocess.PIPE, text=True
    )
    metrics = out.with_suffix(".metrics.jsonl")
    deadline = time.monotonic() + 200
    while not (metrics.exists() and '"step": 1' in metrics.read_text()) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGTERM)
    assert "go on with --resume" in process.communicate(timeout=200)[1]
    assert process.returncode == 1 and not out.exists()
    resumed = last(tritmark(*arguments, "--resume", "--json"))
    assert resumed["sha256"] == whole["sha256"] and not (tmp_path / "adapter.checkpoints").exists()
    assert len(metrics.read_text().splitlines()) == whole["steps"] + 1


class Witness:
    """A watch that remembers; ``ends_at``: the step after which a run is to stop."""

    def __init__(self) -> None:
        self.lines: list[Any] = []
        self.warnings: list[str] = []

    def begun(self, dataset: Any, done: int, steps: int) -> None:
        self.done = done

    def step(self, line: Any) -> None:
        self.lines.append(line)

    def warn(self, text: str) -> None:
        self.warnings.append(text)


def request(model: Path, data: Path, folder: Path, **changes: Any) -> Request:
    return Request(
        **{
            "model": str(model), "data": data, "out": folder / "a.gguf", "shape": Shape(24, 24), "lora": Lora(rank=2),
            "epochs": 2, "checkpoint_dir": folder / "checkpoints", "checkpoint_steps": 1, **changes,
        }
    )  # fmt: skip


def test_a_full_disk_keeps_the_checkpoint_before_and_the_run(
    model: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = checkpoint.save

    def full(folder: Path, step: int, *arguments: Any) -> Path:
        if step > 2:
            raise FormatError("cannot write the checkpoint: no space left on device")
        return saved(folder, step, *arguments)

    monkeypatch.setattr(checkpoint, "save", full)
    watch = Witness()
    outcome = finetune.finetune(open_device("host"), request(model, data, tmp_path), watch)
    assert outcome.path.exists() and "no space left" in watch.warnings[0]
    assert checkpoint.newest(tmp_path / "checkpoints").step == 2


def test_a_loss_that_is_no_number_ends_the_run_and_keeps_the_state_before_it(
    model: Path, data: Path, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match=r"loss of step \d+ is no finite number; try a lower --learning-rate"):
        finetune.finetune(
            open_device("host"), request(model, data, tmp_path, rate=1e18, decay=0.0, epochs=20), Witness()
        )
    kept = checkpoint.newest(tmp_path / "checkpoints")
    assert kept.step >= 1 and not (tmp_path / "a.gguf").exists()


def test_a_run_ends_early_and_keeps_its_best_adapter(model: Path, data: Path, tmp_path: Path) -> None:
    shape = Shape(24, 24, held_out=0.4)
    asked = request(
        model, data, tmp_path, rate=0.05, shape=shape, epochs=12, evaluate_steps=1, patience=2, checkpoint_steps=0
    )
    watch = Witness()
    outcome = finetune.finetune(open_device("host"), asked, watch)
    losses = [line["held_out_loss"] for line in watch.lines]
    assert outcome.held_out_after == min([*losses, outcome.held_out_before])
    assert outcome.steps < 12 * 3 and min(losses[-2:]) > outcome.held_out_after


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        (("--lora-rank", "3"), "of another run: lora.rank was 2 there and is 3 now"),
        (("--learning-rate", "0.02"), "of another run: rate"),
        (("--context", "32"), "of another run: data"),
    ],
)
def test_other_settings_do_not_go_on_from_a_checkpoint(
    changed: tuple[str, ...], says: str, model: Path, data: Path, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError):
        finetune.finetune(
            open_device("host"),
            request(model, data, tmp_path, shape=Shape(24, 24, held_out=0.2), rate=0.01, schedule="cosine", warmup=0.1),
            Witness(),
            stops=lambda: True,
        )
    arguments = ("--model", model, "--data", data, "--out", tmp_path / "a.gguf", *SETTINGS, *changed)
    ended = tritmark("finetune", *arguments, "--checkpoint-dir", tmp_path / "checkpoints", "--resume", status=2)
    assert says in ended.stderr and ended.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("line", "arguments", "says"),
    [
        ('{"text": "a"', (), "data.jsonl line 1 is not JSON"),
        ("", (), "data.jsonl is empty"),
        ('{"text": "' + "a" * 50 + '"}', ("--long", "refuse"), "more than the context of 24"),
        ('{"messages": [{"role": "user", "content": "Hi"}]}', (), "holds nothing to learn"),
        ('{"text": "abc"}', ("--loss", "some"), "--loss 'some' is unknown"),
        ('{"text": "abc"}', ("--lr-scheduler", "sine"), "schedule 'sine' is unknown"),
        ('{"text": "abc"}', ("--resume",), "holds no checkpoint"),
    ],
)
def test_bad_input_gets_one_line_and_leaves_nothing(
    line: str, arguments: tuple[str, ...], says: str, model: Path, tmp_path: Path
) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text(line)
    command = ("--model", model, "--data", path, "--out", tmp_path / "a.gguf", "--context", "24", *arguments)
    ended = subprocess.run(
        [sys.executable, "-m", "tritmark.bench.cli", "finetune", *map(str, command)], capture_output=True, text=True
    )
    assert ended.returncode in (1, 2) and says in ended.stderr and ended.stderr.count("\n") == 1
    assert [each.name for each in tmp_path.iterdir()] == ["data.jsonl"]
