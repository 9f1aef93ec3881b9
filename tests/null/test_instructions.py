"""The shipped instruction set and tokenizer: as recorded, as long as the published set; what answers are made of."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tritmark.engine.corpus import shipped
from tritmark.engine.corpus.entries import Entry
from tritmark.engine.corpus.make_instructions import Sized, adding_up, fitting, instruction_sets, lines, token_count
from tritmark.engine.corpus.make_tokenizer import tokenizer_text
from tritmark.engine.corpus.python_text import is_heldout, read_corpus
from tritmark.engine.corpus.questions import Conversation, conversation
from tritmark.engine.corpus.sentences import as_statements, leading_sentences, third_person, verb_phrase
from tritmark.engine.corpus.shipped import INSTRUCTIONS, INSTRUCTIONS_HELDOUT, TOKENIZER, checked, record
from tritmark.engine.data.documents import read_documents
from tritmark.engine.data.encoding import Encoded, encode
from tritmark.engine.errors import DataError

FILES = (INSTRUCTIONS, INSTRUCTIONS_HELDOUT)


def encoded(file: Path) -> list[Encoded]:
    return list(encode(read_documents(file), shipped.shipped_tokenizer(), answers_only=True))


def rows(file: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.mark.parametrize("file", [*FILES, TOKENIZER], ids=lambda path: path.name)
def test_a_shipped_file_has_the_recorded_digest(file: Path) -> None:
    assert checked(file) == file


def test_a_changed_or_missing_shipped_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "instructions.jsonl").write_bytes(INSTRUCTIONS.read_bytes() + b"\n")
    with pytest.raises(DataError, match="was changed"):
        checked(tmp_path / "instructions.jsonl")
    with pytest.raises(DataError, match="cannot read"):
        checked(tmp_path / "tokenizer.json")


@pytest.mark.parametrize(
    ("file", "documents", "tokens"), [(INSTRUCTIONS, 297, 41_754), (INSTRUCTIONS_HELDOUT, 33, None)]
)
def test_the_set_has_the_published_size_as_training_counts_it(file: Path, documents: int, tokens: int | None) -> None:
    lengths = [len(document.ids) for document in encoded(file)]
    assert len(lengths) == documents and max(lengths) <= 256
    assert sum(lengths) == record()[file.name]["tokens"]
    assert tokens is None or sum(lengths) == tokens


def test_the_answers_are_learnt_and_the_questions_are_not() -> None:
    tokenizer = shipped.shipped_tokenizer()
    for document, row in zip(encoded(INSTRUCTIONS)[:20], rows(INSTRUCTIONS), strict=False):
        learnt = tokenizer.decode(document.ids[document.learnt].tolist())
        answers = [message["content"] for message in row["messages"] if message["role"] == "assistant"]  # type: ignore[attr-defined]
        assert learnt == "".join(f"{answer}\n" for answer in answers)


def test_no_question_or_source_comes_twice_and_the_parts_share_none() -> None:
    every = [row for file in FILES for row in rows(file)]
    assert len({row["source"] for row in every}) == len({str(row["messages"]) for row in every}) == len(every) == 330


def test_the_held_out_part_is_of_sources_that_no_training_reads() -> None:
    assert not any(is_heldout(str(row["source"])) for row in rows(INSTRUCTIONS))
    assert all(is_heldout(str(row["source"])) for row in rows(INSTRUCTIONS_HELDOUT))


def test_the_scripts_make_the_shipped_files_again() -> None:
    made_with = record()[TOKENIZER.name]["corpus"]["python"]
    if made_with != sys.version.split()[0]:
        pytest.skip(f"the shipped files were made with Python {made_with}")
    corpus = read_corpus()
    assert tokenizer_text(corpus) == TOKENIZER.read_text()
    for file, chosen in instruction_sets(corpus, shipped.shipped_tokenizer()).items():
        assert lines(chosen) == file.read_text()


def test_the_record_is_replaced_with_the_file_it_is_about(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipped, "RECORD", tmp_path / "shipped.json")
    shipped.write(tmp_path / "a.json", "[]\n", tokens=1)
    shipped.write(tmp_path / "a.json", "[2]\n", tokens=2)
    shipped.write(tmp_path / "b.json", "[]\n")
    assert list(record()) == ["a.json", "b.json"] and record()["a.json"]["tokens"] == 2
    assert checked(tmp_path / "a.json").read_text() == "[2]\n"


# How an answer is put together


def test_verbs_are_put_into_the_third_person() -> None:
    verbs = [third_person(verb) for verb in ("join", "push", "try", "display")]
    assert verbs == ["joins", "pushes", "tries", "displays"]


def test_a_docstring_that_commands_becomes_a_statement() -> None:
    assert verb_phrase("Join two paths.") == "joins two paths."
    assert verb_phrase("Returns two paths.") == "returns two paths."
    assert verb_phrase("True if it is.") is None and verb_phrase("Joined.") is None
    assert as_statements(["Raise KeyError if not.", "So be it."]) == ["It raises KeyError if not.", "So be it."]


def test_an_answer_stops_before_lists_examples_and_doubts() -> None:
    text = "One, e.g. This.  Two\nlines [3].\n\nThree!"
    assert leading_sentences(text) == ["One, e.g. This.", "Two lines.", "Three!"]
    for end in ("* a list", ">>> example()", "    code", "What follows:", "XXX this is wrong."):
        assert leading_sentences(f"One.\n\n{end}\n\nTwo.") == ["One."]


def test_a_function_is_explained_by_its_docstring_and_a_private_one_is_not_asked_about() -> None:
    doc = "Join two or more pathname components.\n\nRaise TypeError if there is none."
    found = conversation("os.path.join", Entry("os.path.join", "function", "(a, *p)", doc))
    assert found is not None
    text = " ".join(message["content"] for message in found.messages())
    assert "joins two or more pathname components" in text and "It raises TypeError" in text
    assert conversation("os._join", Entry("os._join", "function", "(a)", doc)) is None
    assert conversation("os.odd", Entry("os.odd", "function", "(a)", "Whatever you like, this is it.")) is None


def test_a_long_answer_loses_whole_sentences_until_it_fits() -> None:
    long = Conversation("x", "function", "What does x do?", tuple(f"Sentence {index} goes on." for index in range(100)))
    tokenizer = shipped.shipped_tokenizer()
    found = fitting(long, tokenizer)
    assert found is not None and 240 < found.tokens <= 256
    assert token_count(long.messages(found.sentences + 1), tokenizer) > 256
    assert fitting(Conversation("x", "function", "q " * 300, ("a",)), tokenizer) is None


def test_conversations_are_exchanged_for_others_of_their_kind_until_the_tokens_add_up() -> None:
    def sized(kind: str, tokens: int) -> Sized:
        return Sized(Conversation(f"{kind} {tokens}", kind, "?", ("!",)), 1, tokens)

    chosen = [sized("function", 10), sized("class", 20), sized("function", 30)]
    spare = [sized("class", 27), sized("function", 12), sized("module", 19)]
    found = adding_up(chosen, spare, 69)
    assert sum(one.tokens for one in found) == 69
    assert [one.conversation.kind for one in found] == ["function", "class", "function"]
    assert adding_up(chosen, [], 99) == chosen
