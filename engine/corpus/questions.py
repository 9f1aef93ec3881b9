"""Questions about Python and their answers, put together from what the documentation says."""

from __future__ import annotations

import builtins
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256

from .entries import Entry
from .prose import tidy
from .sentences import as_statements, leading_sentences, verb_phrase
from .topics import Section

Turn = tuple[str, str]  # question, answer
OLD = {"distutils", "imp", "asynchat", "asyncore", "smtpd", "nntplib", "msilib", "nturl2path", "pydoc", "test"}
ARTICLES = ("a", "an", "the")
ASKED = {
    "function": ("What does {name} do?", "What is {name} for?", "Explain {name}.", "What does {call} do?"),
    "class": ("What is {name}?", "What is the class {name}?", "Explain the class {name}."),
    "module": ("What is the module {name} for?", "Tell me about the module {name}.", "What is in the module {name}?"),
    "section": ("Explain in Python: {name}.", "What does the Python reference say about this topic: {name}?",
                "Tell me about {name} in Python."),
}  # fmt: skip
# "The X class simulates ...", "A header was found ...": sentences of their own, not names for a thing.
_SAYS_MORE = re.compile(
    r"\S+ class [a-z]+s\b|(?:(?!that |which |where |when |used |to )[^\s,;]+ )*(?:is|are|was|were|has|must) "
)
ARGUMENTS = ("How do I call it?", "Which arguments does it take?", "What is its signature?")


@dataclass(frozen=True)
class Conversation:
    """``sentences`` is the answer to the first question; ``after`` are turns that follow it."""

    source: str
    kind: str
    question: str
    sentences: tuple[str, ...]
    after: tuple[Turn, ...] = ()

    def messages(self, sentences: int | None = None) -> list[dict[str, str]]:
        """As chat messages, with the first so many sentences of the answer."""
        turns = [(self.question, " ".join(self.sentences[:sentences])), *self.after]
        return [{"role": role, "content": text}
                for turn in turns for role, text in zip(("user", "assistant"), turn, strict=True)]  # fmt: skip


def conversation(name: str, fact: Entry | Section) -> Conversation | None:
    """A conversation about one fact; None where it does not make a good answer."""
    if isinstance(fact, Section):
        return _about_section(name, fact)
    if not _is_public(fact.name):
        return None
    about = {"function": _about_function, "class": _about_class, "module": _about_module}.get(fact.kind)
    return about(fact, tuple(leading_sentences(tidy(fact.doc)))) if about else None


def _is_public(name: str) -> bool:
    parts = name.split(".")
    return not any(part.startswith("_") for part in parts) and parts[0] not in OLD and "tix" not in parts


def _about_function(entry: Entry, sentences: tuple[str, ...]) -> Conversation | None:
    phrase = verb_phrase(sentences[0]) if sentences else None
    if phrase is None or not entry.arguments:
        return None
    call = entry.name + entry.arguments
    rest = as_statements(sentences[1:])
    asked = f"Call it as {call}." if entry.arguments != "()" else f"It takes no arguments: {call}."
    if _choice(entry.name, "reversed", 4) == 0 and _owner(entry.name):
        question = f"Which {_member(entry.name)} {phrase.rstrip('.')}?"
        return Conversation(entry.name, "function", question, (f"That is {entry.name}.", asked, *rest))
    after = ((_one_of(ARGUMENTS, entry.name), asked),) if _choice(entry.name, "arguments", 2) else ()
    question = _one_of(ASKED["function"], entry.name).format(name=entry.name, call=call)
    return Conversation(entry.name, "function", question, (f"{entry.name} {phrase}", *rest), after)


def _member(name: str) -> str:
    owner = _owner(name)
    is_method = owner.rpartition(".")[2][0].isupper() or hasattr(builtins, owner)
    return f"{'method' if is_method else 'function'} of {owner}"


def _owner(name: str) -> str:
    return name.rpartition(".")[0]


def _about_class(entry: Entry, sentences: tuple[str, ...]) -> Conversation | None:
    if not sentences:
        return None
    first, _, rest = sentences[0].partition(" ")
    phrase = verb_phrase(sentences[0])
    if first.lower() in ARTICLES and not _SAYS_MORE.match(rest):
        said = f"{entry.name} is {first.lower()} {rest}"
    elif sentences[0].startswith("Base class"):
        said = f"{entry.name} is the base class{sentences[0].removeprefix('Base class')}"
    elif phrase:
        said = f"{entry.name} {phrase}"
    else:
        return None
    question = _one_of(ASKED["class"], entry.name).format(name=entry.name)
    return Conversation(entry.name, "class", question, (said, *as_statements(sentences[1:])), _where(entry))


def _where(entry: Entry) -> tuple[Turn, ...]:
    """For every second class a turn about the module to import it from."""
    module, short = _owner(entry.name), entry.name.rpartition(".")[2]
    if not module or module.rpartition(".")[2][0].isupper() or _choice(entry.name, "where", 2):
        return ()
    return ((f"Where do I import {short} from?", f"From the module {module}: from {module} import {short}"),)


def _about_module(entry: Entry, sentences: tuple[str, ...]) -> Conversation | None:
    if not sentences or entry.name.partition(".")[0] not in sys.stdlib_module_names:
        return None
    question = _one_of(ASKED["module"], entry.name).format(name=entry.name)
    said = re.sub(r"^(?:This|The \S+) module\b", f"The module {entry.name}", sentences[0])
    first = said if said != sentences[0] else f"{entry.name}: {said}"
    return Conversation(entry.name, "module", question, (first, *sentences[1:]))


def _about_section(name: str, section: Section) -> Conversation | None:
    sentences = tuple(leading_sentences(tidy(section.text)))
    if len(sentences) < 2:
        return None
    lower = section.title[0].lower() + section.title[1:]
    title = lower if " " in lower and lower.islower() else section.title
    return Conversation(name, "section", _one_of(ASKED["section"], name).format(name=title), sentences)


def _choice(name: str, purpose: str, count: int) -> int:
    """A number below ``count`` that is always the same for this name and purpose."""
    return sha256(f"{purpose} {name}".encode()).digest()[0] % count


def _one_of(forms: tuple[str, ...], name: str) -> str:
    return forms[_choice(name, "form", len(forms))]


def every_conversation(facts: dict[str, Entry | Section]) -> Iterator[Conversation]:
    """In an order that the names alone decide and that mixes them."""
    for name in sorted(facts, key=lambda name: sha256(name.encode()).digest()):
        found = conversation(name, facts[name])
        if found:
            yield found
