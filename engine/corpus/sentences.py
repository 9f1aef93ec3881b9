"""Docstrings as sentences that can stand in an answer: "Join two paths." becomes "os.path.join joins two paths."."""

from __future__ import annotations

import re
from collections.abc import Sequence

# Verbs that docstrings begin with, in the form in which they command.
_VERBS = """
    accept acquire add allow append apply attach begin bind block build call cancel change check choose clear close
    collect compare compile compute concatenate configure connect construct convert copy count create decode define
    delete describe determine disable dispatch display draw dump emit enable encode ensure escape evaluate examine
    execute expand extract fetch fill find flush force format generate get give guess handle ignore implement
    indicate initialize insert install invoke issue iterate join list load locate lock log look make mark match
    merge move normalize notify obtain open pack parse pass perform pop prepare print process provide push put query
    quote raise read receive register release reload remove rename repeat replace report represent request reset
    resolve restore retrieve return reverse rotate round run save scan schedule search select send set show signal
    skip sort split start stop store strip suspend swap switch tell terminate test translate truncate try undo
    unpack unregister update use validate wait walk warn wrap write yield
"""
VERBS = frozenset(_VERBS.split())
_SENTENCE_END = re.compile(r"""(?<=[^.][.!?])(?<!e\.g\.)(?<!i\.e\.)(?<!etc\.)(?<!cf\.)\s+(?=[A-Z"'*_(])""")
_NO_PROSE = re.compile(r"^\s|^(?:[-*+] |\d+[.)] |>>>|\.\. |@|:\w+:)|::$|\|", re.MULTILINE)
_UNSURE = re.compile(r"XXX|TODO|FIXME|internal|deprecated", re.IGNORECASE)


def leading_sentences(text: str) -> list[str]:
    """The sentences of the paragraphs of prose that ``text`` begins with; lists, examples and code end them."""
    found: list[str] = []
    for paragraph in text.split("\n\n"):
        line = re.sub(r"\s*\[\d+\]", "", " ".join(paragraph.split()))  # without footnotes
        if _NO_PROSE.search(paragraph) or _UNSURE.search(paragraph) or not line.endswith((".", "!", "?")):
            break
        found += _SENTENCE_END.split(line)
    return found


def verb_phrase(sentence: str) -> str | None:
    """ "Join two paths." as "joins two paths."; None where it does not begin with a known verb."""
    first, space, rest = sentence.partition(" ")
    verb = first.lower()
    if not space or not first.istitle():
        return None
    if verb in VERBS:
        return f"{third_person(verb)} {rest}"
    return f"{verb} {rest}" if verb in _THIRD_PERSONS else None


def third_person(verb: str) -> str:
    if verb.endswith(("s", "sh", "ch", "x", "z", "o")):
        return verb + "es"
    return verb[:-1] + "ies" if verb[-1] == "y" and verb[-2] not in "aeiou" else verb + "s"


def as_statements(sentences: Sequence[str]) -> list[str]:
    """Commands turned into statements: "Raise KeyError if ..." becomes "It raises KeyError if ..."."""
    phrases = [(sentence, verb_phrase(sentence)) for sentence in sentences]
    return [sentence if phrase is None else f"It {phrase}" for sentence, phrase in phrases]


_THIRD_PERSONS = frozenset(map(third_person, VERBS))
