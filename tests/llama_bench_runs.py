"""What tests of llama-bench share: programs that stand in for it, each behaving in one way."""

from __future__ import annotations

import sys
from pathlib import Path

STAND_IN = Path(__file__).parent / "null" / "stand_in_llama_bench.py"


def program(folder: Path, how: str) -> Path:
    """An executable ``llama-bench`` in a folder of its own, and a library beside it."""
    path = folder / how / "llama-bench"
    path.parent.mkdir(exist_ok=True)
    lines = (f"#!{sys.executable}", "import runpy, sys", f"sys.argv[1:1] = ['--stand-in', {how!r}]",
             f"runpy.run_path({str(STAND_IN)!r}, run_name='__main__')")  # fmt: skip
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    path.chmod(0o755)
    (path.parent / "libggml.so").write_bytes(b"\x7fELF")
    return path
