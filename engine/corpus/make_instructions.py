"""Writes the instruction set: conversations about Python, as many and as long as the published fine-tuning set.

usage: python -m tritmark.engine.corpus.make_instructions     after make_tokenizer, with the same Python
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ..tokenizers import Tokenizer
from .python_text import Corpus, read_corpus
from .questions import Conversation, every_conversation
from .shipped import INSTRUCTIONS, INSTRUCTIONS_HELDOUT, shipped_tokenizer, write

TOKENS = 41_754  # of the published epoch
TOKENS_MAX = 256  # of a conversation
# So that the mean comes near the published one; of the fewer held-out documents less is asked.
TOKENS_MIN = {INSTRUCTIONS: 82, INSTRUCTIONS_HELDOUT: 40}
COUNTS = {
    INSTRUCTIONS: {"function": 175, "class": 45, "module": 32, "section": 45},  # 297
    INSTRUCTIONS_HELDOUT: {"function": 22, "class": 3, "module": 4, "section": 4},  # 33
}


class Sized(NamedTuple):
    """A conversation cut to so many sentences of its first answer, and its length in tokens."""

    conversation: Conversation
    sentences: int
    tokens: int


def instruction_sets(corpus: Corpus, tokenizer: Tokenizer) -> dict[Path, list[Sized]]:
    """Both files' conversations: those of the training part add up to ``TOKENS``."""
    pools = {}
    for file, documents in ((INSTRUCTIONS, corpus.train), (INSTRUCTIONS_HELDOUT, corpus.heldout)):
        facts = {document.name: corpus.facts[document.name] for document in documents}
        sized = (fitting(conversation, tokenizer) for conversation in every_conversation(facts))
        pools[file] = [one for one in sized if one is not None and one.tokens >= TOKENS_MIN[file]]
    chosen = {file: _first(pool, COUNTS[file]) for file, pool in pools.items()}
    rest = [one for one in pools[INSTRUCTIONS] if one not in chosen[INSTRUCTIONS]]
    return {**chosen, INSTRUCTIONS: adding_up(chosen[INSTRUCTIONS], rest, TOKENS)}


def fitting(conversation: Conversation, tokenizer: Tokenizer) -> Sized | None:
    """With as many sentences as ``TOKENS_MAX`` allows; None where even one is too many."""
    for count in range(len(conversation.sentences), 0, -1):
        tokens = token_count(conversation.messages(count), tokenizer)
        if tokens <= TOKENS_MAX:
            return Sized(conversation, count, tokens)
    return None


def token_count(messages: Iterable[Mapping[str, str]], tokenizer: Tokenizer) -> int:
    """Of ``messages`` in the shipped tokenizer's chat format, BOS included; no process is started for the template."""
    turns = (f"<|{message['role']}|>\n{message['content']}<|end|>\n" for message in messages)
    return len(tokenizer.encode("".join(turns)))


def adding_up(chosen: Sequence[Sized], rest: Sequence[Sized], total: int) -> list[Sized]:
    """``chosen`` with some exchanged for others of their kind until their tokens add up to ``total``, or cannot."""
    kept, spare = list(chosen), list(rest)
    while lacking := total - sum(one.tokens for one in kept):
        sign = 1 if lacking > 0 else -1
        gains = ((sign * (new.tokens - old.tokens), -at, -other) for at, old in enumerate(kept)
                 for other, new in enumerate(spare) if new.conversation.kind == old.conversation.kind)  # fmt: skip
        gain, at, other = max((found for found in gains if 0 < found[0] <= abs(lacking)), default=(0, 0, 0))
        if not gain:
            break
        kept[-at], spare[-other] = spare[-other], kept[-at]
    return kept


def lines(conversations: Iterable[Sized]) -> str:
    """As JSON lines: the source that an answer is taken from, and the messages."""
    rows = ({"source": one.conversation.source, "messages": one.conversation.messages(one.sentences)}
            for one in conversations)  # fmt: skip
    return "".join(json.dumps(row, ensure_ascii=True) + "\n" for row in rows)


def _first(pool: Iterable[Sized], counts: Mapping[str, int]) -> list[Sized]:
    """So many of each kind, in the order of ``pool``."""
    found: list[Sized] = []
    left = dict(counts)
    for one in pool:
        if left[one.conversation.kind]:
            left[one.conversation.kind] -= 1
            found.append(one)
    return found


def main() -> None:
    corpus = read_corpus()
    for file, chosen in instruction_sets(corpus, shipped_tokenizer()).items():
        write(file, lines(chosen), documents=len(chosen), tokens=sum(one.tokens for one in chosen),
              corpus=corpus.digest)  # fmt: skip


if __name__ == "__main__":
    main()
