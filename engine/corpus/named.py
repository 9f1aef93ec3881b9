"""What ships, by the names that commands take in place of a path."""

from __future__ import annotations

from pathlib import Path

from ..data.documents import Document, read_documents
from .python_text import Document as Passage
from .python_text import read_corpus
from .shipped import INSTRUCTIONS, INSTRUCTIONS_HELDOUT, checked

PYTHON = "python"
INSTRUCTED = "instructions"


def named_documents(data: str) -> tuple[list[Document], list[Document] | None]:
    """The documents of ``data`` and, where it sets some apart itself, those to hold out: the path of a file or folder,
    "python" (this Python's own text) or "instructions" (the shipped set). DataError for what cannot be read.
    """
    if data == PYTHON:
        corpus = read_corpus()
        return _learnt(corpus.train), _learnt(corpus.heldout)
    if data == INSTRUCTED:
        return list(read_documents(checked(INSTRUCTIONS))), list(read_documents(checked(INSTRUCTIONS_HELDOUT)))
    return list(read_documents(Path(data))), None


def _learnt(passages: tuple[Passage, ...]) -> list[Document]:
    return [Document(name, ((text, True),)) for name, text in passages]
