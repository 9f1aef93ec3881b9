"""SentencePiece merging against its definition: join the best-scoring adjacent pair, the leftmost of equals, again."""

from __future__ import annotations

from pathlib import Path

import pytest
import tokenizer_samples as samples
from hypothesis import example, given
from hypothesis import strategies as st

from tritmark.engine.formats.huggingface_tokenizer import tokenizer_metadata
from tritmark.engine.tokenizers import load_tokenizer
from tritmark.engine.tokenizers.spm import ScoredMerger, ranked_pairs
from tritmark.engine.tokenizers.vocabulary import read_vocabulary

LETTERS = "ab\u2581é"
PIECES = st.text(LETTERS, min_size=2, max_size=5)
TEXTS = st.text(st.sampled_from(LETTERS + " z你"), max_size=25)


def definition(text: str, ids: dict[str, int], scores: list[float]) -> list[int]:
    """The rule with nothing clever about it: look at every pair, join the best, start again."""
    symbols = list(text.replace(" ", "\u2581"))
    while True:
        joints = [symbols[at] + symbols[at + 1] for at in range(len(symbols) - 1)]
        places = [at for at, joint in enumerate(joints) if joint in ids]
        if not places:
            break
        best = max(places, key=lambda at: (scores[ids[joints[at]]], -at))
        symbols[best : best + 2] = [joints[best]]
    known = [[symbol] if symbol in ids else [f"<0x{byte:02X}>" for byte in symbol.encode()] for symbol in symbols]
    return [ids[token] for tokens in known for token in tokens]


def check(pieces: dict[str, float], text: str) -> None:
    metadata = samples.spm(pieces, add_space_prefix=False)
    vocabulary, scores = read_vocabulary(metadata), metadata["tokenizer.ggml.scores"]
    expected = definition(text, dict(vocabulary.ids), scores)
    assert load_tokenizer(metadata).encode(text, add_special=False, parse_special=False) == expected
    assert ScoredMerger(vocabulary, scores)(text.replace(" ", "\u2581")) == expected


@given(pieces=st.lists(PIECES, unique=True, max_size=25), text=TEXTS, data=st.data())
def test_distinct_scores_merge_by_the_definition(pieces: list[str], text: str, data: st.DataObject) -> None:
    scores = data.draw(st.permutations(range(len(pieces))))
    check(dict.fromkeys(LETTERS, -50.0) | dict(zip(pieces, map(float, scores), strict=True)), text)


@given(pieces=st.dictionaries(PIECES, st.sampled_from([-1.0, -2.0, -3.0]), max_size=25), text=TEXTS)
@example({"ab": -1.0, "ba": -1.0}, "bab")  # the leftmost of equals
def test_equal_scores_merge_leftmost_first(pieces: dict[str, float], text: str) -> None:
    check(dict.fromkeys(LETTERS, -50.0) | pieces, text)


@given(pieces=st.lists(PIECES, unique=True, max_size=15), text=TEXTS)
def test_letters_that_are_no_tokens_themselves_still_merge(pieces: list[str], text: str) -> None:
    check({piece: -float(at) for at, piece in enumerate(pieces)}, text)


@given(text=st.text(st.sampled_from("<0x41> Aa"), max_size=20))
def test_the_text_of_a_byte_token_is_not_the_byte(text: str) -> None:
    halves = ["<0", "x4", "<0x4", "1>", "<0x41>", "<0x41>a"]
    check(dict.fromkeys("<0x41>\u2581a", -50.0) | {half: -float(at) for at, half in enumerate(halves)
                                                   if half not in samples.BYTE_TEXTS}, text)


@pytest.mark.parametrize(("pieces", "by_library"), [
    ({"a": -1.0, "b": -2.0, "ab": -3.0, "ba": -4.0}, True),
    ({"a": -1.0, "b": -2.0, "ab": -3.0, "ba": -3.0}, False),  # a tie
    ({"a": -1.0, "b": -1.0, "ab": -1.0, "aaaa": -1.0}, True),  # a tie with what nothing merges to
    ({"a": -1.0, "ab": -3.0}, False),  # merges from a letter that is no token
])
def test_the_library_merges_where_its_ranks_say_what_the_scores_say(pieces: dict[str, float], by_library: bool) -> None:
    metadata = samples.spm(pieces)
    pairs = ranked_pairs(read_vocabulary(metadata), metadata["tokenizer.ggml.scores"])
    assert (pairs is not None) == by_library


def test_unknown_characters_become_bytes_or_the_unknown_token() -> None:
    with_bytes = samples.spm({"a": -1.0}, add_space_prefix=False)
    tokens = with_bytes["tokenizer.ggml.tokens"]
    assert load_tokenizer(with_bytes).encode("aé", add_special=False) == [
        tokens.index(text) for text in ("a", "<0xC3>", "<0xA9>")]
    bare = samples.keys(tokens=["<unk>", "<s>", "</s>", "a", "b", "ab", "ba"], token_type=[2, 3, 3, 1, 1, 1, 1])
    for scores in ([0.0, 0.0, 0.0, -1.0, -2.0, -3.0, -4.0], [0.0] * 7):  # merged by the library, then by the rule
        tokenizer = load_tokenizer(with_bytes | bare | samples.keys(scores=scores))
        assert tokenizer.encode("abé你a", add_special=False) == [5, 0, 0, 3]


def test_a_trained_model_gives_the_ids_of_sentencepiece(tmp_path: Path) -> None:
    sentencepiece = pytest.importorskip("sentencepiece")
    source = "The quick brown fox jumps over the lazy dog, again and again; thereafter nothing is quicker.\n"
    (tmp_path / "text").write_text(source * 20)
    sentencepiece.SentencePieceTrainer.train(
        input=str(tmp_path / "text"), model_prefix=str(tmp_path / "tokenizer"), vocab_size=360, model_type="bpe",
        byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False, minloglevel=2)
    processor = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "tokenizer.model"))
    tokenizer = load_tokenizer(tokenizer_metadata(tmp_path, {"bos_token_id": 1}, processor.vocab_size()))
    for text in (source.strip(), "then  again, foxes", "  é quick 你 nothing ", "browner\tdogs"):
        assert tokenizer.encode(text, add_special=False) == processor.encode(text)
        assert tokenizer.decode(processor.encode(text)) == text
