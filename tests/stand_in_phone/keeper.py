"""Keeper: a process that ends what a phone has started and deletes its folders, where the test's process was killed.

Everything a phone starts carries the phone's folder in its environment, so nothing else can be meant.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import psutil

MARK = "STAND_IN_PHONE"


def marked(environment: Mapping[str, str], folder: Path) -> dict[str, str]:
    """The environment for a process that belongs to ``folder``."""
    return {**environment, MARK: str(folder)}


def end(folder: Path) -> None:
    """Kill every process that belongs to ``folder``, also what outlived the one that started it."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get(MARK) == str(folder):
                process.kill()


class Keeper:
    """Waits for the end of this process."""

    def __init__(self, *folders: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, *map(str, folders)], stdin=subprocess.PIPE, start_new_session=True
        )

    def dismiss(self) -> None:
        """Everything has been ended in good order."""
        self._process.kill()
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()


if __name__ == "__main__":
    sys.stdin.read()  # ends when the other end of the pipe is gone, in whatever way
    for folder in map(Path, sys.argv[1:]):
        end(folder)
        shutil.rmtree(folder, ignore_errors=True)
