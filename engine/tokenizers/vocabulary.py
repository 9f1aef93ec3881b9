"""The vocabulary that a GGUF's metadata describes, checked: what each token id means, before anything is tokenised.

Keys are those of llama.cpp (``tokenizer.ggml.*``). This module knows nothing of how text is cut into tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from ..errors import FormatError

PREFIX = "tokenizer.ggml."
END_TEXTS = ("<|eot_id|>", "<|end_of_text|>")  # end generation even where a file names only one of them, or none


class Kind(IntEnum):
    """tokenizer.ggml.token_type."""

    UNDEFINED = 0
    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


@dataclass(frozen=True)
class Vocabulary:
    """``ids`` is the inverse of ``tokens``; ``bos_id`` and ``unknown_id`` are None where the file names none."""

    tokens: Sequence[str]
    kinds: Sequence[Kind]
    ids: Mapping[str, int]
    bos_id: int | None
    unknown_id: int | None
    eos_id: int | None
    eos_ids: frozenset[int]

    def specials(self) -> list[tuple[str, int]]:
        """Control, unknown and user-defined tokens with their ids, longest text (in bytes) first."""
        chosen = {Kind.CONTROL, Kind.UNKNOWN, Kind.USER_DEFINED}
        pairs = [(text, index) for index, text in enumerate(self.tokens) if text and self.kinds[index] in chosen]
        return sorted(pairs, key=lambda pair: -len(pair[0].encode()))


def read_vocabulary(metadata: Mapping[str, Any]) -> Vocabulary:
    """The vocabulary in ``metadata``; FormatError where a key is missing, of another type or contradicts another."""
    tokens = _tokens(metadata)
    kinds = _kinds(metadata, len(tokens))
    ids = {text: index for index, text in enumerate(tokens)}
    if len(ids) < len(tokens):
        twice = next(index for index, text in enumerate(tokens) if ids[text] != index)
        raise FormatError(f"tokens {twice} and {ids[tokens[twice]]} are both {tokens[twice]!r:.80}; ids must be unique")
    bos, eos, eot, unknown = (_token_id(metadata, name, len(tokens)) for name in ("bos", "eos", "eot", "unknown"))
    named = (ids[text] for text in END_TEXTS if text in ids and kinds[ids[text]] == Kind.CONTROL)
    ends = frozenset(index for index in (eos, eot, *named) if index is not None)
    return Vocabulary(tokens, kinds, ids, bos, unknown, eos, ends)


def read_list(metadata: Mapping[str, Any], name: str, types: type | tuple[type, ...]) -> list[Any]:
    """The list under ``tokenizer.ggml.<name>``, every item an instance of ``types`` (where a bool is no number)."""
    key = PREFIX + name
    if key not in metadata:
        raise FormatError(f"the model's metadata lacks {key}; convert the model again with its tokenizer")
    items = metadata[key]
    if not isinstance(items, list | tuple):
        raise FormatError(f"{key} is {type(items).__name__}, not a list; the file is damaged")
    for index, item in enumerate(items):
        if not isinstance(item, types) or isinstance(item, bool):
            raise FormatError(f"item {index} of {key} is {type(item).__name__}, which cannot be; the file is damaged")
    return list(items)


def read_flag(metadata: Mapping[str, Any], name: str, default: bool) -> bool:
    value = metadata.get(PREFIX + name, default)
    if not isinstance(value, bool):
        raise FormatError(f"{PREFIX}{name} is {value!r:.40}, neither true nor false; the file is damaged")
    return value


def check_length(items: Sequence[Any], name: str, tokens: int) -> None:
    if len(items) != tokens:
        raise FormatError(f"{PREFIX}{name} has {len(items):,} items for {tokens:,} tokens; the file is damaged")


def _tokens(metadata: Mapping[str, Any]) -> list[str]:
    tokens = read_list(metadata, "tokens", str)
    if not tokens:
        raise FormatError(f"{PREFIX}tokens is empty; the file is damaged")
    for index, text in enumerate(tokens):
        if not text.isascii() and not is_utf8(text):
            raise FormatError(f"token {index} is {text!r:.80}, which is not UTF-8 text; the file is damaged")
    return [text or f"[EMPTY_{index}]" for index, text in enumerate(tokens)]  # an empty text could match anywhere


def is_utf8(text: str) -> bool:
    """False for text with lone surrogates, which stand for bytes that were no UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _kinds(metadata: Mapping[str, Any], tokens: int) -> list[Kind]:
    numbers = read_list(metadata, "token_type", int)
    check_length(numbers, "token_type", tokens)
    wrong = next((index for index, number in enumerate(numbers) if not 0 <= number < len(Kind)), None)
    if wrong is not None:
        raise FormatError(f"token {wrong} has the unknown token_type {numbers[wrong]}; known are 0 to {len(Kind) - 1}")
    kinds = list(Kind)
    return [kinds[number] for number in numbers]


def _token_id(metadata: Mapping[str, Any], name: str, tokens: int) -> int | None:
    key = f"{PREFIX}{name}_token_id"
    if key not in metadata:
        return None
    value = metadata[key]
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < tokens:
        raise FormatError(f"{key} is {value!r:.40}, not an id below the vocabulary's {tokens:,}; the file is damaged")
    return value
