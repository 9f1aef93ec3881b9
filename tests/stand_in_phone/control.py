"""Control: how the phone's executables reach the phone. Each is the same script, which asks for what to print.

A request is the number of words, then the words (the name of the command first), each ended by a zero byte. The answer
is a line with the exit status, a line for standard error (may be empty), then standard output.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

SCRIPT = """#!{bash}
exec 3<>/dev/tcp/127.0.0.1/{port} || exit 127
printf '%s\\0' $(($# + 1)) "${{0##*/}}" "$@" >&3
IFS= read -r status <&3
IFS= read -r words <&3
[ -z "$words" ] || printf '%s\\n' "$words" >&2
cat <&3
exit "$status"
"""
FROM_HERE = (
    "basename", "cat", "chmod", "cp", "cut", "date", "df", "dirname", "du", "echo", "env", "false", "find", "grep",
    "head", "kill", "ln", "ls", "md5sum", "mkdir", "mv", "printf", "pwd", "rm", "rmdir", "sed", "seq", "sh",
    "sha256sum", "sleep", "sort", "stat", "tail", "tee", "test", "timeout", "touch", "tr", "true", "uname", "wc",
    "xargs",
)  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """What a command prints and its exit status. Standard error is one line at most."""

    stdout: str = ""
    stderr: str = ""
    status: int = 0


class Control:
    """Answers the phone's executables. ``answer(words)`` runs in a thread, so it may wait."""

    def __init__(self, answer: Callable[[list[str]], Answer]) -> None:
        self._answer = answer
        self._server: asyncio.Server

    async def start(self, folder: Path, names: Iterable[str]) -> None:
        """Make the executables in ``folder``: those that ask, and those that are this computer's own."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        script = folder / ".ask"
        script.write_text(SCRIPT.format(bash=shutil.which("bash"), port=self._server.sockets[0].getsockname()[1]))
        script.chmod(0o755)
        for name in names:
            (folder / name).symlink_to(script.name)
        for name in FROM_HERE:
            (folder / name).symlink_to(shutil.which(name) or f"/bin/{name}")

    async def stop(self) -> None:
        """Answer no more."""
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            count = int(await _word(reader))
            words = [await _word(reader) for _ in range(count)]
            answer = await asyncio.get_running_loop().run_in_executor(None, self._answer, words)
            writer.write(f"{answer.status}\n{answer.stderr}\n{answer.stdout}".encode())
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the command was killed
        finally:
            writer.close()


async def _word(reader: asyncio.StreamReader) -> str:
    return (await reader.readuntil(b"\0"))[:-1].decode()
