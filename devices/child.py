"""Child: a process that answers JSON lines on its standard output to JSON lines on its standard input.

It is watched from three threads: one waits for answers so that a timeout can end the wait, one keeps the last lines of
standard error, one samples resident memory. Whatever goes wrong becomes one DeviceError, and the process is gone
afterwards.
"""

from __future__ import annotations

import json
import queue
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import IO, Any

from .base import DeviceError

STDERR_LINES = 20
CLOSE_TIMEOUT_S = 5.0
GONE_INTERVAL_S = 1.0
MEMORY_INTERVAL_S = 0.05
MEMORY_SAMPLES = 400  # beyond this every other sample is dropped and the interval doubles


class Child:
    """A running player process. ``timeout_s`` bounds every request that sets no bound of its own.

    ``gone`` is asked every second while an answer is awaited: a line from it ends the wait and the child.
    """

    def __init__(self, command: Sequence[str], timeout_s: float, gone: Callable[[], str | None] = lambda: None) -> None:
        self.timeout_s = timeout_s
        self._gone = gone
        self._answers: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._stderr: deque[str] = deque(maxlen=STDERR_LINES)
        try:  # its own session: Ctrl-C reaches the parent alone, which then ends the child
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                encoding="utf-8",
                errors="replace",
                start_new_session=True,
            )
        except OSError as error:
            raise DeviceError(f"cannot start the player {command[0]}: {error.strerror}") from error
        assert self._process.stdout and self._process.stderr
        self.memory = MemorySampler(self._process.pid)
        self._threads = [
            threading.Thread(target=self._read_answers, args=(self._process.stdout,), daemon=True),
            threading.Thread(target=self._stderr.extend, args=(self._process.stderr,), daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def _read_answers(self, stream: IO[str]) -> None:
        for line in stream:
            self._answers.put(line)
        self._answers.put(None)

    def ask(self, op: str, *, within_s: float | None = None, **fields: Any) -> dict[str, Any]:
        """Send ``{"op": op, ...}`` and return the answer; DeviceError on death, silence, nonsense or a refusal."""
        assert self._process.stdin
        timeout_s = self.timeout_s if within_s is None else within_s
        try:
            self._process.stdin.write(json.dumps({"op": op, **fields}) + "\n")
            self._process.stdin.flush()
            line = self._await(timeout_s)
        except (OSError, ValueError):  # a closed pipe: the child has died since the last answer
            line = None
        except queue.Empty:
            self.kill()
            raise DeviceError(
                f"the player took more than {timeout_s:g} s to {op} and was ended; "
                f"raise --timeout or choose a smaller case{self._last_words()}"
            ) from None
        if line is None:
            raise DeviceError(f"the player died during {op}: {self._death()}{self._last_words()}")
        try:
            answer = json.loads(line)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            self.kill()
            raise DeviceError(f"the player answered {op} with something that is no JSON object: {line.strip()[:80]}")
        if not answer.get("ok"):
            reason = str(answer.get("error", f"the player refused to {op} without a reason"))
            raise DeviceError(" ".join(reason.split()))  # compilers of shaders speak in paragraphs
        return answer

    def _await(self, timeout_s: float) -> str | None:
        """The next line of the child; queue.Empty where none comes in time, DeviceError where the far end is gone."""
        deadline_s = time.monotonic() + timeout_s
        while True:
            left_s = deadline_s - time.monotonic()
            try:
                return self._answers.get(timeout=max(0.0, min(GONE_INTERVAL_S, left_s)))
            except queue.Empty:
                gone = self._gone()
                if gone is not None:
                    self.kill()
                    raise DeviceError(gone) from None
                if left_s <= GONE_INTERVAL_S:
                    raise

    def close(self) -> None:
        """Ask the child to end, and end it where it does not."""
        if self._process.poll() is None:
            try:
                assert self._process.stdin
                self._process.stdin.write('{"op": "close"}\n')
                self._process.stdin.close()
                self._process.wait(CLOSE_TIMEOUT_S)
            except (OSError, ValueError, subprocess.TimeoutExpired):
                pass  # it is deaf; kill() below does not ask
        self.kill()

    def kill(self) -> None:
        """End the child now and wait until its threads have seen it."""
        self._process.kill()
        self._process.wait()
        for thread in self._threads:
            thread.join(CLOSE_TIMEOUT_S)
        self.memory.stop()

    def _death(self) -> str:
        """How the child ended; one that only closed its output is ended here."""
        try:
            code = self._process.wait(CLOSE_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()
            return "it closed its output"
        self.kill()
        if code >= 0:
            return f"exit code {code}"
        name = signal.Signals(-code).name if -code in set(signal.Signals) else "unknown"
        return f"signal {-code} ({name})"

    def _last_words(self) -> str:
        words = [line.strip() for line in self._stderr if line.strip()]
        return f" ({words[-1][:160]})" if words else ""


def end_tree(pid: int) -> None:
    """Kill a process and everything that descends from it; one that is gone already is no error."""
    import psutil

    try:
        family = [*psutil.Process(pid).children(recursive=True), psutil.Process(pid)]
    except psutil.NoSuchProcess:
        return
    for member in family:
        try:
            member.kill()
        except psutil.NoSuchProcess:
            continue  # it went by itself
    psutil.wait_procs(family[:-1], CLOSE_TIMEOUT_S)


class MemorySampler:
    """Resident bytes of a process over time, sampled from a thread at an interval that grows with the run.

    ``tree``: of the process and everything that descends from it; pages that they share count once for each.
    """

    def __init__(self, pid: int, *, tree: bool = False) -> None:
        self._tree = tree
        self._samples: list[tuple[int, int]] = []
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._sample, args=(pid,), daemon=True)
        self._thread.start()

    def samples(self) -> tuple[tuple[int, int], ...]:
        """(ns since the start, bytes) so far."""
        with self._lock:
            return tuple(self._samples)

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def _sample(self, pid: int) -> None:
        import psutil

        start_ns, interval_s = time.monotonic_ns(), MEMORY_INTERVAL_S
        try:
            process = psutil.Process(pid)
            while not self._stopped.is_set():
                sample = (time.monotonic_ns() - start_ns, self._resident_bytes(process))
                with self._lock:
                    self._samples.append(sample)
                    if len(self._samples) >= MEMORY_SAMPLES:
                        del self._samples[1::2]
                        interval_s *= 2
                self._stopped.wait(interval_s)
        except psutil.Error:
            return  # the process has ended; what was seen until then stands

    def _resident_bytes(self, process: Any) -> int:
        import psutil

        total = int(process.memory_info().rss)
        for child in process.children(recursive=True) if self._tree else ():
            try:
                total += child.memory_info().rss
            except psutil.NoSuchProcess:
                continue  # it ended between the two calls
        return total
