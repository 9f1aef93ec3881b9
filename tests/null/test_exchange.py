"""Files of other programs: frames survive every table format; llama-bench and pytest-benchmark read what we write."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import Any

import pandas as pd
import pytest
from pytest_benchmark.logger import Logger
from pytest_benchmark.stats import Stats
from pytest_benchmark.storage.file import FileStorage
from real_records import ALL, MEASURED

from tritmark.reports import stats
from tritmark.results.exchange import csv_file, files, llama_bench, pytest_benchmark
from tritmark.results.exchange.exporting import export
from tritmark.results.exchange.sources import read
from tritmark.results.frame import frame, records_of
from tritmark.results.record import Record, RecordError
from tritmark.results.store import line_of, read_lines

TEST = json.loads(Path(__file__).with_name("llama_bench").joinpath("result.json").read_text(encoding="utf-8"))
# What scripts/compare-llama-bench.py of llama.cpp cannot do without; it joins two builds on all but the last three.
COMPARED = (
    "cpu_info", "gpu_info", "backends", "n_gpu_layers", "tensor_buft_overrides", "model_filename", "model_type",
    "n_batch", "n_ubatch", "embeddings", "cpu_mask", "cpu_strict", "poll", "n_threads", "type_k", "type_v",
    "use_mmap", "no_kv_offload", "split_mode", "main_gpu", "tensor_split", "flash_attn", "n_prompt", "n_gen",
    "n_depth", "build_commit", "test_time", "avg_ts",
)  # fmt: skip
INFERENCE = [record for record in MEASURED if record.workload.startswith(("prefill", "decode"))]


def csv_bytes(table: pd.DataFrame, folder: Path) -> bytes:
    csv_file.write(table, folder / "canonical.csv")
    return (folder / "canonical.csv").read_bytes()


@pytest.mark.parametrize("ending", sorted(files.KINDS))
def test_a_frame_comes_back_byte_by_byte_from_every_table_format(tmp_path: Path, ending: str) -> None:
    table, path = frame(ALL), tmp_path / f"it's [all]{ending}"
    files.write(ALL, path)
    back = files.read(path)
    assert back.equals(table) and back.dtypes.equals(table.dtypes)
    assert csv_bytes(back, tmp_path) == csv_bytes(table, tmp_path)
    assert [line_of(record) for record in records_of(back)] == [line_of(record) for record in ALL]
    assert {found.name for found in tmp_path.iterdir()} == {path.name, "canonical.csv"}


@pytest.mark.parametrize("ending", sorted(files.KINDS))
def test_a_frame_without_rows_keeps_its_types(tmp_path: Path, ending: str) -> None:
    files.write([], tmp_path / f"none{ending}")
    assert files.read(tmp_path / f"none{ending}").equals(frame([]))


def test_two_exports_of_the_same_records_are_the_same_table(tmp_path: Path) -> None:
    """Records to Parquet to SQLite to CSV to JSON lines."""
    records = ALL
    for ending in (".parquet", ".sqlite", ".csv"):
        files.write(records, tmp_path / f"x{ending}")
        records = read(tmp_path / f"x{ending}").records
    files.write(records, tmp_path / "x.jsonl")
    assert (tmp_path / "x.jsonl").read_bytes() == b"".join(map(line_of, ALL))
    assert read_lines(tmp_path / "x.jsonl").records == ALL


def test_sql_answers_questions_about_records(tmp_path: Path) -> None:
    files.write(MEASURED, tmp_path / "x.sqlite")
    question = (
        "SELECT records.id, value FROM records, json_each(samples_ns) WHERE workload LIKE 'decode%' ORDER BY value"
    )
    found = sqlite3.connect(tmp_path / "x.sqlite").execute(question).fetchone()
    times = [(ns, r.id) for r in MEASURED if r.workload.startswith("decode") for ns in r.samples_ns]
    assert found == min(times)[::-1]


@pytest.mark.parametrize("ending", sorted(files.ENDINGS))
def test_a_failed_export_leaves_what_was_there_and_nothing_else(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"x{ending}"
    path.write_bytes(b"before")
    broken = replace(ALL[0], model="half \ud83d" if ending != ".jsonl" else "x", gauge={"dispatch_ns": float("nan")})
    with pytest.raises(RecordError, match="NaN") as caught:
        files.write([broken], path)
    assert "\n" not in str(caught.value) and path.read_bytes() == b"before"
    if ending != ".jsonl":  # its escapes can say half a character
        with pytest.raises(RecordError, match="cannot write"):
            files.write([replace(broken, gauge=None)], path)
    assert [found.name for found in tmp_path.iterdir()] == [path.name] and path.read_bytes() == b"before"


def test_without_duckdb_one_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    for ending in (".parquet", ".duckdb"):
        with pytest.raises(RecordError, match=r"pip install 'tritmark\[store\]'"):
            files.write(ALL[:1], tmp_path / f"x{ending}")
    files.write(ALL[:1], tmp_path / "x.sqlite")
    assert [found.name for found in tmp_path.iterdir()] == ["x.sqlite"]


CSV = "schema,id,samples_ns\r\n"


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("x.csv", b"", "'schema' is missing"),
        ("x.csv", CSV.encode() + b"4,a\r\n", "row 1 has 2 cells for 3 columns"),
        ("x.csv", CSV.encode() + b"four,a,[]\r\n", "row 1: schema should be int, not 'four'"),
        ("x.csv", CSV.encode() + b'4,"a', "line 2: not CSV"),
        ("x.csv", CSV.encode() + b"4,\xff,[]\r\n", "not UTF-8"),
        ("x.csv", b"schema,id,samples_ms\r\n", "did you mean 'samples_ns'"),
        ("x.csv", CSV.encode() + b"5,a,[]\r\n", "upgrade tritmark"),
        ("x.csv", CSV.encode() + b"4,a,[]\r\n", "row 1: record lacks the field"),
        ("x.csv", b"source,table,model,value,unit\r\n", "tritmark audit"),
        ("x.sqlite", b"no database at all" * 100, "not SQLite"),
        ("x.sqlite", b"", "no such table"),
        ("x.duckdb", b"no database at all" * 100, "DuckDB cannot use it"),
        ("x.parquet", b"no table", "DuckDB cannot use it"),
        ("x.txt", b"", r"cannot tell what it holds; known are .csv"),
        ("x.json", b"[]", "neither pytest-benchmark's JSON nor llama-bench's"),
        ("x.json", b"{", "not JSON"),
        ("x.jsonl", b'{"schema": 4, "id": NaN}\n', "line 1: holds NaN"),
        ("x.jsonl", "{}\n".encode("utf-16"), "line 1: not UTF-8"),
        ("x.jsonl", b"[]\n", "line 1: not a record"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_its_place(
    tmp_path: Path, name: str, content: bytes, says: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RecordError, match=says) as caught:
        read(tmp_path / name)
    assert name in str(caught.value) and "\n" not in str(caught.value)
    assert [found.name for found in tmp_path.iterdir()] == [name]


def file_of(path: Path, *tests: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(test) + "\n" for test in tests), encoding="utf-8")
    return path


def test_a_test_of_llama_bench_is_an_imported_record(tmp_path: Path) -> None:
    (record,) = read(file_of(tmp_path / "x.jsonl", TEST)).records
    assert (record.kind, record.grade, record.runner) == ("measured", "imported", "llama.cpp b0 (unknown)")
    assert (record.model, record.format, record.workload) == ("tq2_0-no_vocab.gguf", "tq2_0", "prefill:4")
    assert (record.adapter, record.driver) == ("llvmpipe (LLVM 15.0.6, 256 bits)", "Vulkan")
    assert record.samples_ns == (9814852009,) and record.started_at == "2026-11-23T02:54:35+00:00"
    assert stats.prefill_tps(record) == [pytest.approx(TEST["avg_ts"], rel=1e-5)]
    (tmp_path / "x.json").write_text(json.dumps([TEST]), encoding="utf-8")
    assert read(tmp_path / "x.json").records == [record]


def test_a_decode_at_depth_counts_its_passes(tmp_path: Path) -> None:
    decode = {**TEST, "n_prompt": 0, "n_gen": 16, "n_depth": 512, "samples_ns": [2 * 10**9], "samples_ts": [8.0]}
    (record,) = read(file_of(tmp_path / "x.jsonl", decode)).records
    assert (record.workload, record.generated_tokens, record.prompt_tokens) == ("decode:16@512", 17, 512)
    assert stats.decode_tps(record) == [8.0]


def test_a_test_of_llama_bench_comes_back_as_it_was(tmp_path: Path) -> None:
    (record,) = read(file_of(tmp_path / "x.jsonl", TEST)).records
    back = llama_bench.test_of(record) or {}
    close = {"avg_ts", "samples_ts"}  # we do not round to six decimals
    known = {name: TEST[name] for name in TEST if name in back and name not in {*close, "test_time"}}
    assert {name: back[name] for name in known} == known and len(known) > 25
    assert back["avg_ts"] == pytest.approx(TEST["avg_ts"], rel=1e-5)


def test_llama_cpps_comparison_can_join_what_we_export(tmp_path: Path) -> None:
    """Its query, on a table like its own: every test of one build meets the same test of another."""
    path = tmp_path / "x.jsonl"
    assert export(MEASURED, path, "llama-bench") == len(INFERENCE)
    tests = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    database = sqlite3.connect(":memory:")
    database.execute(f"CREATE TABLE t ({', '.join(COMPARED)})")
    for build in ("before", "after"):
        rows = [[{**test, "build_commit": build}[name] for name in COMPARED] for test in tests]
        database.executemany(f"INSERT INTO t VALUES ({', '.join('?' * len(COMPARED))})", rows)
    on = " AND ".join(f"b.{name} = c.{name}" for name in COMPARED[:25])
    join = f"FROM t b JOIN t c ON {on} AND b.build_commit = 'before' AND c.build_commit = 'after'"
    met = database.execute(f"SELECT DISTINCT b.rowid {join}").fetchall()
    assert len(met) == len(INFERENCE)
    assert [test["avg_ts"] for test in tests] == [mean(rates(record)) for record in INFERENCE]


def rates(record: Record) -> list[float]:
    return stats.prefill_tps(record) or stats.decode_tps(record)


def test_prompt_and_generation_in_one_time_are_left_out_and_said(tmp_path: Path) -> None:
    found = read(file_of(tmp_path / "x.jsonl", TEST, {**TEST, "n_gen": 8}))
    assert len(found.records) == 1 and "1 tests of -pg left out" in found.notes[0]


def test_a_half_written_test_of_llama_bench_is_left_out_and_said(tmp_path: Path) -> None:
    path = file_of(tmp_path / "x.jsonl", TEST)
    path.write_bytes(path.read_bytes() + b'{"build_commit": "unk')
    found = read(path)
    assert len(found.records) == 1 and "half-written and left out, 21 bytes" in found.notes[0]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"samples_ns": [9814]}, "samples_ns are no nanoseconds: 4 tokens in 9814 ns are"),
        ({"samples_ns": [0]}, "whole nanoseconds above 0"),
        ({"samples_ns": []}, "whole nanoseconds above 0"),
        ({"samples_ns": [1.5]}, "whole nanoseconds above 0"),
        ({"samples_ts": "fast"}, "samples_ts should be a list of numbers"),
        ({"n_prompt": "4"}, "n_prompt should be int"),
        ({"n_prompt": 0}, "is no test"),
        ({"test_time": "yesterday"}, "test_time should be a time in ISO 8601, not 'yesterday'"),
    ],
)
def test_a_wrong_test_of_llama_bench_is_refused_by_line(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(RecordError, match=f"x.jsonl, line 2: .*{says}"):
        read(file_of(tmp_path / "x.jsonl", TEST, {**TEST, **changes}))
    lacking = {name: value for name, value in TEST.items() if name != "samples_ns"}
    with pytest.raises(RecordError, match="line 1: samples_ns is missing"):
        read(file_of(tmp_path / "x.jsonl", lacking))


@pytest.mark.parametrize("count", range(1, 14))
def test_statistics_are_those_of_pytest_benchmark(count: int) -> None:
    theirs = Stats()
    for at in range(count):
        theirs.update((at * 7919 % 31 + 1) ** 2 / 1000)
    ours, expected = pytest_benchmark.statistics_of(theirs.data), theirs.as_dict()
    assert ours.pop("outliers") == expected.pop("outliers")
    assert ours == pytest.approx(expected, rel=1e-12)


def test_pytest_benchmark_loads_and_compares_what_we_export(tmp_path: Path) -> None:
    path = tmp_path / "0001_ours.json"
    assert export(ALL, path, "pytest-benchmark") == len(MEASURED)
    loaded = list(FileStorage(tmp_path, Logger(Logger.QUIET)).load_benchmarks(str(path)))
    expected = {record.id: [ns / 1e9 for ns in record.samples_ns] for record in MEASURED}
    assert {one["extra_info"]["tritmark_id"]: one["data"] for one in loaded} == expected
    command = [sys.executable, "-m", "pytest_benchmark", "compare", str(path), "--columns=median,ops", "--csv=out.csv"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    assert len((tmp_path / "out.csv").read_text(encoding="utf-8").splitlines()) == len(MEASURED) + 1
    assert "decode:128[synthetic:1B-tq2_0-host]" in ended.stdout


def test_our_file_of_pytest_benchmark_comes_back_with_its_rates(tmp_path: Path) -> None:
    export(MEASURED, tmp_path / "x.json", "pytest-benchmark")
    back = read(tmp_path / "x.json").records
    assert [record.samples_ns for record in back] == [record.samples_ns for record in MEASURED]
    assert [(r.model, r.format, r.workload, r.device, r.runner) for r in back] == [
        (r.model, r.format, r.workload, r.device, r.runner) for r in MEASURED
    ]
    assert [rates(r) or stats.train_tps(r) for r in back] == [rates(r) or stats.train_tps(r) for r in MEASURED]
    assert {record.grade for record in back} == {"imported"}


BENCHMARKED = """
def test_sum(benchmark):
    benchmark.pedantic(lambda: sum(range(20_000)), rounds=4, iterations=2)
