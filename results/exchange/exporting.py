"""Records into one file: a table of ours, or what another benchmark tool writes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..json_text import written
from ..record import Record
from . import files, llama_bench, pytest_benchmark

FOREIGN = {llama_bench.TOOL: (".jsonl",), pytest_benchmark.TOOL: (".json",)}


def endings(shape: str | None) -> tuple[str, ...]:
    """The endings that a file may have: of ``shape``, or of our tables."""
    return FOREIGN[shape] if shape else files.ENDINGS


def export(records: Sequence[Record], path: Path, shape: str | None = None) -> int:
    """Write ``records`` whole or not at all, as ``shape`` if it is given; how many it had a place for."""
    if shape is None:
        files.write(records, path)
        return len(records)
    if shape == llama_bench.TOOL:
        tests = [test for record in records if (test := llama_bench.test_of(record))]
        text, count = "".join(written(test) + "\n" for test in tests), len(tests)
    else:
        report = pytest_benchmark.report_of(records)
        text, count = written(report) + "\n", len(report["benchmarks"])
    files.written_whole(path, lambda partial: partial.write_text(text, encoding="utf-8"))
    return count
