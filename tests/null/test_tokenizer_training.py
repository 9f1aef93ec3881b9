"""A tokenizer learnt from text: the library's ids, every byte, the same from the same text, readable by llama.cpp."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tritmark.engine.corpus.shipped import shipped_tokenizer, tokenizer_metadata
from tritmark.engine.errors import DataError
from tritmark.engine.tokenizers import load_tokenizer
from tritmark.engine.tokenizers.byte_pairs import byte_letters
from tritmark.engine.tokenizers.train import SPECIALS, TEMPLATE, train_byte_pairs, train_library
from tritmark.engine.tokenizers.train import tokenizer_metadata as metadata_of

LEAST = 256 + len(SPECIALS)
SENTENCE = "return the items of a list in order if there are any, else the default; None is no list"
TEXTS = [" ".join(random.Random(seed).choices(SENTENCE.split(), k=40)) + "\n    é😀 123" for seed in range(30)]
ANY_TEXT = st.lists(st.sampled_from([*SPECIALS, " return", "items of", "\n\n  ", "'s", "é", "😀", "1234", "<|", "|>"])
                    | st.text(max_size=8), max_size=8).map("".join)  # fmt: skip
LIBRARY = train_library(TEXTS, LEAST + 60)
METADATA = metadata_of(LIBRARY)
TOKENS = tokenizer_metadata()["tokenizer.ggml.tokens"]


@given(text=ANY_TEXT)
def test_a_loaded_tokenizer_gives_the_ids_of_the_one_that_was_trained(text: str) -> None:
    text = text.encode(errors="ignore").decode()  # no lone surrogates
    assert load_tokenizer(METADATA).encode(text, add_special=False) == LIBRARY.encode(text).ids


@given(text=st.text(st.characters(exclude_categories=["Cs"])))
def test_every_text_comes_back_from_its_tokens(text: str) -> None:
    tokenizer = shipped_tokenizer()
    assert tokenizer.decode(tokenizer.encode(text, parse_special=False)) == text


@given(data=st.binary())
def test_any_bytes_are_tokens_that_say_these_bytes(data: bytes) -> None:
    letters = {byte: letter for letter, byte in byte_letters().items()}
    ids = [TOKENS.index(letters[byte]) for byte in data]
    assert shipped_tokenizer().decode(ids) == data.decode(errors="replace")


def test_a_vocabulary_has_exactly_the_size_asked_for() -> None:
    assert len(METADATA["tokenizer.ggml.tokens"]) == len(METADATA["tokenizer.ggml.token_type"]) == LEAST + 60
    assert len(METADATA["tokenizer.ggml.merges"]) == 60
    assert len(train_byte_pairs(TEXTS, LEAST)["tokenizer.ggml.tokens"]) == LEAST


def test_the_same_documents_in_another_order_give_the_same_tokenizer() -> None:
    shuffled = random.Random(1).sample(TEXTS, len(TEXTS))
    assert train_byte_pairs(shuffled, LEAST + 60) == METADATA


def test_marks_of_a_chat_that_stand_in_the_text_are_not_learnt_as_words() -> None:
    metadata = train_byte_pairs([*TEXTS, "<|end|>" * 500], LEAST + 60)
    assert metadata == METADATA | {key: metadata[key] for key in ("tokenizer.ggml.tokens", "tokenizer.ggml.merges")}
    assert not any("|" in merge or "end" in merge for merge in metadata["tokenizer.ggml.merges"])


def test_a_size_without_room_for_the_bytes_or_beyond_what_the_text_gives_is_refused() -> None:
    with pytest.raises(DataError, match=f"bytes and special tokens alone are {LEAST}"):
        train_byte_pairs(TEXTS, LEAST - 1)
    with pytest.raises(DataError, match="ask for fewer or give more"):
        train_byte_pairs(["one two"], 2048)


def test_the_metadata_is_what_llama_cpp_reads() -> None:
    """Names and types of the GGUF specification; special tokens are control tokens, or llama.cpp would print them."""
    expected: dict[str, Any] = {"model": str, "pre": str, "tokens": list, "token_type": list, "merges": list,
                                "bos_token_id": int, "eos_token_id": int, "eot_token_id": int, "unknown_token_id": int,
                                "padding_token_id": int, "add_bos_token": bool, "add_eos_token": bool}  # fmt: skip
    keys = {key.removeprefix("tokenizer.ggml."): type(value) for key, value in METADATA.items()}
    assert keys == expected | {"tokenizer.chat_template": str}
    assert (METADATA["tokenizer.ggml.model"], METADATA["tokenizer.ggml.pre"]) == ("gpt2", "llama-bpe")
    kinds = dict(zip(METADATA["tokenizer.ggml.tokens"], METADATA["tokenizer.ggml.token_type"], strict=True))
    assert {text for text, kind in kinds.items() if kind == 3} == set(SPECIALS)
    assert "<|assistant|>" in TEMPLATE and "<|end|>" in TEMPLATE  # by which llama.cpp knows Phi-3's format


def test_a_chat_is_written_in_the_format_of_phi_3_and_ends_with_the_token_that_ends_answers() -> None:
    tokenizer = load_tokenizer(METADATA)
    messages = [{"role": "user", "content": "a list"}, {"role": "assistant", "content": "None"}]
    assert tokenizer.chat(messages, False) == "<|begin|><|user|>\na list<|end|>\n<|assistant|>\nNone<|end|>\n"
    assert tokenizer.chat(messages[:1]) == "<|begin|><|user|>\na list<|end|>\n<|assistant|>\n"
    ids = tokenizer.encode_chat(messages, False)
    assert ids[0] == tokenizer.bos_id and ids[-2] in tokenizer.eos_ids


def test_a_text_starts_with_one_begin_and_holds_no_padding() -> None:
    tokenizer = load_tokenizer(METADATA)
    assert tokenizer.encode("") == [tokenizer.bos_id]
    assert tokenizer.eos_ids == {tokenizer.eos_id} and tokenizer.bos_id != tokenizer.eos_id
