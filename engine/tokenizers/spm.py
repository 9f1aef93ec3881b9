"""SentencePiece tokens ("llama" in GGUF): the adjacent pair whose joint text scores highest is merged, again and again.

Text starts as its characters. Of all adjacent pairs whose joint text is a token, the one with the highest score is
merged first, the leftmost of equals; what ends as no token becomes one token per UTF-8 byte. This is llama.cpp's rule.
`tokenizers` has no such model, but its BPE is the same thing where no two tokens that can arise from a merge share a
score (see README.md); where some do, `ScoredMerger` follows the rule to the letter, about ten times slower.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from heapq import heapify, heappop, heappush
from typing import Any

from ..errors import FormatError
from .vocabulary import Kind, Vocabulary, check_length, read_flag, read_list

SPACE = "\u2581"  # stands for a space inside tokens
BYTE_TEXTS = [f"<0x{byte:02X}>" for byte in range(256)]
_BYTE_TEXT = re.compile(r"<0x[0-9A-Fa-f]{2}>")

Encode = Callable[[str], list[int]]


class Spm:
    """Encodes text without special tokens, and gives the bytes that a token stands for."""

    def __init__(self, vocabulary: Vocabulary, metadata: Mapping[str, Any]) -> None:
        self.space_prefix = read_flag(metadata, "add_space_prefix", True)
        scores = read_list(metadata, "scores", (float, int))
        check_length(scores, "scores", len(vocabulary.tokens))
        _check_scores(scores)
        _check_bytes(vocabulary)
        self._vocabulary = vocabulary
        pairs = ranked_pairs(vocabulary, scores)
        self._encode = ScoredMerger(vocabulary, scores) if pairs is None else _library_merger(vocabulary, pairs)

    def encode(self, text: str) -> list[int]:
        return self._encode(text.replace(" ", SPACE))

    def piece(self, index: int) -> bytes:
        text = self._vocabulary.tokens[index]
        if self._vocabulary.kinds[index] == Kind.BYTE:
            return bytes([int(text[3:5], 16)])
        return text.replace(SPACE, " ").encode()


def ranked_pairs(vocabulary: Vocabulary, scores: list[float]) -> list[tuple[str, str]] | None:
    """Every pair that can merge, best score first; None where a list of pairs of tokens cannot say what the scores say.

    A token comes up once for each way to cut it in two. Only one of these can ever happen, since what merges inside a
    stretch of text that ends as one token does not depend on the text around it; so their order is free.
    """
    ids = vocabulary.ids
    cuts: dict[str, list[tuple[str, str]]] = {}  # token -> its cuts into two texts that merging can reach
    for text in sorted(ids, key=len):
        halves = [(text[:at], text[at:]) for at in range(1, len(text))]
        found = [pair for pair in halves if all(len(half) == 1 or half in cuts for half in pair)]
        if found:
            cuts[text] = found
    ranked = sorted(cuts, key=lambda text: -scores[ids[text]])
    pairs = [pair for text in ranked for pair in cuts[text]]
    tied = len({scores[ids[text]] for text in ranked}) < len(ranked)
    foreign = any(half not in ids for pair in pairs for half in pair)  # the library merges tokens only, not characters
    mixed = not cuts.keys().isdisjoint(BYTE_TEXTS)  # it would merge the token of a byte like the text "<0x..>"
    return None if tied or foreign or mixed else pairs


def _library_merger(vocabulary: Vocabulary, pairs: list[tuple[str, str]]) -> Encode:
    from tokenizers import Tokenizer
    from tokenizers.models import BPE

    unknown = None if vocabulary.unknown_id is None else vocabulary.tokens[vocabulary.unknown_id]
    model = Tokenizer(BPE(dict(vocabulary.ids), pairs, unk_token=unknown, byte_fallback=True))
    return lambda text: model.encode(text, add_special_tokens=False).ids


class ScoredMerger:
    """The rule itself, with a heap of candidate pairs."""

    def __init__(self, vocabulary: Vocabulary, scores: list[float]) -> None:
        self._ids, self._scores, self._unknown = vocabulary.ids, scores, vocabulary.unknown_id

    def __call__(self, text: str) -> list[int]:
        return [index for symbol in self._merge(list(text)) for index in self._symbol_ids(symbol)]

    def _merge(self, symbols: list[str]) -> list[str]:
        """``symbols`` are joined in place into the leftmost of each group; the emptied ones are dropped at the end."""
        before, after = list(range(-1, len(symbols) - 1)), list(range(1, len(symbols) + 1))
        queue = [pair for left in range(len(symbols) - 1) for pair in self._candidate(symbols, left, left + 1)]
        heapify(queue)
        while queue:
            _, left, right, size = heappop(queue)
            if not symbols[left] or not symbols[right] or len(symbols[left]) + len(symbols[right]) != size:
                continue  # one of the two has merged with something else since
            symbols[left] += symbols[right]
            symbols[right] = ""
            after[left] = after[right]
            if after[left] < len(symbols):
                before[after[left]] = left
            for pair in (*self._candidate(symbols, before[left], left), *self._candidate(symbols, left, after[left])):
                heappush(queue, pair)
        return [symbol for symbol in symbols if symbol]

    def _candidate(self, symbols: list[str], left: int, right: int) -> list[tuple[float, int, int, int]]:
        if left < 0 or right >= len(symbols):
            return []
        joint = symbols[left] + symbols[right]
        index = self._ids.get(joint)
        return [] if index is None else [(-self._scores[index], left, right, len(joint))]

    def _symbol_ids(self, symbol: str) -> list[int]:
        if symbol in self._ids:
            return [self._ids[symbol]]
        texts = [BYTE_TEXTS[byte] for byte in symbol.encode()]
        if all(text in self._ids for text in texts):
            return [self._ids[text] for text in texts]
        return [] if self._unknown is None else [self._unknown]


def _check_scores(scores: list[float]) -> None:
    wrong = next((index for index, score in enumerate(scores) if math.isnan(score)), None)
    if wrong is not None:
        raise FormatError(f"token {wrong} has no number as its score (NaN); the file is damaged")


def _check_bytes(vocabulary: Vocabulary) -> None:
    for index, kind in enumerate(vocabulary.kinds):
        if kind == Kind.BYTE and not _BYTE_TEXT.fullmatch(vocabulary.tokens[index]):
            raise FormatError(f"byte token {index} is {vocabulary.tokens[index]!r:.80}, not '<0x00>' to '<0xFF>'")
    missing = next((text for text in BYTE_TEXTS if text not in vocabulary.ids), None)
    if missing and vocabulary.unknown_id is None:
        raise FormatError(f"the vocabulary lacks the byte token {missing} and has no unknown token to stand in for it")
