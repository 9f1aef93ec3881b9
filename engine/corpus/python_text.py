"""English text that every Python installation carries: its language reference and the docstrings of its library.

usage: python -m tritmark.engine.corpus.python_text     prints the counts and the digest as JSON
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from .entries import Entry, builtin_entries, library_folder, read_entries
from .prose import is_english, repeated, shingles, tidy, without_repeats
from .topics import Section, read_sections

HELDOUT = 0.05  # of the names
REPEATED_MAX = 0.5  # of a document's shingles; what repeats more is dropped
LEAKED_MAX = 0.2  # of a held-out document's shingles that are also in the training part


class Document(NamedTuple):
    """``name`` says where it comes from: "os.path.join", or "topic/with/The with statement"."""

    name: str
    text: str


@dataclass(frozen=True)
class Corpus:
    """``facts`` are what the documents were made of, by their names: entries of the library, sections of the topics."""

    train: tuple[Document, ...]
    heldout: tuple[Document, ...]
    facts: dict[str, Entry | Section]

    @cached_property
    def digest(self) -> str:
        return digest((*self.train, *self.heldout))

    def summary(self) -> dict[str, Any]:
        """Documents and bytes of both parts, and the digest of the whole."""
        parts = {"train": self.train, "heldout": self.heldout}
        counts = {name: {"documents": len(part), "bytes": byte_count(part)} for name, part in parts.items()}
        return {"python": sys.version.split()[0], **counts, "digest": self.digest}


def read_corpus(library: Path | None = None) -> Corpus:
    """All text under ``library`` (by default this Python's own, with its builtins), in two parts.

    Within each part documents stand in the order of their names. A document's part depends on its name alone.
    """
    folder = library_folder() if library is None else library
    entries = [*(builtin_entries() if library is None else ()), *read_entries(folder)]
    facts = dict(_named([*read_sections(folder), *entries]))
    texts = {name: text for name, fact in facts.items() if (text := _text(fact))}
    ranked = sorted(texts, key=_is_private)  # of equal texts the public one stays
    kept = set(without_repeats(((name, texts[name]) for name in ranked), REPEATED_MAX))
    train = [Document(name, texts[name]) for name in sorted(kept) if not is_heldout(name)]
    said = {shingle for document in train for shingle in shingles(document.text)}
    heldout = [Document(name, texts[name]) for name in sorted(kept)
               if is_heldout(name) and repeated(texts[name], said) < LEAKED_MAX]  # fmt: skip
    return Corpus(tuple(train), tuple(heldout), {name: facts[name] for name in sorted(kept)})


def is_heldout(name: str) -> bool:
    """Whether documents of this name are kept from training: the same on every machine and for every version."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") < HELDOUT * 2**64


def digest(documents: Iterable[Document]) -> str:
    """SHA-256 of names and texts, each closed by a zero byte."""
    total = hashlib.sha256()
    for document in documents:
        total.update(f"{document.name}\0{document.text}\0".encode())
    return total.hexdigest()


def byte_count(documents: Iterable[Document]) -> int:
    return sum(len(document.text.encode()) for document in documents)


def _named(facts: Iterable[Entry | Section]) -> Iterator[tuple[str, Entry | Section]]:
    """Each with a name of its own; sections of one title under one topic are numbered."""
    seen: dict[str, int] = {}
    for fact in facts:
        name = fact.name if isinstance(fact, Entry) else f"topic/{fact.topic}/{fact.title}"
        seen[name] = seen.get(name, 0) + 1
        yield name if seen[name] == 1 else f"{name} ({seen[name]})", fact


def _text(fact: Entry | Section) -> str | None:
    """What a document says: what it is about in the first line, then the text; None where that is no English."""
    body = tidy(fact.doc if isinstance(fact, Entry) else fact.text)
    if not is_english(body):
        return None
    return f"{fact.heading if isinstance(fact, Entry) else fact.title}\n\n{body}"


def _is_private(name: str) -> bool:
    return any(part.startswith("_") and not part.endswith("__") for part in name.split("."))


if __name__ == "__main__":
    print(json.dumps(read_corpus().summary()))
