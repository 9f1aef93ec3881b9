"""How long a model file takes to its first token, piece by piece; run with -s to see the table."""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tritmark.engine.formats.convert import convert
from tritmark.engine.formats.model import Model, content_id, open_model
from tritmark.engine.inference import Workload, compile_workload, parse_format
from tritmark.engine.models.source import Source
from tritmark.engine.players.wgpu_player import load

SPEC = "synthetic:125M"
LEAST_BYTES_PER_S = 100e6  # of filling buffers, on two busy cores


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return convert(SPEC, tmp_path_factory.mktemp("cold") / "model.gguf", "tq2_0")


def started(gpu: Any, path: Path, resident: str) -> dict[str, float]:
    """Seconds of each part, from opening the file to the first token."""
    marks = [time.perf_counter()]

    def mark(result: Any) -> Any:
        marks.append(time.perf_counter())
        return result

    model: Model = mark(open_model(str(path)))
    mark(content_id(model))
    compiled = mark(compile_workload(model, parse_format(f"tq2_0>{resident}"), Workload.parse("decode:1"), gpu.caps))
    session = mark(load(gpu, compiled.plan, Source(model, resident)))
    mark(session.play(0, compiled.first_decode))
    spans = [after - before for before, after in pairwise(marks)]
    names = ("open", "name the content", "compile the plan", "load", "first token")
    parts = dict(zip(names, spans, strict=True))
    parts |= {"fill buffers": session.load_ns / 1e9, "pipelines": session.compile_ns / 1e9}
    session.close()
    return parts


@pytest.mark.parametrize("resident", ["tq2_0", "tq1_0"])
def test_from_file_to_first_token(benchmark: Any, gpu: Any, path: Path, resident: str) -> None:
    parts = benchmark.pedantic(started, (gpu, path, resident), rounds=1)
    rate = path.stat().st_size / parts["fill buffers"]
    print(", ".join(f"{name} {seconds:.3f} s" for name, seconds in parts.items()), f"= {rate / 1e6:,.0f} MB/s")
    if benchmark.stats is not None:  # None where benchmarks are switched off
        assert rate > LEAST_BYTES_PER_S
