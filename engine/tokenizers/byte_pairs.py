"""Llama 3's byte-level BPE ("gpt2" with pre "llama-bpe" in GGUF), by the `tokenizers` library.

Text is cut into pieces by a regular expression; each byte of a piece is written as one printable character; a piece
that is itself a token is taken whole, any other is merged in the order of the file's list of merges.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from ..errors import FormatError
from .vocabulary import PREFIX, Vocabulary, read_list

# Microsoft's own files name no pre-tokenizer; every BitNet model with byte-level BPE was trained with Llama 3's.
PRE_TOKENIZERS = (None, "llama-bpe", "llama3", "llama-v3")
# First alternative that matches wins. The contractions are spelt out, because "(?i:'s)" also matches U+017F.
SPLIT = "|".join((
    r"'(?:[sS]|[tT]|[rR][eE]|[vV][eE]|[mM]|[lL][lL]|[dD])",
    r"[^\r\n\p{L}\p{N}]?\p{L}+",  # a word with the one character before it
    r"\p{N}{1,3}",
    r" ?[^\s\p{L}\p{N}]+[\r\n]*",
    r"\s*[\r\n]+",
    r"\s+(?!\S)",  # all but the last space before a word
    r"\s+",
))


class BytePairs:
    """Encodes text without special tokens, and gives the bytes that a token stands for."""

    space_prefix = False

    def __init__(self, vocabulary: Vocabulary, metadata: Mapping[str, Any]) -> None:
        pre = metadata.get(PREFIX + "pre")
        if pre not in PRE_TOKENIZERS:
            raise FormatError(f"the pre-tokenizer {pre!r:.40} is not supported; BitNet models use 'llama-bpe'")
        missing = next((letter for letter in byte_letters() if letter not in vocabulary.ids), None)
        if missing:
            raise FormatError(f"the vocabulary lacks the byte {byte_letters()[missing]:#04x}, written {missing!r}")
        self._vocabulary = vocabulary
        self._model = _library_model(vocabulary, _merges(metadata))

    def encode(self, text: str) -> list[int]:
        return list(self._model.encode(text, add_special_tokens=False).ids)

    def piece(self, index: int) -> bytes:
        text, letters = self._vocabulary.tokens[index], byte_letters()
        if all(letter in letters for letter in text):
            return bytes(letters[letter] for letter in text)
        return text.encode()  # an added token, written as it reads


@cache
def byte_letters() -> Mapping[str, int]:
    """GPT-2's alphabet, letter -> byte: a printable Latin-1 character stands for itself, the rest for U+0100 on."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in sorted(printable)} | {chr(256 + at): byte for at, byte in enumerate(others)}


def _merges(metadata: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Pairs in rank order; of a pair that comes twice the first counts, as in llama.cpp."""
    pairs = []
    for rank, line in enumerate(read_list(metadata, "merges", str)):
        left, space, right = line.partition(" ")
        if not (left and space and right) or " " in right:
            raise FormatError(f"merge {rank} is {line!r:.80}, not two tokens with a space between; the file is damaged")
        pairs.append((left, right))
    return list(dict.fromkeys(pairs))


def _library_model(vocabulary: Vocabulary, merges: list[tuple[str, str]]) -> Any:
    from tokenizers import Tokenizer
    from tokenizers.models import BPE

    for rank, (left, right) in enumerate(merges):
        absent = next((text for text in (left, right, left + right) if text not in vocabulary.ids), None)
        if absent is not None:
            raise FormatError(f"merge {rank}, {left!r:.40} {right!r:.40}, needs the missing token {absent!r:.80}")
    model = Tokenizer(BPE(dict(vocabulary.ids), merges, ignore_merges=True))
    model.pre_tokenizer = pre_tokenizer()
    return model


def pre_tokenizer() -> Any:
    """The library's object that cuts text into pieces and writes their bytes as letters."""
    from tokenizers import Regex
    from tokenizers.pre_tokenizers import ByteLevel, Sequence, Split

    return Sequence([Split(Regex(SPLIT), "isolated"), ByteLevel(add_prefix_space=False, use_regex=False)])