"""


def test_a_file_that_pytest_benchmark_wrote_is_imported(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(BENCHMARKED, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", "--benchmark-json=x.json", "test_it.py"]
    alone = {name: text for name, text in os.environ.items() if not name.startswith("PYTEST_")}  # no worker of this run
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, env=alone)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    told = json.loads((tmp_path / "x.json").read_text(encoding="utf-8"))
    (record,) = read(tmp_path / "x.json").records
    assert (record.grade, record.workload, record.model) == ("imported", "test_it.py::test_sum", "unnamed")
    data = told["benchmarks"][0]["stats"]["data"]
    assert record.samples_ns == tuple(round(value * 1e9) for value in data) and len(data) == 4
    assert record.id == read(tmp_path / "x.json").records[0].id
    assert rates(record) == []  # of nothing that we know a rate of


@pytest.mark.parametrize(
    ("stats_told", "says"),
    [
        ({"data": []}, "has no data; save every round"),
        ({"data": [5e9, 5e9], "mean": 5e9, "rounds": 2}, "seconds between 1e-9 and 1e\\+06; were they saved"),
        ({"data": [0.005, 0.005], "mean": 5.0, "rounds": 2}, "data and stats disagree"),
        ({"data": ["fast"]}, "data should be a list of numbers"),
    ],
)
def test_a_wrong_benchmark_is_refused_by_name(tmp_path: Path, stats_told: dict[str, Any], says: str) -> None:
    report = {"datetime": "2026-11-22", "benchmarks": [{"fullname": "t.py::t", "stats": stats_told}]}
    (tmp_path / "x.json").write_text(json.dumps(report), encoding="utf-8")
    with pytest.raises(RecordError, match=rf"x.json: benchmark 1 \(t.py::t\): .*{says}"):
        read(tmp_path / "x.json")
