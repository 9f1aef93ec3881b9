"""Dataset: micro-batches to learn from and to hold out, and what was counted on the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError
from ..tokenizers import Tokenizer
from ..training import UNLABELLED, MicroBatches
from .documents import read_documents
from .encoding import Encoded, encode
from .order import permutation
from .windows import Piece, arrays, packed, pieces


@dataclass(frozen=True)
class Shape:
    """How documents become micro-batches: at most ``context`` tokens of one document, ``size`` tokens a micro-batch.

    ``packs``: several documents share a micro-batch; otherwise each has its own, padded. ``splits``: documents beyond
    the context are cut, otherwise refused. ``answers_only``: what is learnt of chats and of prompts with completions.
    """

    context: int
    size: int
    packs: bool = True
    splits: bool = True
    answers_only: bool = True
    held_out: float = 0.0
    seed: int = 42

    def __post_init__(self) -> None:
        if not 2 <= self.context <= self.size:
            raise DataError(f"context {self.context} and micro-batches of {self.size} tokens: 2 <= context <= these")
        if not 0 <= self.held_out < 1:
            raise DataError(f"the held-out part {self.held_out:g} is no fraction from 0 up to 1")


@dataclass(frozen=True)
class Counts:
    """Of one part of a dataset. ``tokens`` are without padding, ``slots`` with it."""

    documents: int
    tokens: int
    supervised_tokens: int
    slots: int
    split: int  # documents that were cut
    skipped: int  # documents with nothing to learn in them


@dataclass(frozen=True)
class Dataset:
    """``batches`` ends with the held-out ones."""

    batches: MicroBatches
    learnt: Counts
    held_out: Counts

    def about(self) -> dict[str, Any]:
        return {"learnt": asdict(self.learnt), "held_out": asdict(self.held_out)}


def read_dataset(path: Path, tokenizer: Tokenizer, shape: Shape) -> Dataset:
    """The dataset of a file or folder."""
    return dataset(list(encode(read_documents(path), tokenizer, answers_only=shape.answers_only)), shape, str(path))


def dataset(
    documents: Sequence[Encoded], shape: Shape, name: str, apart: Sequence[Encoded] | None = None
) -> Dataset:
    """Shuffled, divided and laid into micro-batches. DataError where nothing remains to learn. ``apart``: documents to
    hold out, in place of a part of these.
    """
    useful = [document for document in documents if document.learnt[1:].any()]
    if not useful:
        raise DataError(f"{name} holds nothing to learn: no document has a token to predict; try --loss all")
    order = [useful[at] for at in permutation(len(useful), shape.seed, "documents")]
    count = min(len(order) - 1, max(1, round(shape.held_out * len(order)))) if shape.held_out else 0
    parts = (order[count:], order[:count]) if apart is None else (order, list(apart))
    rows = [_rows(part, shape) for part in parts]
    counts = [_counts(part, content, shape) for part, content in zip(parts, rows, strict=True)]
    skipped = len(documents) - len(useful)
    counts[0] = Counts(**{**asdict(counts[0]), "skipped": skipped})
    tokens, labels, spans = arrays([*rows[0], *rows[1]], shape.size)
    return Dataset(MicroBatches(tokens, labels, spans, len(rows[1])), *counts)


def _rows(documents: Sequence[Encoded], shape: Shape) -> list[list[Piece]]:
    found = [piece for document in documents for piece in pieces(document, shape.context, splits=shape.splits)]
    useful = [piece for piece in found if (piece.labels != UNLABELLED).any()]
    return packed(useful, shape.size) if shape.packs else [[piece] for piece in useful]


def _counts(documents: Sequence[Encoded], rows: Sequence[Sequence[Piece]], shape: Shape) -> Counts:
    found = [piece for row in rows for piece in row]
    return Counts(
        documents=len(documents),
        tokens=sum(len(piece.ids) for piece in found),
        supervised_tokens=sum(int(np.count_nonzero(piece.labels != UNLABELLED)) for piece in found),
        slots=len(rows) * shape.size,
        split=sum(len(document.ids) > shape.context for document in documents),
        skipped=0,
    )
