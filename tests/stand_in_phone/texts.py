"""Texts: what Android's commands print, from files in ``outputs/<version>/`` with ``<<name>>`` where values stand.

A version that has no file of its own prints what the next older one does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

FOLDER = Path(__file__).parent / "outputs"
VERSIONS = tuple(sorted((path.name for path in FOLDER.iterdir()), key=int))


class Texts:
    """The outputs of one Android version."""

    def __init__(self, android: str) -> None:
        if android not in VERSIONS:
            raise ValueError(f"the stand-in phone knows Android {', '.join(VERSIONS)}, not {android}")
        older = VERSIONS[: VERSIONS.index(android) + 1]
        self._folders = [FOLDER / version for version in reversed(older)]

    def render(self, name: str, values: Mapping[str, object]) -> str:
        """The text ``name`` with its values filled in."""
        return re.sub(r"<<(\w+)>>", lambda match: str(values[match[1]]), self._read(name))

    def properties(self) -> dict[str, str]:
        """`getprop`: name -> value, in the order of the names."""
        found = re.findall(r"^\[([^\]]+)\]: \[(.*)\]$", self._read("getprop"), re.MULTILINE)
        return dict(sorted(found))

    def files(self, values: Mapping[str, object]) -> Iterator[tuple[str, str]]:
        """(path, content) of the files in /proc and /sys that the shell may read."""
        for part in self.render("files", values).split("== ")[1:]:
            path, _, content = part.partition("\n")
            yield path, content

    def _read(self, name: str) -> str:
        path = next(folder / f"{name}.txt" for folder in self._folders if (folder / f"{name}.txt").is_file())
        return path.read_text()
