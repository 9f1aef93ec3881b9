"""The language reference as `pydoc` carries it, a section at a time; parsed from its file, not imported."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ..errors import DataError

_HEADING = re.compile(r"^(\S.*)\n([*=\-~^])\2{2,}\n", re.MULTILINE)


class Section(NamedTuple):
    """``topic`` is the word that `help()` takes; ``title`` stands over the section."""

    topic: str
    title: str
    text: str


def read_sections(library: Path) -> Iterator[Section]:
    """All sections, by topic, in the order in which they are written."""
    for topic, text in sorted(_read_topics(library / "pydoc_data" / "topics.py").items()):
        marks = list(_HEADING.finditer(text))
        ends = [mark.start() for mark in marks[1:]] + [len(text)]
        for mark, end in zip(marks, ends, strict=True):
            yield Section(topic, mark[1].replace('"', "").strip(), text[mark.end() : end])


def _read_topics(path: Path) -> dict[str, str]:
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError) as error:
        raise DataError(f"{path} cannot be read ({error}); this Python lacks its language reference") from None
    found = [node.value for node in tree.body if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict)]
    if not found:
        raise DataError(f"{path} holds no topics; this Python lacks its language reference")
    return dict(ast.literal_eval(found[0]))
