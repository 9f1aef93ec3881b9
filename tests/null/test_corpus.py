"""The text of a Python installation: what is found without imports, what repeats, what is held out; the baselines."""

from __future__ import annotations

import math
import subprocess
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from tritmark.engine.corpus.entries import builtin_entries, read_entries
from tritmark.engine.corpus.ngrams import Ngrams, Score
from tritmark.engine.corpus.prose import is_english, repeated, shingles, tidy, without_repeats
from tritmark.engine.corpus.python_text import Corpus, byte_count, is_heldout, read_corpus
from tritmark.engine.corpus.shipped import TOKENIZER, record
from tritmark.engine.corpus.topics import read_sections
from tritmark.engine.errors import DataError

TOPIC = 'The "if" statement\n******************\n\nIt is used for what is done only if a condition is true.\n'
MODULE = '''
"""Work with the things that are in a box, one after the other."""
raise SystemExit("imported")
class Box:
    """A box that holds the things which were put into it."""
    def take(self, count: int = 1, *, quiet=False) -> list:
        """Return so many of the things that are in the box."""
        def inner():
            """Nobody outside of this function can see that this is here."""
    @property
    def full(self):
        """Whether there is no room for more things in this box."""
if True:
    async def fill(box, /, *things):
        """Put all of the things into the box, until it is full."""
'''


@pytest.fixture
def library(tmp_path: Path) -> Path:
    topics = f"topics = {{'if': {TOPIC!r}}}"
    for name, text in {"pydoc_data/topics.py": topics, "boxes.py": MODULE, "broken.py": "def",
                       "test/boxes.py": MODULE, "site-packages/other.py": MODULE}.items():  # fmt: skip
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return read_corpus()


def test_docstrings_are_found_without_importing_what_holds_them(library: Path) -> None:
    assert {entry.heading for entry in read_entries(library)} == {
        "module boxes", "class boxes.Box", "function boxes.Box.take(count=1, *, quiet=False)",
        "property boxes.Box.full", "function boxes.fill(box, /, *things)",
    }  # fmt: skip


def test_builtins_are_described_though_they_are_written_in_c() -> None:
    found = {entry.heading: entry.doc for entry in builtin_entries()}
    assert "number of items" in found["function len(obj)"]
    assert {"class dict", "function str.split(sep=None, maxsplit=-1)"} <= found.keys()
    assert "class IOError" not in found  # another name of OSError


def test_topics_are_cut_at_their_headings(library: Path) -> None:
    (section,) = read_sections(library)
    assert (section.topic, section.title) == ("if", "The if statement")
    assert tidy(section.text) == "It is used for what is done only if a condition is true."


def test_a_python_without_topics_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"topics\.py.*lacks its language reference"):
        read_corpus(tmp_path)


def test_documents_say_what_they_are_about_and_their_names_decide_their_part(library: Path) -> None:
    corpus = read_corpus(library)
    everything = dict((*corpus.train, *corpus.heldout))
    assert len(everything) == 6
    assert everything["boxes"] == "module boxes\n\nWork with the things that are in a box, one after the other."
    assert not any(is_heldout(name) for name, _ in corpus.train)
    assert all(is_heldout(name) for name, _ in corpus.heldout)


@pytest.mark.parametrize(("text", "english"), [
    ("Return the number of the items that are in this list.", True),
    ("Return it.", False),
    ("0x00 NUL 0x01 SOH 0x02 STX 0x03 ETX 0x04 EOT 0x05 ENQ 0x06 ACK 0x07 BEL", False),
    ("Gib die Anzahl der Dinge aus, und zwar für alle Kisten, größer als fünf.", False),
])  # fmt: skip
def test_only_english_prose_is_kept(text: str, english: bool) -> None:
    assert is_english(text) == english


def test_tables_and_rules_are_left_out_and_white_space_is_made_regular() -> None:
    text = "First line.  \n\n\n    +---+---+\n    | a | b |\n    +---+---+\n\n    Then\n      this.\n    ----\n"
    assert tidy(text) == "First line.\n\nThen\n  this."


def test_of_texts_that_repeat_each_other_the_longest_stays_wherever_it_stands() -> None:
    short = "take the first of the two boxes and put it on the table"
    texts = {"copy": short.upper(), "whole": short + ", then close the door behind you", "part": short,
             "other": "a lamp of brass that nobody ever lit in the long winter"}  # fmt: skip
    for names in (list(texts), list(texts)[::-1]):
        assert set(without_repeats([(name, texts[name]) for name in names], 0.5)) == {"whole", "other"}


