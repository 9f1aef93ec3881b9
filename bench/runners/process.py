"""A program of others as a process group of its own, watched until its end; nothing of it is left afterwards.

It knows processes and nothing of what the program is for.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO

from tritmark.devices.child import MemorySampler

from .base import RunnerError

POLL_S = 0.1
MOST_BYTES = 16 << 20  # of output, each stream
DRAIN_S = 2.0


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a program ended and what it said. ``memory``: (ns since the start, resident bytes)."""

    status: int  # negative: ended by that signal
    stdout: str
    stderr: str
    memory: tuple[tuple[int, int], ...] = ()


class Reader(threading.Thread):
    """Takes a stream as it comes; ``hear`` gets whole lines."""

    def __init__(self, stream: IO[bytes], hear: Callable[[str], None]) -> None:
        super().__init__(daemon=True)
        self._stream, self._hear = stream, hear
        self.content = bytearray()
        self.last_s = time.monotonic()  # when something came last
        self.start()

    def run(self) -> None:
        rest = b""
        while piece := os.read(self._stream.fileno(), 1 << 16):
            self.last_s = time.monotonic()
            self.content += piece[: max(0, MOST_BYTES + 1 - len(self.content))]
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                self._hear(line.decode("utf-8", "replace"))
        self._stream.close()

    @property
    def text(self) -> str:
        return self.content.decode("utf-8", "replace")


def run(
    command: Sequence[str], *, silence_s: float, hear: Callable[[str], None], environment: Mapping[str, str]
) -> Ended:
    """Run ``command`` to its end. ``hear`` gets each line of its standard error, from a thread.

    RunnerError where it cannot start, is silent for ``silence_s`` or prints without end. Whatever happens here, Ctrl-C
    included, the program and all it started are gone when this returns.
    """
    name = os.path.basename(command[0])
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **environment},
            start_new_session=True,
        )
    except OSError as error:
        raise RunnerError(f"cannot start {command[0]}: {error.strerror}; is it built for this machine?") from error
    assert process.stdout and process.stderr
    memory = MemorySampler(process.pid)
    readers = Reader(process.stdout, lambda line: None), Reader(process.stderr, hear)
    try:
        while process.poll() is None:
            if time.monotonic() - max(reader.last_s for reader in readers) > silence_s:
                raise RunnerError(
                    f"{name} said nothing for {silence_s:g} s and was ended; raise --timeout or choose a smaller "
                    f"case{last_words(readers[1].text)}"
                )
            if any(len(reader.content) > MOST_BYTES for reader in readers):
                raise RunnerError(f"{name} prints without end and was ended; is it really a llama-bench?")
            time.sleep(POLL_S)
        for reader in readers:
            reader.join(DRAIN_S)
    finally:
        _end(process, any(reader.is_alive() for reader in readers))
        memory.stop()
    stdout, stderr = (reader.text for reader in readers)
    return Ended(status=process.returncode, stdout=stdout, stderr=stderr, memory=memory.samples())


def _end(process: subprocess.Popen[bytes], more: bool) -> None:
    """Kill the program where it runs, and what it started where that still holds the pipes (``more``)."""
    if process.poll() is None or more:
        with suppress(ProcessLookupError):
            if hasattr(os, "killpg"):
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()
    process.wait()


def ending(status: int) -> str:
    """``exit code 3``, ``signal 11 (SIGSEGV)``; a shell writes a signal as 128 and its number."""
    number = -status if status < 0 else status - 128 if status > 128 else 0
    if number in set(signal.Signals):
        hint = ", most likely for want of memory" if number == 9 else ""
        return f"signal {number} ({signal.Signals(number).name}{hint})"
    return f"exit code {status}"


def last_words(stderr: str) -> str:
    """In brackets, the first line of ``stderr`` that speaks of an error, else its last one; "" where there is none."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = (line for line in lines if any(word in line.lower() for word in ("error", "assert", "exception", "abort")))
    said = next(errors, lines[-1] if lines else "")
    return f" ({said[:200]})" if said else ""
