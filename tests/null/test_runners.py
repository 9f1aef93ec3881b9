"""llama.cpp as a runner: its result lines become our records, and what cannot be believed becomes a failed one.

The llama-bench here is a stand-in that prints what a real one printed (stand_in_llama_bench.py). Where a real one is on
the PATH, the last test runs that.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from llama_bench_runs import program

from tritmark.bench.case import Case, expand
from tritmark.bench.run import run_matrix
from tritmark.bench.runners import base
from tritmark.bench.runners.base import RunnerError, open_runner, parse_spec
from tritmark.bench.runners.model_file import ModelFiles
from tritmark.devices.host import Host
from tritmark.engine.formats.convert import convert
from tritmark.engine.formats.model import open_model
from tritmark.results.record import Record

BUILD = "b7336 (57d4c98)"


@pytest.fixture(autouse=True)
def temporary(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where temporary files go, so that a test sees what is left of them."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def case(runner: str, **axes: object) -> Case:
    base = {"model": "synthetic:tiny", "format": "tq2_0", "workload": "prefill:8", "device": "host"}
    return Case(**{**base, **axes, "runner": runner})  # type: ignore[arg-type]


def run(*cases: Case, timeout_s: float = 20.0) -> list[Record]:
    def device(spec: str) -> Host:
        return Host(spec.partition(":")[2] or None)

    return list(run_matrix(cases, device_of=device, runner_of=lambda spec: open_runner(spec, timeout_s)))


def only(how: str, folder: Path, option: str = "", **axes: object) -> Record:
    (record,) = run(case(f"llama.cpp{option}={program(folder, how)}", **axes), timeout_s=1.0)
    assert Record.from_json(json.loads(json.dumps(record.to_json()))) == record
    return record


def test_a_prefill_becomes_a_record_with_our_definitions(tmp_path: Path) -> None:
    record = only("gpu", tmp_path)
    assert (record.status, record.reason, record.runner) == ("ok", None, f"llama.cpp {BUILD}")
    assert record.samples_ns == (8_000_000, 16_000_000, 24_000_000) and record.timing == "wall"
    assert record.prompt_tokens == 8 and record.schedule == "own process" and record.player == "llama-bench"
    assert (record.exact, record.digest, record.caps, record.plan_hash) == (None, None, None, None)
    assert record.adapter == "llvmpipe (LLVM 15.0.6, 256 bits)" and record.driver == "Vulkan"
    assert record.model_sha256 == open_model("synthetic:tiny").sha256 and record.versions["llama.cpp"] == BUILD
    settings = record.conditions["settings"]
    assert settings["n_threads"] == 2 and settings["layers_on_gpu"] == "12/12" and settings["graph_splits"] == 3
    assert settings["head_on_processor"] and {"before", "after"} < set(record.conditions)
    assert record.ledger_peak_bytes == sum(record.ledger.values()) and set(record.ledger) == {
        "weight",
        "state",
        "scratch",
    }


def test_a_decode_counts_as_many_steps_as_ours(tmp_path: Path) -> None:
    record = only("gpu", tmp_path, workload="decode:4@16")
    assert record.generated_tokens == 5 and record.prompt_tokens == 16 and record.ttft_ns == ()
    assert record.samples_ns == (4_000_000, 8_000_000, 12_000_000)


def test_the_processor_is_asked_for_alone(tmp_path: Path) -> None:
    record = only("cpu", tmp_path, ":cpu", options={"chunk": 64})
    assert record.status == "ok" and record.runner == f"llama.cpp:cpu {BUILD}" and record.ledger is None
    assert (record.adapter, record.driver) == ("AMD EPYC", "CPU")
    settings = record.conditions["settings"]
    assert (settings["devices"], settings["n_gpu_layers"], settings["n_ubatch"]) == ("none", 0, 64)


def test_a_gpu_is_chosen_by_a_part_of_its_name(tmp_path: Path) -> None:
    assert only("gpu", tmp_path, device="host:LLVMpipe").conditions["settings"]["devices"] == "Vulkan0"
    failed = only("gpu", tmp_path, device="host:H200")
    assert "sees no device with 'H200' in its name, it lists: Vulkan0: llvmpipe" in failed.reason


def test_builds_of_2024_are_understood(tmp_path: Path) -> None:
    record = only("old", tmp_path)
    assert record.status == "ok" and record.adapter == "NVIDIA H200" and record.ledger["weight"] == round(25.75 * 2**20)


@pytest.mark.parametrize(
    ("how", "option", "says"),
    [
        ("no-gpu", "", "asked for the GPU, but the processor took part: it names no GPU (backends: CPU)"),
        ("few-layers", "", "only 7 of 12 layers went to the GPU"),
        ("to-and-fro", "", "cut into 91 parts where 3 are usual"),
        ("takes-gpu", ":cpu", "asked for the processor, but the GPU took part: Vulkan0 held buffers of it"),
    ],
)
def test_work_that_was_done_elsewhere_in_silence_is_a_row_without_numbers(
    tmp_path: Path, how: str, option: str, says: str
) -> None:
    record = only(how, tmp_path, option)
    assert record.status == "fallback" and says in str(record.reason) and record.samples_ns == ()
    assert record.runner == f"llama.cpp{option} {BUILD}" and record.conditions["settings"]["graph_splits"]


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("crash", "exit code 3 (ggml.c:1: GGML_ASSERT(n > 0) failed)"),
        ("refuse", "exit code 1 (llama_model_load: error loading model: unknown model architecture: 'x')"),
        ("signal", "signal 9 (SIGKILL, most likely for want of memory)"),
        ("hang", "said nothing for 1 s and was ended; raise --timeout"),
        ("babble", "no result line that can be read"),
        ("flood", "prints without end"),
        ("other", "answered something else than was asked"),
    ],
)
def test_a_program_that_fails_becomes_a_failed_row_in_one_line(tmp_path: Path, how: str, says: str) -> None:
    record = only(how, tmp_path)
    assert record.status == "failed" and says in str(record.reason) and "\n" not in str(record.reason)
    assert record.runner == "llama.cpp" and record.conditions["after"]
    assert not psutil.Process().children(recursive=True)


def test_one_that_talks_may_take_longer_than_a_silence(tmp_path: Path) -> None:
    assert only("slow", tmp_path).status == "ok"


def test_what_a_program_leaves_running_is_ended(tmp_path: Path) -> None:
    record = only("orphan", tmp_path)
    left = [process for process in psutil.process_iter(["cmdline"]) if "61.25" in (process.info["cmdline"] or ())]
    assert record.status == "ok" and not left


@pytest.mark.parametrize(
    ("axes", "says"),
    [
        ({"format": "tq1_0>tq2_0"}, "which only tritmark does; compare with tq1_0 or tq2_0"),
        ({"options": {"activation": "relu2"}}, "cannot be told an activation"),
        ({"model": "missing.gguf"}, "missing.gguf"),
    ],
)
def test_what_the_engine_cannot_do_is_a_failed_row_that_says_so(
    tmp_path: Path, axes: dict[str, object], says: str
) -> None:
    record = only("gpu", tmp_path, **axes)
    assert record.status == "failed" and says in str(record.reason)


def test_a_device_that_runs_no_programs_is_a_failed_row(tmp_path: Path) -> None:
    device = Host()
    device.name = "chromium"
    spec = f"llama.cpp={program(tmp_path, 'gpu')}"
    (record,) = run_matrix([case(spec, device="chromium")], device_of=lambda spec: device, runner_of=open_runner)
    assert record.status == "failed" and "runs on host and android, not on chromium" in str(record.reason)


def test_a_model_in_the_right_format_is_used_as_it_is_and_another_is_converted_once(tmp_path: Path) -> None:
    given = convert("synthetic:tiny", tmp_path / "given.gguf", "tq2_0")
    files = ModelFiles()
    same, other = files.file(str(given), "tq2_0"), files.file(str(given), "tq1_0")
    assert same.path == given and same.sha256 == same.model_sha256
    assert other.path != given and files.file(str(given), "tq1_0") is other
    assert other.sha256 == open_model(str(other.path)).sha256 != other.model_sha256 == same.model_sha256
    assert {info.type for info in open_model(str(other.path)).tensors.values()} == {"tq1_0", "f16", "f32"}
    files.file("synthetic:tiny", "tq2_0")
    assert not other.path.exists()
    files.close()


def test_a_temporary_model_says_of_its_tokenizer_that_there_is_none() -> None:
    files = ModelFiles()
    made = open_model(str(files.file("synthetic:tiny", "tq1_0").path))
    assert made.metadata["tokenizer.ggml.model"] == "no_vocab" and made.metadata["bitnet.vocab_size"] == 512
    files.close()


def test_nothing_temporary_is_left(tmp_path: Path, temporary: Path) -> None:
    spec = f"llama.cpp={program(tmp_path, 'gpu')}"
    records = run_matrix([case(spec), case(spec, format="tq1_0")], device_of=lambda spec: Host(), runner_of=open_runner)
    assert next(records).status == "ok" and list(temporary.glob("tritmark-runner-*/*.gguf"))
    records.close()  # as a full disk or Ctrl-C does
    assert not list(temporary.iterdir())


INTERRUPTED = """
import sys
from tritmark.bench.cli import main
main()
"""


def engines(family: psutil.Process) -> list[psutil.Process]:
    """The processes below ``family`` where the other engine runs: there are others for a moment, such as git."""
    found = []
    for process in family.children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if any("llama-bench" in word for word in process.cmdline()):
                found.append(process)
    return found


@pytest.mark.skipif(not hasattr(signal, "SIGINT") or sys.platform == "win32", reason="needs Unix signals")
def runs(process: psutil.Process) -> bool:
    """Whether it still does something: what is dead may wait for its parent to look."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_ctrl_c_ends_the_program_and_leaves_nothing(tmp_path: Path, temporary: Path) -> None:
    command = [sys.executable, "-c", INTERRUPTED, "run", "--model", "synthetic:tiny", "--workload", "prefill:8",
               "--runner", f"llama.cpp={program(tmp_path, 'hang')}", "--out", str(tmp_path / "out")]  # fmt: skip
    running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": str(temporary)})
    family = psutil.Process(running.pid)
    deadline = time.monotonic() + 30
    while not (children := engines(family)) and time.monotonic() < deadline:
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    _, stderr = running.communicate(timeout=20)
    assert running.returncode == 1 and "interrupted; finish with the same command, --resume" in stderr
    assert children and not any(map(runs, children)) and not list(temporary.iterdir())


