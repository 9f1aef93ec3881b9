"""Llama 3's byte-level BPE against its definition: how text is cut into pieces, and how the bytes of a piece merge."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from itertools import pairwise

import pytest
import tokenizer_samples as samples
from hypothesis import given
from hypothesis import strategies as st

from tritmark.engine.tokenizers import load_tokenizer
from tritmark.engine.tokenizers.byte_pairs import byte_letters, pre_tokenizer

SPACES = {*map(chr, range(9, 14)), *map(chr, range(0x2000, 0x200B)), *" \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000"}
CONTRACTIONS = ("s", "t", "re", "ve", "m", "ll", "d")
LETTERS = {byte: letter for letter, byte in byte_letters().items()}


def is_letter(text: str) -> bool:
    return unicodedata.category(text).startswith("L")


def is_number(text: str) -> bool:
    return unicodedata.category(text).startswith("N")


def run(text: str, start: int, belongs: Callable[[str], bool]) -> int:
    """Where the characters from ``start`` on stop to belong."""
    return next((at for at in range(start, len(text)) if not belongs(text[at])), len(text))


def is_other(text: str) -> bool:
    return not (text in SPACES or is_letter(text) or is_number(text))


def piece_end(text: str) -> int:
    """The length of the first piece of ``text``: the rules in the order in which the first that fits wins."""
    lower = text.lower() if text.isascii() else text[:1] + "".join(c.lower() if c.isascii() else c for c in text[1:3])
    for ending in CONTRACTIONS:
        if lower.startswith("'" + ending):
            return 1 + len(ending)
    at = 0 if is_letter(text[0]) else 1
    if text[0] not in "\r\n" and not is_number(text[0]) and text[at : at + 1] and is_letter(text[at]):
        return run(text, at, is_letter)
    if is_number(text[0]):
        return min(3, run(text, 0, is_number))
    at = 1 if text[0] == " " else 0
    if text[at : at + 1] and is_other(text[at]):
        return run(text, run(text, at, is_other), lambda c: c in "\r\n")
    end = run(text, 0, SPACES.__contains__)
    newline = max(text.rfind("\r", 0, end), text.rfind("\n", 0, end))
    if newline >= 0:
        return newline + 1
    return end if end == len(text) or end == 1 else end - 1


def pieces(text: str) -> list[str]:
    found = []
    while text:
        end = piece_end(text)
        found.append(text[:end])
        text = text[end:]
    return found


def merged(piece: str, ranks: dict[tuple[str, str], int], tokens: list[str]) -> list[str]:
    """Tokens of one piece: itself if it is a token, else merges by rank, leftmost first."""
    symbols = [LETTERS[byte] for byte in piece.encode()]
    if "".join(symbols) in tokens:
        return ["".join(symbols)]
    while True:
        found = [(ranks[pair], at) for at, pair in enumerate(pairwise(symbols)) if pair in ranks]
        if not found:
            return symbols
        at = min(found)[1]
        symbols[at : at + 2] = [symbols[at] + symbols[at + 1]]


CHARACTERS = st.sampled_from("abStT'lLrReE 1\uff12½\n\r\t.!\x85\xa0\u2028é你\u0301\u017f\u212a") | st.characters(
    exclude_categories=["Cs", "Cn", "Co"])


@given(text=st.text(CHARACTERS, max_size=30))
def test_text_is_cut_into_pieces_by_the_rules(text: str) -> None:
    found = [text[start:end] for _, (start, end) in pre_tokenizer().pre_tokenize_str(text)]
    assert found == pieces(text)


@pytest.mark.parametrize(("text", "expected"), [
    ("I'LL don't", ["I", "'LL", " don", "'t"]),
    ("12345 67", ["123", "45", " ", "67"]),
    ("a   b", ["a", "  ", " b"]),
    ("a  \n\n  b", ["a", "  \n\n", " ", " b"]),
    ("x!?\n\ny  ", ["x", "!?\n\n", "y", "  "]),
    ("\u00bd\u00a0a", ["\u00bd", "\u00a0a"]),
    ("'\u017f", ["'\u017f"]),  # the long s is no "s"
])
def test_pieces_of_known_texts(text: str, expected: list[str]) -> None:
    assert [text[start:end] for _, (start, end) in pre_tokenizer().pre_tokenize_str(text)] == expected


@st.composite
def merge_lists(draw: st.DrawFn) -> list[tuple[str, str]]:
    """Merges that each join two earlier tokens, in an order of their own."""
    tokens, pairs = list("abĠ1Ã©"), []
    for _ in range(draw(st.integers(0, 20))):
        pair = (draw(st.sampled_from(tokens)), draw(st.sampled_from(tokens)))
        pairs.append(pair)
        tokens.append(pair[0] + pair[1])
    return draw(st.permutations(list(dict.fromkeys(pairs))))


@given(merges=merge_lists(), extra=st.sets(st.text("abĠ", min_size=2, max_size=4)),
       text=st.text(st.sampled_from("ab 1é你\n"), max_size=25))
def test_pieces_merge_by_rank_unless_they_are_tokens(merges: list[tuple[str, str]], extra: set[str], text: str) -> None:
    metadata = samples.byte_pairs(merges, tuple(sorted(extra)))
    tokens, ranks = metadata["tokenizer.ggml.tokens"], {pair: rank for rank, pair in enumerate(merges)}
    expected = [tokens.index(token) for piece in pieces(text) for token in merged(piece, ranks, tokens)]
    assert load_tokenizer(metadata).encode(text, add_special=False) == expected


def test_a_file_that_names_no_pre_tokenizer_gets_that_of_llama_3() -> None:
    named = samples.byte_pairs([("a", "b")])
    unnamed = {key: value for key, value in named.items() if key != "tokenizer.ggml.pre"}
    assert load_tokenizer(unnamed).encode("ab 12345") == load_tokenizer(named).encode("ab 12345")


def test_of_a_merge_that_comes_twice_the_first_counts() -> None:
    merges = [("a", "b"), ("b", "a"), ("a", "b")]
    tokens = samples.byte_pairs(merges)["tokenizer.ggml.tokens"]
    assert load_tokenizer(samples.byte_pairs(merges)).encode("aba", add_special=False) == [
        tokens.index("ab"), tokens.index("a")]
