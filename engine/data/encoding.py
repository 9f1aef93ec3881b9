"""Documents to token ids, and which of them are learnt.

Text gets the BOS that its tokenizer puts in front, and EOS behind. A chat is rendered by the model's template; an
answer is what rendering up to and with it adds to rendering up to it. Without a template a chat is lines "User: ..."
and "Assistant: ...", and EOS.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..errors import DataError
from ..tokenizers import Tokenizer
from .documents import Document

Part = tuple[str, bool]
U32 = npt.NDArray[np.uint32]
TOGETHER = 64  # conversations rendered by one call


@dataclass(frozen=True)
class Encoded:
    """A document's tokens (n), and whether each is learnt (n)."""

    where: str
    ids: U32
    learnt: npt.NDArray[np.bool_]


def encode(documents: Iterable[Document], tokenizer: Tokenizer, *, answers_only: bool) -> Iterator[Encoded]:
    """Each document's tokens. ``answers_only``: of chats and prompts with completions only the answers are learnt."""
    waiting: list[Document] = []
    for document in documents:
        waiting.append(document)
        if len(waiting) == TOGETHER:
            yield from _encoded(waiting, tokenizer, answers_only)
            waiting = []
    yield from _encoded(waiting, tokenizer, answers_only)


def _encoded(documents: Sequence[Document], tokenizer: Tokenizer, answers_only: bool) -> Iterator[Encoded]:
    chats = _chats([document for document in documents if document.messages], tokenizer)
    for document in documents:
        if document.messages:
            yield _tokens(document.where, next(chats), tokenizer, answers_only, closes=not tokenizer.has_chat_template)
        else:
            yield _tokens(document.where, document.parts, tokenizer, answers_only, closes=True)


def _tokens(where: str, parts: Sequence[Part], tokenizer: Tokenizer, answers_only: bool, closes: bool) -> Encoded:
    """The parts' tokens one after the other, BOS in front once; with ``closes`` EOS behind the last."""
    ids: list[int] = []
    learnt: list[bool] = []
    start = tokenizer.encode("")[:1] if tokenizer.bos_id is not None else []
    for at, (text, is_learnt) in enumerate(parts):
        found = tokenizer.encode(text, add_special=False, goes_on=at > 0)
        if at == 0 and found[:1] != start:
            found = [*start, *found]
        ids += found
        learnt += [is_learnt or not answers_only] * len(found)
    if closes and tokenizer.eos_id is not None:
        ids.append(tokenizer.eos_id)
        learnt.append(True)
    return Encoded(where, np.array(ids, np.uint32), np.array(learnt, bool))


def _chats(documents: Sequence[Document], tokenizer: Tokenizer) -> Iterator[list[Part]]:
    """The parts of each chat."""
    if not tokenizer.has_chat_template:
        yield from (list(_plain(document)) for document in documents)
        return
    requests = []
    for document in documents:
        answers = [at for at, message in enumerate(document.messages) if message["role"] == "assistant"]
        requests += [(document.messages, False)]
        requests += [(document.messages[: at + extra], not extra) for at in answers for extra in (0, 1)]
    texts = iter(tokenizer.chats(requests))
    for document in documents:
        count = sum(message["role"] == "assistant" for message in document.messages)
        whole = next(texts)
        yield list(_cut(document.where, whole, [(next(texts), next(texts)) for _ in range(count)]))


def _cut(where: str, whole: str, answers: Sequence[tuple[str, str]]) -> Iterator[Part]:
    """``whole`` in parts, given for each answer the text up to it and the text with it."""
    at = 0
    for before, after in answers:
        if not (whole.startswith(before) and whole.startswith(after) and at <= len(before) <= len(after)):
            raise DataError(f"{where}: the chat template changes earlier messages, so answers cannot be told apart")
        yield from ((text, is_learnt) for text, is_learnt in
                    ((whole[at : len(before)], False), (whole[len(before) : len(after)], True)) if text)  # fmt: skip
        at = len(after)
    if whole[at:]:
        yield whole[at:], False


def _plain(document: Document) -> Iterator[Part]:
    for message in document.messages:
        yield f"{message['role'].capitalize()}: ", False
        yield f"{message['content']}\n", message["role"] == "assistant"
