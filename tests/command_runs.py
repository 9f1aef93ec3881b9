"""The command `tritmark` as a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any


def tritmark(*arguments: str | Path, status: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tritmark.bench.cli", *map(str, arguments)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert ended.returncode == status, ended.stderr
    return ended


def last(ended: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return found