def test_other_engines_rows_come_beside_ours_and_our_keys_stay_what_they_were() -> None:
    matrix = {"model": "m", "workload": "prefill:8", "format": ["tq1_0", "tq2_0"]}
    old, both = expand(matrix), expand({**matrix, "runner": ["tritmark", "llama.cpp=x"]})
    assert [c.runner for c in both] == ["tritmark", "tritmark", "llama.cpp=x", "llama.cpp=x"]
    assert [c.key for c in both[:2]] == [c.key for c in old] and len({c.key for c in both}) == 4
    assert "runner" not in old[0].axes() and both[2].axes()["runner"] == "llama.cpp=x"
    assert both[0].group == both[1].group and both[2].group != both[3].group
    assert str(both[2]) == "m tq1_0 prefill:8 on host by llama.cpp"
    written = {"model": "synthetic:125M", "format": "tq1_0", "workload": "decode:32", "device": "host"}
    assert Case(**written, repetitions=5).key == "a4df7d0d2817ece9"  # as in records/schema1.jsonl


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("onnx=x", "unknown runner 'onnx'; known: tritmark, llama.cpp, qvac"),
        ("llama.cpp", "needs the path of its llama-bench"),
        ("llama.cpp:npu=x", "write llama.cpp=PATH or llama.cpp:cpu=PATH"),
        ("qvac=/nowhere/llama-bench", "there is no file /nowhere/llama-bench"),
    ],
)
def test_a_runner_that_cannot_be_meant_is_refused_in_one_line(text: str, says: str) -> None:
    with pytest.raises(RunnerError, match=says):
        open_runner(text)


def test_further_runners_come_as_entry_points(monkeypatch: pytest.MonkeyPatch) -> None:
    class Other:
        label = "other"

    class Entry:
        name = "other"

        @staticmethod
        def load() -> object:
            return lambda spec, timeout_s: Other() if (spec.option, spec.path) == ("fast", "/x=y") else None

    monkeypatch.setattr(base, "entry_points", lambda group, **name: [Entry])
    assert open_runner("other:fast=/x=y").label == "other" and base.names()[-1] == "other"
    assert parse_spec("other:fast=/x=y").label == "other:fast"


@pytest.mark.skipif(shutil.which("llama-bench") is None, reason="needs a real llama-bench on the PATH")
@pytest.mark.parametrize("format", ["tq1_0", "tq2_0"])
def test_a_real_llama_bench_measures_on_the_processor(format: str) -> None:
    spec = f"llama.cpp:cpu={shutil.which('llama-bench')}"
    records = run(case(spec, format=format), case(spec, format=format, workload="decode:4@8"), timeout_s=120)
    assert [record.reason for record in records] == [None, None]
    assert all(len(record.samples_ns) == 3 and record.process_memory for record in records)