def test_the_share_of_repeated_words_is_counted_in_runs_of_five() -> None:
    assert repeated("a b c d e f", shingles("x a b c d e")) == 0.5
    assert repeated("a b", shingles("a b")) == 1


def test_this_python_carries_megabytes_of_english_of_which_a_twentieth_is_held_out(corpus: Corpus) -> None:
    assert byte_count(corpus.train) > 1_000_000
    assert 0.02 < byte_count(corpus.heldout) / byte_count(corpus.train) < 0.1
    assert {"os.path.join", "functools.lru_cache", "dict.get"} & corpus.facts.keys()


def test_no_held_out_document_is_told_in_the_training_part(corpus: Corpus) -> None:
    said = {shingle for document in corpus.train for shingle in shingles(document.text)}
    assert max(repeated(document.text, said) for document in corpus.heldout) < 0.2
    assert sum(repeated(document.text, said) for document in corpus.heldout) / len(corpus.heldout) < 0.04


def test_the_text_is_the_same_that_the_shipped_files_were_made_of(corpus: Corpus) -> None:
    recorded = record()[TOKENIZER.name]["corpus"]
    if recorded["python"] != sys.version.split()[0]:
        pytest.skip(f"the shipped files were made with Python {recorded['python']}")
    assert corpus.summary() == recorded


def test_the_scan_imports_no_module_of_the_library() -> None:
    code = ("import sys; from tritmark.engine.corpus.python_text import read_corpus; before = set(sys.modules);"
            "read_corpus(); print(*sorted(set(sys.modules) - before))")  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not [name for name in done.stdout.split() if not name.startswith("_sysconfigdata")]  # where the library is


# Baselines

DOCUMENTS = [[0, 1, 2, 1, 2, 3, 1, 2], [0, 2, 3, 3, 1], [0, 1, 2, 2, 1, 1], [0, 3]]


@pytest.mark.parametrize("order", [1, 2, 3])
def test_the_probabilities_of_every_context_sum_to_one_and_none_is_zero(order: int) -> None:
    model = Ngrams(DOCUMENTS, 6, order)
    for context in product(range(7), repeat=order - 1):  # 4 and 5 never came; 6 is "before the first"
        chances = model.probabilities(np.array([[*context, token] for token in range(6)]))
        assert chances.sum() == pytest.approx(1) and chances.min() > 0


def test_a_unigram_model_gives_each_token_its_discounted_share() -> None:
    model = Ngrams([[0, 1, 1, 1, 2]], 4, 1)  # too little to estimate discounts: 1.5 of the three, 0.5 of the one
    chances = model.probabilities(np.array([[0], [1], [2], [3]]))
    assert chances == pytest.approx([0.5 / 4, 1.5 / 4 + 0.5 / 4, 0.5 / 4 + 0.5 / 4, 0.5 / 4])


def test_lower_orders_count_what_a_token_follows_and_not_how_often() -> None:
    """3 comes often but only after 2; 1 follows four different tokens, so it is likelier after an unseen one."""
    model = Ngrams([[0, 2, 3, 2, 3, 2, 3, 2, 3], [0, 1], [4, 1], [5, 1], [3, 1]], 8, 2)
    after_unseen = model.probabilities(np.array([[7, 1], [7, 3]]))
    assert after_unseen[0] > after_unseen[1]


def test_a_perplexity_counts_predicted_tokens_and_not_the_first() -> None:
    model = Ngrams([[0, 1], [0, 1]], 2, 3)
    score = model.score([[0, 1], [0]], text_bytes=4)
    chance = float(model.probabilities(np.array([[2, 0, 1]]))[0])
    assert score == Score(pytest.approx(-math.log(chance)), 1, 4)
    assert score.per_token == pytest.approx(1 / chance) and score.per_byte == pytest.approx(chance**-0.25)


def test_longer_contexts_predict_text_with_order_better() -> None:
    text = [[0, *([1, 2, 3, 1, 3] * 20)]]
    scores = [Ngrams(text, 5, order).score(text, 1).per_token for order in (1, 2, 3)]
    assert scores[0] > scores[1] > scores[2]


def test_a_token_beyond_the_vocabulary_and_text_without_two_tokens_are_refused() -> None:
    with pytest.raises(DataError, match="token 4 is not below 4"):
        Ngrams([[0, 4]], 4)
    with pytest.raises(DataError, match="nothing to count"):
        Ngrams([[0]], 4)
    with pytest.raises(DataError, match="order is 1 to 3"):
        Ngrams([[0, 1]], 4, 4)
