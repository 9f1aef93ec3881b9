"""Documents cut to the context and laid into micro-batches: tokens, labels and spans."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..errors import DataError
from ..training import UNLABELLED
from .encoding import Encoded

U32 = npt.NDArray[np.uint32]


@dataclass(frozen=True)
class Piece:
    """Part of a document that fits the context: ids (n) and labels (n)."""

    ids: U32
    labels: U32


def labelled(document: Encoded) -> Piece:
    """Labels are the next ids where these are learnt; the last token has none."""
    labels = np.full(len(document.ids), UNLABELLED, np.uint32)
    labels[:-1] = np.where(document.learnt[1:], document.ids[1:], UNLABELLED)
    return Piece(document.ids, labels)


def pieces(document: Encoded, context: int, *, splits: bool) -> Iterator[Piece]:
    """Pieces of at most ``context`` tokens, each beginning with the last token of the one before: no label is lost."""
    whole = labelled(document)
    if len(whole.ids) > context and not splits:
        raise DataError(
            f"{document.where} has {len(whole.ids)} tokens, more than the context of {context}; "
            "raise --context or use --long split"
        )
    for first in range(0, max(1, len(whole.ids) - 1), context - 1):
        ids, labels = whole.ids[first : first + context], whole.labels[first : first + context].copy()
        labels[-1] = UNLABELLED
        yield Piece(ids, labels)


def packed(found: Iterable[Piece], size: int) -> list[list[Piece]]:
    """Rows of at most ``size`` tokens: the longest pieces first, each into the fullest row that has room for it."""
    rows: list[list[Piece]] = []
    with_room: list[list[int]] = [[] for _ in range(size + 1)]  # rows by the tokens that still fit
    for piece in sorted(found, key=lambda piece: -len(piece.ids)):
        length = len(piece.ids)
        room = next((room for room in range(length, size) if with_room[room]), size)
        if room == size:
            rows.append([])
            with_room[size].append(len(rows) - 1)
        row = with_room[room].pop()
        rows[row].append(piece)
        with_room[room - length].append(row)
    return rows


def arrays(rows: list[list[Piece]], size: int) -> tuple[U32, U32, U32]:
    """Tokens (n, size), labels (n, size) and spans (n, size, 2); each token of padding is a document of its own."""
    tokens = np.zeros((len(rows), size), np.uint32)
    labels = np.full((len(rows), size), UNLABELLED, np.uint32)
    spans = np.empty((len(rows), size, 2), np.uint32)
    spans[..., 0] = np.arange(size)
    spans[..., 1] = np.arange(1, size + 1)
    for row, content in enumerate(rows):
        at = 0
        for piece in content:
            end = at + len(piece.ids)
            tokens[row, at:end], labels[row, at:end], spans[row, at:end] = piece.ids, piece.labels, (at, end)
            at = end
    return tokens, labels, spans
