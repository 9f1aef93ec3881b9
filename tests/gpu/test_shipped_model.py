"""The model that ships, at work: without a word about which model, and better than counting what followed what."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from command_runs import last, tritmark

from tritmark.engine.corpus.ngrams import Ngrams
from tritmark.engine.corpus.python_text import byte_count, read_corpus
from tritmark.engine.corpus.shipped import shipped_tokenizer

pytestmark = pytest.mark.usefixtures("gpu")
ASKED = 4  # held-out documents; the README has the figure of all


def test_generate_takes_it_by_default_and_writes_what_the_readme_shows() -> None:
    ended = last(tritmark("generate", "--prompt", "class socketserver.Server", "--temperature", "0.6", "--seed", "5",
                          "--json"))  # fmt: skip
    assert ended["text"] == (
        "\n\nAbstract base class for sockets.\n\nThis class provides a Server subclass for the server classes."
    )


def test_it_is_less_surprised_by_text_it_never_saw_than_a_3_gram_model(tmp_path: Path) -> None:
    corpus, tokenizer = read_corpus(), shipped_tokenizer()
    heldout = [document for document in corpus.heldout if len(document.text) < 400][:ASKED]
    ids = [[[*tokenizer.encode(text), tokenizer.eos_id] for _, text in part] for part in (corpus.train, heldout)]
    counted = Ngrams(ids[0], tokenizer.vocab_size).score(ids[1], byte_count(heldout))
    data = tmp_path / "heldout.jsonl"
    data.write_text("".join(json.dumps({"text": text}) + "\n" for _, text in heldout))
    found = last(tritmark("perplexity", "--data", data, "--json"))
    assert found["tokens"] == counted.tokens and found["nll"] < 0.9 * np.log(counted.per_token)
