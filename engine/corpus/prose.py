"""What is readable English among docstrings, and which of it was said before."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from inspect import cleandoc

BYTES_MIN, WORDS_MIN = 48, 8
ASCII_MIN, LETTERS_MIN = 0.98, 0.65  # share of the characters; of those that are no space
FREQUENT_MIN = 0.15  # share of the words that are of English's most frequent; prose has about 0.35
SHINGLE = 5  # words
_FREQUENT = """a all also an and any are as at be been by can for from has have if in into is it its may must
    no not of on one only or other return returns same should such than that the their them then there these they
    this to used was when where which will with you"""
FREQUENT = frozenset(_FREQUENT.split())
_WORD = re.compile(r"[A-Za-z0-9_]+")
_TABLE_LINE = re.compile(r"\s*(?:[+|].*[+|]|[-=+*_~^#]{3,}[-=+*_~^# ]*)\s*")  # a grid's line, a rule, an underline


def tidy(text: str) -> str:
    """Indentation, line ends and runs of empty lines made regular; drawn tables and rules left out."""
    paragraphs = re.split(r"\n\s*\n", cleandoc(text))
    kept = (_paragraph(paragraph) for paragraph in paragraphs)
    return "\n\n".join(paragraph for paragraph in kept if paragraph)


def _paragraph(text: str) -> str:
    """Nothing of one that is mostly a table."""
    lines = text.split("\n")
    kept = [line.rstrip() for line in lines if not _TABLE_LINE.fullmatch(line)]
    return "\n".join(kept).strip("\n") if 2 * len(kept) > len(lines) or len(lines) == len(kept) + 1 else ""


def is_english(text: str) -> bool:
    """Whether ``text`` is long enough to learn from and reads like prose, not like a table of codes."""
    words, marks = _WORD.findall(text), [char for char in text if not char.isspace()]
    if len(text) < BYTES_MIN or len(words) < WORDS_MIN:
        return False
    return (sum(char.isascii() for char in text) >= ASCII_MIN * len(text)
            and sum(char.isalpha() for char in marks) >= LETTERS_MIN * len(marks)
            and sum(word.lower() in FREQUENT for word in words) >= FREQUENT_MIN * len(words))  # fmt: skip


def shingles(text: str) -> set[str]:
    """Every run of ``SHINGLE`` words, in lower case; of a shorter text all its words as one."""
    words = [word.lower() for word in _WORD.findall(text)]
    return {" ".join(words[at : at + SHINGLE]) for at in range(max(1, len(words) - SHINGLE + 1))}


def repeated(text: str, said: Iterable[str] | set[str]) -> float:
    """The share of the shingles of ``text`` that are among ``said``."""
    own = shingles(text)
    return len(own.intersection(said)) / len(own)


def without_repeats(texts: Iterable[tuple[str, str]], share: float) -> Iterator[str]:
    """Names of the (name, text) of which less than ``share`` is repeated from longer ones, the longest first.

    Of equal lengths the first comes first. As everything longer has been said before, a text that is part of another
    is found wherever the two stand, and a text pieced together from several is found too.
    """
    said: set[str] = set()
    for name, text in sorted(texts, key=lambda pair: -len(pair[1])):
        own = shingles(text)
        if len(own & said) < share * len(own):
            said |= own
            yield name
