"""The command line: what it prints for scripts and people, and that no bad input shows a traceback."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tritmark.reports import tables
from tritmark.results.record import SCHEMA, Record
from tritmark.results.store import FILE_NAME, Store


def tritmark(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tritmark.bench.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def record(**fields: object) -> Record:
    base: dict[str, object] = {"schema": SCHEMA, "id": "1", "kind": "measured", "status": "ok", "reason": None}
    base |= {"started_at": "2026-11-22T00:00:00+00:00", "case": {"options": {}}, "case_key": "k", "device": "host"}
    base |= {
        "model": "synthetic:125M",
        "format": "tq1_0",
        "workload": "prefill:512",
        "adapter": "llvmpipe",
        "exact": True,
    }
    base |= {"driver": "Mesa 22.3", "prompt_tokens": 512, "generated_tokens": 1, "digest": "d"}
    base |= {"samples_ns": (5_000_000_000, 5_100_000_000, 5_200_000_000), "ttft_ns": (5_000_000_000,) * 3}
    base |= {"load_ns": {"cold": (2_100_000_000,), "warm": (1_900_000_000,)}, "ledger_peak_bytes": 180 << 20}
    base |= {"compile_ns": {"cold": (900_000_000,), "warm": (120_000_000,)}, "process_memory": ((0, 500 << 20),)}
    return Record(**{**base, **fields})  # type: ignore[arg-type]


DECODE = record(
    workload="decode:128@512",
    format="tq1_0>tq2_0",
    generated_tokens=129,
    samples_ns=(6_400_000_000, 6_500_000_000, 6_700_000_000),
    encode_ns=(30_000_000, 40_000_000, 60_000_000),
    dispatches=10_000,
    token_ns=(tuple(range(50_000_000, 6_450_000_000, 50_000_000)),),
)
FAILED = record(
    id="2",
    status="failed",
    reason="the player died during load: exit code 134",
    samples_ns=(),
    ttft_ns=(),
    load_ns=None,
)


def test_the_table_at_80_columns_is_two_tables() -> None:
    assert tables.text([record(), DECODE, FAILED], 80).startswith("""\
synthetic:125M on host (llvmpipe; Mesa 22.3)
                                 Prefill       Decode   TTFT          ITL ms
Format       Workload        tok/s ± MAD  tok/s ± MAD     ms     p50/p90/p99
────────────────────────────────────────────────────────────────────────────
tq1_0        prefill:512         100 ± 2            -  5,000               -
tq1_0>tq2_0  decode:128@512            -   19.7 ± 0.3  5,000  50.0/50.0/50.0
tq1_0        prefill:512               -            -      -               -

                                Load s  Compile s  GPU  RSS
Format       Workload        cold/warm  cold/warm  MiB  MiB  Exact  Status
──────────────────────────────────────────────────────────────────────────
tq1_0        prefill:512     2.10/1.90  0.90/0.12  180  500    yes      ok
tq1_0>tq2_0  decode:128@512  2.10/1.90  0.90/0.12  180  500    yes      ok
tq1_0        prefill:512             -  0.90/0.12  180  500    yes  failed

  a dispatch costs the player's CPU, apart from GPU time: 4.00 us (tq1_0>tq2_0
  decode:128@512).
  failed: tq1_0 prefill:512: the player died during load: exit code 134
