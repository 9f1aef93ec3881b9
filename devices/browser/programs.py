"""Program: a browser, or what stands for one, started on this computer as a process of its own and watched."""

from __future__ import annotations

import subprocess
from collections import deque
from collections.abc import Mapping, Sequence
from threading import Thread

from ..base import DeviceError, Telemetry
from ..child import CLOSE_TIMEOUT_S, STDERR_LINES, MemorySampler, end_tree

LOOPBACK: Mapping[str, object] = {"host": "127.0.0.1"}


class Program:
    """A running process with its last words and the resident memory of its whole tree."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        self._name = command[0]
        try:
            self._process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                encoding="utf-8",
                errors="replace",
                start_new_session=True,
            )
        except OSError as error:
            raise DeviceError(f"cannot start {self._name}: {error.strerror}") from error
        assert self._process.stderr
        self._words: deque[str] = deque(maxlen=STDERR_LINES)
        self._reader = Thread(target=self._words.extend, args=(self._process.stderr,), daemon=True)
        self._reader.start()
        self._memory = MemorySampler(self._process.pid, tree=True)

    def ended(self) -> str | None:
        """How the process ended and what it said last, or None while it runs."""
        code = self._process.poll()
        if code is None:
            return None
        self._reader.join(CLOSE_TIMEOUT_S)
        words = [line.strip() for line in self._words if line.strip()]
        said = f": {words[-1][:160]}" if words else ""
        return f"{self._name} ended with {'exit code' if code >= 0 else 'signal'} {abs(code)}{said}"

    def kill(self) -> None:
        """End the process and everything it started, at once."""
        end_tree(self._process.pid)

    def memory(self) -> tuple[tuple[int, int], ...]:
        return self._memory.samples()

    def close(self) -> None:
        """End the process and everything it started; a second call does nothing."""
        self._memory.stop()
        self.kill()
        self._process.wait()
        self._reader.join(CLOSE_TIMEOUT_S)


class ProgramBrowser:
    """What browsers that are programs of this computer share; a subclass tells the command that opens a URL."""

    def __init__(self) -> None:
        self._program: Program | None = None

    def listen(self) -> Mapping[str, object]:
        return LOOPBACK

    def gone(self) -> str | None:
        return self._program.ended() if self._program else None

    def trouble(self) -> str | None:
        return self.gone()

    def kill(self) -> None:
        """End the program as if it had died."""
        if self._program:
            self._program.kill()

    def memory(self) -> tuple[tuple[int, int], ...]:
        return self._program.memory() if self._program else ()

    def telemetry(self) -> Telemetry:
        return Telemetry()

    def close(self) -> None:
        if self._program:
            self._program.close()
