"""Tokenizers as a whole: ids of golden files, special tokens, decoding, streams, and metadata that cannot be right."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tokenizer_samples as samples
from hypothesis import given
from hypothesis import strategies as st

from tritmark.engine.errors import FormatError
from tritmark.engine.formats.model import open_model
from tritmark.engine.tokenizers import Tokenizer, load_tokenizer

PIECES = {"\u2581": -1.0, "a": -2.0, "b": -3.0, "x": -4.0, "é": -5.0, "\u2581a": -6.0, "ab": -7.0, "\u2581ab": -8.0}
SPM = samples.spm(PIECES)
BYTE_PAIRS = samples.byte_pairs([("a", "b"), ("Ġ", "ab"), ("Ã", "©")])
FAMILIES = {"spm": SPM, "byte_pairs": BYTE_PAIRS}
TEXTS = st.text(st.sampled_from("ab x\té你\n\u0301😀1'<>") | st.characters(exclude_categories=["Cs"]), max_size=20)


@pytest.fixture(params=FAMILIES)
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    return load_tokenizer(FAMILIES[request.param])


def ids(*texts: str, metadata: dict[str, Any] = SPM) -> list[int]:
    return [metadata["tokenizer.ggml.tokens"].index(text) for text in texts]


@pytest.mark.parametrize("family", ["llama", "ms"])
def test_golden_texts_have_the_ids_of_llama_cpp(family: str, golden: Path) -> None:
    tokenizer = load_tokenizer(open_model(str(golden / f"tiny-{family}.tq1_0.gguf")).metadata)
    rows = json.loads((golden / "tokens_tiny.json").read_text())[family]
    assert len(rows) == 7
    for row in rows:
        assert tokenizer.encode(row["text"], add_special=False) == row["ids"]
        assert tokenizer.encode(row["text"]) == row["ids_add_special"]


@pytest.mark.parametrize("metadata", FAMILIES.values(), ids=FAMILIES)
@given(text=TEXTS)
def test_decoding_undoes_encoding(metadata: dict[str, Any], text: str) -> None:
    tokenizer = load_tokenizer(metadata)
    text = text.replace("\u2581", "")  # SentencePiece cannot tell this character from a space
    for add_special in (True, False):
        assert tokenizer.decode(tokenizer.encode(text, add_special, parse_special=False)) == text


@pytest.mark.parametrize("metadata", FAMILIES.values(), ids=FAMILIES)
@given(data=st.data())
def test_a_stream_gives_the_text_of_decode_and_never_half_a_character(metadata: dict[str, Any], data: Any) -> None:
    tokenizer = load_tokenizer(metadata)
    tokens = data.draw(st.lists(st.integers(0, tokenizer.vocab_size - 1), max_size=30))
    stream = tokenizer.stream(from_start=True)
    assert "".join(map(stream.push, tokens)) + stream.flush() == tokenizer.decode(tokens)


def test_a_character_appears_with_the_last_of_its_bytes(tokenizer: Tokenizer) -> None:
    tokens, stream = tokenizer.encode("a😀你", add_special=False), tokenizer.stream()
    assert [text for text in map(stream.push, tokens) if text][-2:] == ["😀", "你"]
    assert stream.flush() == ""


def test_a_character_cut_short_becomes_a_replacement_at_the_flush() -> None:
    tokenizer, stream = load_tokenizer(SPM), load_tokenizer(SPM).stream()
    first = ids("<0xF0>")[0]
    assert stream.push(first) == "" and stream.flush() == "\ufffd"
    assert tokenizer.decode([first, *ids("a")]) == "\ufffda"


def test_a_stream_keeps_the_space_of_a_word_that_continues_a_prompt() -> None:
    tokenizer = load_tokenizer(SPM)
    assert tokenizer.stream().push(*ids("\u2581ab")) == " ab"
    assert tokenizer.stream(from_start=True).push(*ids("\u2581ab")) == "ab"


def test_special_tokens_are_parsed_only_when_asked_for() -> None:
    tokenizer = load_tokenizer(SPM)
    assert tokenizer.encode("<s>", add_special=False) == ids("<s>")
    assert not {*ids("<s>")} & {*tokenizer.encode("<s>", add_special=False, parse_special=False)}


def test_user_defined_tokens_are_always_matched() -> None:
    tokenizer = load_tokenizer(SPM)
    for parse_special in (True, False):
        tokens = tokenizer.encode("a<line>", add_special=False, parse_special=parse_special)
        assert tokens == ids("\u2581a", "<line>") and tokenizer.decode(tokens) == "a<line>"


def test_text_after_a_special_token_gets_the_space_of_a_first_word() -> None:
    tokenizer = load_tokenizer(SPM)
    tokens = tokenizer.encode("ab<s>ab</s> a")
    assert tokens == ids("<s>", "\u2581ab", "<s>", "\u2581ab", "</s>", "\u2581", "\u2581a")
    assert tokenizer.decode(tokens) == "abab a"
    assert load_tokenizer(SPM | samples.keys(add_space_prefix=False)).encode("ab") == ids("<s>", "ab")


def test_the_longest_of_overlapping_special_tokens_is_cut_out_first() -> None:
    kinds, tokens = list(SPM["tokenizer.ggml.token_type"]), list(SPM["tokenizer.ggml.tokens"])
    for text in ("[a", "a]]"):  # both want the "a" of "[a]]"; the first in the text is the shorter
        kinds.append(samples.CONTROL)
        tokens.append(text)
    scores = [*SPM["tokenizer.ggml.scores"], -2000.0, -2001.0]
    metadata = SPM | samples.keys(tokens=tokens, token_type=kinds, scores=scores)
    found = load_tokenizer(metadata).encode("x[a]]", add_special=False)
    assert found[-1] == len(tokens) - 1 and len(tokens) - 2 not in found


def test_bos_and_eos_are_added_where_the_file_asks_for_them() -> None:
    wanted = load_tokenizer(SPM | samples.keys(add_eos_token=True))
    assert wanted.encode("") == ids("<s>", "</s>") and wanted.encode("", add_special=False) == []
    assert load_tokenizer(SPM | samples.keys(add_bos_token=False)).encode("a") == ids("\u2581a")


def test_an_answer_ends_with_eos_or_the_end_of_a_turn() -> None:
    spm, byte_pairs = load_tokenizer(SPM), load_tokenizer(BYTE_PAIRS)
    assert (spm.bos_id, spm.eos_ids, spm.vocab_size) == (1, {2}, len(SPM["tokenizer.ggml.tokens"]))
    assert byte_pairs.eos_ids == {*ids("<|end_of_text|>", "<|eot_id|>", metadata=BYTE_PAIRS)}
    assert load_tokenizer(SPM | samples.keys(eot_token_id=0)).eos_ids == {0, 2}


def without(metadata: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in metadata.items() if key != f"tokenizer.ggml.{name}"}


def changed(metadata: dict[str, Any], name: str, index: int, value: Any) -> dict[str, Any]:
    items = list(metadata[f"tokenizer.ggml.{name}"])
    items[index] = value
    return metadata | samples.keys(**{name: items})


DAMAGED: dict[str, tuple[dict[str, Any], str]] = {
    "no tokenizer": ({}, "has no tokenizer"),
    "unknown model": (SPM | samples.keys(model="wordpiece"), "'wordpiece' is not supported"),
    "model of another type": (SPM | samples.keys(model=["llama"]), "is not supported"),
    "no tokens": (without(SPM, "tokens"), "lacks tokenizer.ggml.tokens"),
    "empty tokens": (SPM | samples.keys(tokens=[]), "tokens is empty"),
    "tokens no list": (SPM | samples.keys(tokens="abc"), "is str, not a list"),
    "token no text": (changed(SPM, "tokens", 7, 7), "item 7 of tokenizer.ggml.tokens is int"),
    "token not UTF-8": (changed(SPM, "tokens", 300 - 35, "\ud800"), "not UTF-8"),
    "token twice": (changed(SPM, "tokens", 262, "<s>"), "tokens 1 and 262 are both '<s>'"),
    "no scores": (without(SPM, "scores"), "lacks tokenizer.ggml.scores"),
    "scores too short": (SPM | samples.keys(scores=[0.0]), "scores has 1 items for"),
    "score NaN": (changed(SPM, "scores", 3, math.nan), "token 3 has no number"),
    "score no number": (changed(SPM, "scores", 3, True), "item 3 of tokenizer.ggml.scores is bool"),
    "no types": (without(SPM, "token_type"), "lacks tokenizer.ggml.token_type"),
    "types too short": (SPM | samples.keys(token_type=[1, 2]), "token_type has 2 items for"),
    "unknown type": (changed(SPM, "token_type", 5, 9), "token 5 has the unknown token_type 9"),
    "byte token without a byte": (changed(SPM, "token_type", 262, samples.BYTE), "byte token 262"),
    "missing byte": (without(changed(SPM, "tokens", 4, "zz"), "unknown_token_id")
                     | samples.keys(token_type=[1] * len(SPM["tokenizer.ggml.tokens"])), "byte token <0x01>"),
    "bos beyond": (SPM | samples.keys(bos_token_id=10_000), "bos_token_id is 10000"),
    "eos negative": (SPM | samples.keys(eos_token_id=-1), "eos_token_id is -1"),
    "eot no id": (SPM | samples.keys(eot_token_id="x"), "eot_token_id is 'x'"),
    "no bos to add": (without(SPM, "bos_token_id"), "bos_token_id is missing"),
    "flag no flag": (SPM | samples.keys(add_space_prefix=3), "neither true nor false"),
    "unknown pre-tokenizer": (BYTE_PAIRS | samples.keys(pre="gpt-4o"), "'gpt-4o' is not supported"),
    "no merges": (without(BYTE_PAIRS, "merges"), "lacks tokenizer.ggml.merges"),
    "merge of one": (BYTE_PAIRS | samples.keys(merges=["ab"]), "merge 0 is 'ab'"),
    "merge of three": (BYTE_PAIRS | samples.keys(merges=["a b", "a b b"]), "merge 1 is 'a b b'"),
    "merge to no token": (BYTE_PAIRS | samples.keys(merges=["a z"]), "needs the missing token 'az'"),
    "no byte": (changed(BYTE_PAIRS, "tokens", 0, "zz"), "lacks the byte 0x21"),
    "template no text": (SPM | {"tokenizer.chat_template": 3}, "chat_template is int"),
}


@pytest.mark.parametrize(("metadata", "message"), DAMAGED.values(), ids=DAMAGED)
def test_damaged_metadata_is_refused_in_one_line(metadata: dict[str, Any], message: str) -> None:
    with pytest.raises(FormatError) as refusal:
        load_tokenizer(metadata)
    assert message in str(refusal.value) and "\n" not in str(refusal.value) and len(str(refusal.value)) < 250


def test_ids_and_text_that_cannot_be_are_refused(tokenizer: Tokenizer) -> None:
    for index in (-1, tokenizer.vocab_size):
        with pytest.raises(FormatError, match="beyond the vocabulary"):
            tokenizer.decode([index])
    with pytest.raises(FormatError, match="lone surrogate"):
        tokenizer.encode("a\ud800")


def test_importing_the_package_does_not_import_the_libraries() -> None:
    code = "import sys, tritmark.engine.tokenizers; print({'tokenizers', 'jinja2'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout.strip() == "set()"
