"""Learns the shipped tokenizer from this Python's text and writes tokenizer.json.

usage: python -m tritmark.engine.corpus.make_tokenizer
"""

from __future__ import annotations

import json

from ..tokenizers.train import train_byte_pairs
from .python_text import Corpus, read_corpus
from .shipped import TOKENIZER, write


def tokenizer_text(corpus: Corpus) -> str:
    """The content of tokenizer.json for ``corpus``: the tokens are its training part's."""
    metadata = train_byte_pairs(document.text for document in corpus.train)
    made = {"corpus": corpus.summary(), "metadata": metadata}
    return json.dumps(made, ensure_ascii=True, separators=(",", ":")) + "\n"


def main() -> None:
    corpus = read_corpus()
    write(TOKENIZER, tokenizer_text(corpus), corpus=corpus.summary())


if __name__ == "__main__":
    main()
