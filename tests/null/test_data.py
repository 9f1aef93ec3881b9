"""From files to micro-batches: what is read, what is learnt, how it is cut, packed, divided, ordered and counted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tokenizer_samples as samples
from hypothesis import given, settings
from hypothesis import strategies as st

from tritmark.engine.data.dataset import Dataset, Shape, dataset, read_dataset
from tritmark.engine.data.documents import read_documents
from tritmark.engine.data.encoding import Encoded, encode
from tritmark.engine.data.order import epochs, permutation
from tritmark.engine.errors import DataError
from tritmark.engine.tokenizers import Tokenizer, load_tokenizer
from tritmark.engine.training import UNLABELLED

BYTES = samples.byte_pairs([("a", "b")])
BOS, EOS, EOT = (BYTES["tokenizer.ggml.tokens"].index(f"<|{name}|>")
                 for name in ("begin_of_text", "end_of_text", "eot_id"))  # fmt: skip
CHAT = [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "So."}]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return load_tokenizer(BYTES)


def written(folder: Path, *lines: Any, name: str = "data.jsonl") -> Path:
    path = folder / name
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


def learnt_text(tokenizer: Tokenizer, path: Path, answers_only: bool = True) -> list[str]:
    """Of each document the text of its learnt tokens; special tokens by name."""
    names = {BOS: "<bos>", EOS: "<eos>", EOT: "<eot>"}
    found = []
    for document in encode(read_documents(path), tokenizer, answers_only=answers_only):
        ids = document.ids[document.learnt].tolist()
        found.append("".join(names.get(index) or tokenizer.decode([index]) for index in ids))
    return found


def test_all_of_a_text_is_learnt_and_its_end(tokenizer: Tokenizer, tmp_path: Path) -> None:
    path = written(tmp_path, {"text": "Yes, ab.", "label": "ignored"})
    assert learnt_text(tokenizer, path) == ["<bos>Yes, ab.<eos>"]


def test_of_a_prompt_with_completion_the_completion_is_learnt(tokenizer: Tokenizer, tmp_path: Path) -> None:
    path = written(tmp_path, {"prompt": "2+2=", "completion": "4"})
    assert learnt_text(tokenizer, path) == ["4<eos>"]
    assert learnt_text(tokenizer, path, answers_only=False) == ["<bos>2+2=4<eos>"]


def test_of_a_chat_each_answer_and_its_end_are_learnt(tokenizer: Tokenizer, tmp_path: Path) -> None:
    more = [{"role": "user", "content": "Oh"}, {"role": "assistant", "content": "!"}]
    path = written(tmp_path, {"messages": [*CHAT, *more]})
    assert learnt_text(tokenizer, path) == ["So.<eot>!<eot>"]
    [whole] = encode(read_documents(path), tokenizer, answers_only=True)
    assert whole.ids[0] == BOS and BOS not in whole.ids[1:]


def test_a_chat_without_template_is_lines(tmp_path: Path) -> None:
    plain = load_tokenizer({key: value for key, value in BYTES.items() if key != "tokenizer.chat_template"})
    path = written(tmp_path, {"messages": CHAT})
    assert learnt_text(plain, path) == ["So.\n<eos>"]


def test_a_template_that_rewrites_earlier_messages_is_refused(tmp_path: Path) -> None:
    template = "{{ messages | length }}{% for m in messages %}{{ m.content }}{% endfor %}"
    odd = load_tokenizer(BYTES | {"tokenizer.chat_template": template})
    with pytest.raises(DataError, match=r"line 1: the chat template changes earlier messages"):
        learnt_text(odd, written(tmp_path, {"messages": CHAT}))


def test_a_text_file_is_one_document_and_a_folder_its_files(tokenizer: Tokenizer, tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_text("two\nlines\n")
    (tmp_path / "a.md").write_text("first")
    (tmp_path / "c.bin").write_bytes(b"\xff")
    assert [document.parts[0][0] for document in read_documents(tmp_path)] == ["first", "two\nlines"]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('{"text": "a"', "line 2 is not JSON"),
        ("[1]", "line 2 is not a JSON object"),
        ({"prompt": "a"}, "line 2: 'completion' is missing"),
        ({"text": 3}, "line 2: 'text' is no text"),
        ({"text": ""}, "line 2: 'text' is empty"),
        ({"body": "x"}, "line 2 has neither text"),
        ({"messages": []}, "line 2: 'messages' is not a list"),
        ({"messages": [{"role": "bot", "content": "x"}]}, "line 2: a message has no role"),
    ],
)
def test_a_broken_line_is_named(line: Any, says: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=says) as caught:
        list(read_documents(written(tmp_path, {"text": "fine"}, line)))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"\n\n"])
def test_empty_files_are_refused(content: bytes, tmp_path: Path) -> None:
    for name in ("data.jsonl", "data.txt"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match="is empty"):
            list(read_documents(tmp_path / name))


def test_files_that_are_no_text_or_not_there_are_refused(tmp_path: Path) -> None:
    (tmp_path / "data.txt").write_bytes(b"caf\xe9")
    with pytest.raises(DataError, match="not UTF-8"):
        list(read_documents(tmp_path / "data.txt"))
    with pytest.raises(DataError, match="cannot read"):
        list(read_documents(tmp_path / "missing.txt"))


def of_lengths(lengths: list[int]) -> list[Encoded]:
    """Documents of distinct ids, all learnt."""
    starts = np.cumsum([0, *lengths])
    return [Encoded(f"document {at}", np.arange(first, first + size, dtype=np.uint32), np.ones(size, bool))
            for at, (first, size) in enumerate(zip(starts, lengths, strict=False))]  # fmt: skip


def pairs(made: Dataset) -> list[tuple[int, int]]:
    """(token, label) of every labelled token."""
    at = made.batches.labels != UNLABELLED
    return sorted(zip(made.batches.tokens[at].tolist(), made.batches.labels[at].tolist(), strict=True))


lengths_drawn = st.lists(st.integers(1, 40), min_size=1, max_size=30).filter(lambda sizes: max(sizes) > 1)


@settings(deadline=None)
@given(lengths=lengths_drawn, context=st.integers(2, 16), extra=st.integers(0, 9), packs=st.booleans())
def test_every_token_is_predicted_once_from_the_one_before(
    lengths: list[int], context: int, extra: int, packs: bool
) -> None:
    """The first document, short ones and the ends of cut ones included; spans cover just the tokens of one piece."""
    documents = of_lengths(lengths)
    made = dataset(documents, Shape(context, context + extra, packs=packs), "x")
    expected = [(int(a), int(b)) for each in documents for a, b in zip(each.ids, each.ids[1:], strict=False)]
    assert pairs(made) == sorted(expected)
    batches = made.batches
    first, end = (batches.spans[..., side].astype(int) for side in (0, 1))
    places = np.arange(batches.size)
    assert ((first <= places) & (places < end)).all() and (end - first <= context).all()
    labelled = batches.labels != UNLABELLED
    assert (batches.tokens + labelled)[labelled].tolist() == batches.labels[labelled].tolist()
    assert (end - 1 > places)[labelled].all()  # a label never comes from the next document
    assert made.learnt.tokens <= made.learnt.slots == batches.tokens.size
    assert made.learnt.supervised_tokens == len(expected)


def test_padding_is_not_counted_as_tokens() -> None:
    made = dataset(of_lengths([3, 5]), Shape(8, 8, packs=False), "x")
    assert (made.learnt.tokens, made.learnt.slots, made.learnt.supervised_tokens) == (8, 16, 6)


def test_packing_fills_rows() -> None:
    assert len(dataset(of_lengths([4] * 20), Shape(4, 16), "x").batches.tokens) == 5


def test_long_documents_are_refused_where_they_may_not_be_cut() -> None:
    with pytest.raises(DataError, match=r"document 1 has 9 tokens, more than the context of 8"):
        dataset(of_lengths([3, 9]), Shape(8, 8, splits=False), "x")


def test_documents_without_anything_learnt_are_left_out_and_counted() -> None:
    documents = of_lengths([4, 4])
    silent = Encoded("silent", documents[0].ids, np.zeros(4, bool))
    made = dataset([silent, documents[1]], Shape(8, 8), "x")
    assert (made.learnt.documents, made.learnt.skipped) == (1, 1)
    with pytest.raises(DataError, match="nothing to learn"):
        dataset([silent], Shape(8, 8), "x")


def test_a_part_is_held_out_whole_documents_at_a_time() -> None:
    made = dataset(of_lengths([5] * 20), Shape(5, 5, held_out=0.1), "x")
    assert (made.learnt.documents, made.held_out.documents, made.batches.held_out) == (18, 2, 2)
    both = dataset(of_lengths([5, 5]), Shape(5, 5, held_out=0.01), "x")
    assert (both.learnt.documents, both.held_out.documents) == (1, 1)
    assert dataset(of_lengths([5]), Shape(5, 5, held_out=0.5), "x").held_out.documents == 0


def test_orders_are_the_same_on_every_machine() -> None:
    assert permutation(8, 42, "documents") == [7, 4, 0, 5, 3, 2, 1, 6]
    assert permutation(0, 42, "documents") == []


@given(count=st.integers(1, 50), seed=st.integers(0, 1 << 31))
def test_each_epoch_visits_every_micro_batch_once_in_an_order_of_its_own(count: int, seed: int) -> None:
    found = epochs(count, seed, 3)
    parts = [found[at : at + count] for at in range(0, 3 * count, count)]
    assert all(sorted(part) == list(range(count)) for part in parts)
    assert count < 10 or len({tuple(part) for part in parts}) == 3


@pytest.mark.parametrize("shape", [(1, 8), (9, 8)])
def test_shapes_that_cannot_be_are_refused(shape: tuple[int, int]) -> None:
    with pytest.raises(DataError, match="context"):
        Shape(*shape)
    with pytest.raises(DataError, match="fraction"):
        Shape(8, 8, held_out=1.0)


def test_a_dataset_is_the_same_whenever_it_is_read(tokenizer: Tokenizer, tmp_path: Path) -> None:
    path = written(tmp_path, *({"text": f"number {i} ab"} for i in range(30)))
    one, other = (read_dataset(path, tokenizer, Shape(32, 64, held_out=0.1)).batches for _ in range(2))
    assert one.tokens.tobytes() == other.tokens.tobytes() and one.labels.tobytes() == other.labels.tobytes()