""")


def test_a_player_that_keeps_its_gpu_waiting_is_told() -> None:
    told = tables.text([replace(DECODE, busy_ns=(6_175_000_000,) * 3)], 140)
    assert "the GPU waits for the player and its driver 5.0 % (tq1_0>tq2_0 decode:128@512) of the time." in told


def test_the_table_at_140_columns_has_every_metric_in_one_row() -> None:
    rows = [line.split() for line in tables.text([DECODE], 140).splitlines() if line.startswith("tq1_0>tq2_0")]
    cells = "tq1_0>tq2_0 decode:128@512 - 19.7 ± 0.3 5,000 50.0/50.0/50.0 2.10/1.90 0.90/0.12 180 500 yes ok"
    assert rows == [cells.split()]


@pytest.mark.parametrize("columns", [80, 100, 140])
def test_no_cell_is_cut_and_no_line_is_wider_than_the_terminal(columns: int) -> None:
    text = tables.text([record(), DECODE, FAILED], columns)
    assert max(map(len, text.splitlines())) <= columns and "…" not in text
    for cell in ("tq1_0>tq2_0", "19.7 ± 0.3", "50.0/50.0/50.0", "2.10/1.90", "exit code 134"):
        assert cell in text


TRAINING = {"steps": 2, "tokens": 250, "supervised_tokens": 200, "slots": 256, "epoch_steps": 10, "losses": [6.2, 6.0]}


@pytest.mark.parametrize("learns", [False, True])
def test_every_metric_of_the_table_is_defined_beneath_it(learns: bool) -> None:
    shown = record(workload="lora:r8,c128", training=TRAINING) if learns else record()
    text = tables.text([shown], 140)
    defined = {name for name, _ in (*(tables.LEARNING if learns else tables.INFERENCE), *tables.DEFINITIONS)}
    for column in (tables.TRAINING if learns else tables.SPEED) + tables.COST[:-1]:
        assert column.removesuffix(" ms").removesuffix(" s") in defined
    assert all(f"{name}: " in text for name in defined)


def test_fine_tuning_has_columns_of_its_own_beside_inference() -> None:
    lora = record(workload="lora:r8,c128", training=TRAINING, samples_ns=(10**9, 10**9, 2 * 10**9))
    text = tables.text([record(), lora], 140)
    assert "Prefill" in text and "Train" in text
    for cell in ("250 ± 0", "200", "0.50 ± 0.00", "~5.00", "6.200/6.000"):
        assert cell in text
    whole = tables.derived(record(workload="lora:r8,c128", training={**TRAINING, "epoch_steps": 2}))
    assert tables.derived(lora)["epoch_extrapolated"] and whole["epoch_extrapolated"] is False


def test_markdown_has_as_many_cells_in_every_row() -> None:
    rows = [line for line in tables.markdown([record(), FAILED]).splitlines() if line.startswith("|")]
    assert len(rows) == 4 and len({row.count("|") for row in rows}) == 1


def test_rivals_are_compared_by_what_their_samples_show() -> None:
    slower = record(format="tq2_0", samples_ns=(10_200_000_000, 10_200_000_001, 10_200_000_002))
    assert "tq1_0 has 2.00 times the prefill rate of tq2_0." in tables.text([record(), slower], 140)
    same = record(format="tq2_0", samples_ns=(5_150_000_000,) * 3)
    assert "their samples overlap, so no difference is shown" in tables.text([record(), same], 140)
    assert "OUTPUTS DIFFER" in tables.text([record(), record(format="tq2_0", digest="other")], 140)


OTHER = {"options": {}, "runner": "llama.cpp=/opt/llama-bench"}


def other(**fields: object) -> Record:
    base = {"case": OTHER, "runner": "llama.cpp b7336 (57d4c98)", "adapter": "NVIDIA H200", "driver": "Vulkan"}
    return record(**{**base, "digest": None, "ttft_ns": (), "ledger_peak_bytes": None, **fields})


def test_other_engines_stand_beside_ours_and_are_marked() -> None:
    slower = other(samples_ns=(10_200_000_000,) * 3)
    failed = other(format="tq2_0", status="failed", reason="fell back", samples_ns=(), runner="llama.cpp")
    text = tables.text([record(), slower, failed], 80)
    assert "prefill:512 tq1_0: tritmark has 2.00 times the prefill rate of llama.cpp b7336" in " ".join(text.split())
    assert "llama.cpp b7336 (57d4c98) computed on NVIDIA H200 (Vulkan)." in text
    assert "failed: tq2_0 prefill:512 by llama.cpp: fell back" in text and "OUTPUTS DIFFER" not in text
    assert text.count("synthetic:125M on host") == 1 and "Runner: other engines are measured by" in text
    rows = [line.split()[:2] for line in text.splitlines() if line[:1] in ("t", "l") and " prefill:512 " in line]
    assert rows == [["tritmark", "tq1_0"], ["llama.cpp", "tq1_0"], ["llama.cpp", "tq2_0"]] * 2
    assert "Runner" not in tables.text([record()], 80)
    markdown = [line for line in tables.markdown([record(), slower]).splitlines() if line.startswith("|")]
    assert markdown[0].startswith("| Runner |") and len({row.count("|") for row in markdown}) == 1


def test_two_builds_of_one_engine_are_told_apart() -> None:
    text = tables.text([other(), other(runner="llama.cpp b9000 (abc)")], 140)
    assert "llama.cpp b7336 (57d4c98)  tq1_0" in text and "llama.cpp b9000 (abc)" in text


def test_where_another_engine_computed_its_output_head_is_said() -> None:
    settings = {"head_on_processor": True, "n_threads": 8}
    assert "the output head on the processor" in tables.text([other(conditions={"settings": settings})], 140)
    cpu = other(driver="CPU", adapter="Xeon", conditions={"settings": {**settings, "head_on_processor": False}})
    assert "computed on Xeon (CPU, 8 threads)." in tables.text([cpu], 140)


def test_formats_of_another_engine_are_compared_too() -> None:
    faster = other(format="tq2_0", samples_ns=(1_000_000_000,) * 3)
    assert "prefill:512 by llama.cpp b7336 (57d4c98): tq2_0 has 5.10 times" in tables.text([other(), faster], 140)


def test_show_prints_the_records_of_a_folder(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        store.append(DECODE)
        store.append(FAILED)
    shown = tritmark("show", tmp_path)
    assert shown.returncode == 0 and "19.7 ± 0.3" in shown.stdout and "exit code 134" in shown.stdout
    lines = [json.loads(line) for line in tritmark("show", tmp_path, "--json").stdout.splitlines()]
    assert [line["status"] for line in lines[:2]] == ["ok", "failed"] and lines[0]["decode_tps"]["count"] == 3
    assert lines[-1] == {"folder": str(tmp_path), "records": 2, "ok": 1, "failed": 1}


def bad_inputs(folder: Path) -> dict[str, tuple[tuple[str | Path, ...], int, str]]:
    """What is typed, the exit status, and what the one line says; ``folder`` holds a torn model and newer records."""
    out = folder / "out"
    small = ("--workload", "decode:2", "--out", out)
    return {
        "no such folder": (("show", folder / "nothing"), 1, "holds no records.jsonl"),
        "newer schema": (("show", folder / "newer"), 1, "upgrade tritmark"),
        "newer schema, run": (("run", "--resume", "--out", folder / "newer"), 1, "upgrade tritmark"),
        "missing model": (("run", "--model", folder / "missing.gguf", *small), 1, "missing.gguf"),
        "torn model": (("run", "--model", folder / "torn.gguf", *small), 1, "torn.gguf"),
        "unknown format": (("run", "--format", "q9", *small), 1, "format 'q9' is unknown"),
        "unknown workload": (("run", "--workload", "dance:7", "--out", out), 1, "workload 'dance:7' is unknown"),
        "unknown device": (("run", "--device", "toaster", *small), 1, "unknown device 'toaster'"),
        "unknown runner": (("run", "--runner", "onnx=x", *small), 1, "unknown runner 'onnx'"),
        "runner without a file": (("run", "--runner", "tritmark,llama.cpp=nowhere", *small), 1, "no file nowhere"),
        "too few repetitions": (("run", "--repetitions", "1", *small), 2, "at least 3"),
        "unknown suite": (("run", "--suite", "nonesuch", *small), 2, "no suite 'nonesuch'"),
        "resume of nothing": (("run", "--resume"), 2, "--out"),
        "file in the way": (("run", *small[:2], "--out", folder / "torn.gguf" / "x"), 1, "torn.gguf"),
        "bad tokens": (("logits", "--model", "synthetic:tiny", "--tokens", "1,x"), 2, "no list of token ids"),
    }


@pytest.mark.parametrize("name", bad_inputs(Path()))
def test_bad_input_is_one_line_and_leaves_nothing_behind(tmp_path: Path, name: str) -> None:
    arguments, status, says = bad_inputs(tmp_path)[name]
    (tmp_path / "newer").mkdir()
    (tmp_path / "newer" / FILE_NAME).write_text('{"schema": 99}\n')
    (tmp_path / "torn.gguf").write_bytes(b"GGUF\x03\0\0\0")
    before = sorted(tmp_path.rglob("*"))
    ended = tritmark(*arguments)
    assert ended.returncode == status and says in ended.stderr and "Traceback" not in ended.stderr
    if status == 1:
        assert ended.stderr.count("\n") == 1 and ended.stderr.startswith("tritmark: ")
    assert sorted(tmp_path.rglob("*")) == before and not ended.stdout


def test_a_folder_with_records_is_not_run_into_without_resume(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        store.append(DECODE)
    ended = tritmark("run", "--out", tmp_path)
    assert ended.returncode == 1 and "finish it with --resume or choose another --out" in ended.stderr
