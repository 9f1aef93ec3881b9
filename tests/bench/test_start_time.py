"""How long a person waits for `tritmark --help`."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

HEAVY = {"numpy", "wgpu", "rich", "gguf", "tokenizers", "jinja2", "psutil", "huggingface_hub", "safetensors"}
COMMAND = [sys.executable, "-m", "tritmark.bench.cli", "--help"]


def test_help_starts_within_300_ms(benchmark: Any) -> None:
    benchmark.pedantic(subprocess.run, (COMMAND,), {"capture_output": True, "check": True}, rounds=7, warmup_rounds=1)
    if benchmark.stats is not None:  # None where benchmarks are switched off
        assert benchmark.stats.stats.min < 0.3


def test_help_imports_nothing_that_computes_or_draws() -> None:
    code = "import sys, tritmark.bench.cli; print(*{name.split('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout.split()
    assert not HEAVY & set(loaded)
