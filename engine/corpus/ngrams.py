"""Baselines for a language model: how well a unigram and a 3-gram model of token ids predict held-out documents.

The 3-gram model is Kneser and Ney's, modified by Chen and Goodman (1999) and interpolated: three discounts an order;
orders below the highest count the different tokens that a token follows, not how often it does. At the bottom lies the
uniform distribution over the vocabulary, so every token has a probability and those of a context sum to 1.

A document's first token is given, like the BOS that a model is given; each later one is predicted from those before
it in the same document.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..errors import DataError

Documents = Sequence[Sequence[int]]
I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]
VOCABULARY_MAX = 1 << 20  # three ids fit into 63 bits


@dataclass(frozen=True)
class Score:
    """``nats``: the surprise of all predicted ``tokens`` together; ``bytes``: the length of their text."""

    nats: float
    tokens: int
    bytes: int

    @property
    def per_token(self) -> float:
        """Perplexity per token."""
        return math.exp(self.nats / self.tokens)

    @property
    def per_byte(self) -> float:
        """Perplexity per byte of text, which compares models with different tokenizers."""
        return math.exp(self.nats / self.bytes)


@dataclass(frozen=True)
class _Order:
    """Discounted counts of one order. Keys are sorted: of n-grams (context * base + token), and of contexts."""

    base: int
    keys: I64
    kept: F64  # what an n-gram's own count gives it, as a share of its context
    contexts: I64
    passed: F64  # what a context leaves to the order below

    def probability(self, contexts: I64, tokens: I64, below: F64) -> F64:
        own = _looked_up(self.keys, self.kept, contexts * self.base + tokens, 0.0)
        return own + _looked_up(self.contexts, self.passed, contexts, 1.0) * below


class Ngrams:
    """``order`` 1 to 3, learnt from token ids below ``vocabulary``."""

    def __init__(self, documents: Documents, vocabulary: int, order: int = 3) -> None:
        if not 1 <= order <= 3 or not 1 <= vocabulary <= VOCABULARY_MAX:
            raise DataError(f"n-grams of order {order} over {vocabulary} tokens are not supported; order is 1 to 3")
        self._vocabulary, self._base = vocabulary, vocabulary + 1  # one more id stands before the first token
        grams = _grams(documents, vocabulary, order)
        if not len(grams):
            raise DataError("no document has two tokens; there is nothing to count")
        self._orders: list[_Order] = []  # the highest first
        distinct, counts = np.unique(_joined(grams, self._base), return_counts=True)
        for width in range(order, 0, -1):
            self._orders.append(_discounted(distinct, counts, self._base))
            distinct, counts = np.unique(distinct % self._base ** max(width - 1, 1), return_counts=True)

    def probabilities(self, grams: I64) -> F64:
        """Of the last id in each row (n, order), given those before it; the id ``vocabulary`` is "before the first"."""
        found = np.full(len(grams), 1 / self._vocabulary)
        for width, order in enumerate(reversed(self._orders), 1):
            contexts = _joined(grams[:, grams.shape[1] - width : -1], self._base)
            found = order.probability(contexts, grams[:, -1], found)
        return found

    def score(self, documents: Documents, text_bytes: int) -> Score:
        """How ``documents``, whose text has ``text_bytes``, are predicted."""
        grams = _grams(documents, self._vocabulary, len(self._orders))
        return Score(float(-np.log(self.probabilities(grams)).sum()), len(grams), text_bytes)


def _grams(documents: Documents, vocabulary: int, order: int) -> I64:
    """A row for each predicted token: the ``order - 1`` ids before it, and it."""
    rows = [np.empty((0, order), np.int64)]
    for document in documents:
        ids = np.asarray(document, np.int64)
        if len(ids) > 1:
            if ids.min() < 0 or ids.max() >= vocabulary:
                raise DataError(f"token {ids.max() if ids.min() >= 0 else ids.min()} is not below {vocabulary:,}")
            padded = np.concatenate([np.full(max(order - 2, 0), vocabulary), ids[max(2 - order, 0) :]])
            rows.append(np.lib.stride_tricks.sliding_window_view(padded, order))
    return np.concatenate(rows)


def _joined(grams: I64, base: int) -> I64:
    """Each row as one number; 0 for rows without columns."""
    keys = np.zeros(len(grams), np.int64)
    for column in grams.T:
        keys = keys * base + column
    return keys


def _discounted(keys: I64, counts: I64, base: int) -> _Order:
    discounts = _discounts(counts)[np.minimum(counts, 3)]
    contexts, first = np.unique(keys // base, return_index=True)
    totals = np.add.reduceat(counts, first).astype(np.float64)
    passed = np.add.reduceat(discounts, first) / totals
    shares = (counts - discounts) / np.repeat(totals, np.diff([*first, len(keys)]))
    return _Order(base, keys, shares, contexts, passed)


def _discounts(counts: I64) -> F64:
    """What is taken from counts of 1, 2, and 3 or more (at 1 to 3), estimated from how many n-grams came 1 to 4 times.

    0.5 of 1, 1 of 2 and 1.5 of more where a text is too short for the estimate.
    """
    n1, n2, n3, n4 = (int((counts == count).sum()) for count in range(1, 5))
    if not (n1 and n2 and n3):
        return np.array([0.0, 0.5, 1.0, 1.5])
    y = n1 / (n1 + 2 * n2)
    estimate = [1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3]
    return np.array([0.0, *(min(max(value, 0.1), taken - 0.1) for taken, value in enumerate(estimate, 1))])


def _looked_up(keys: I64, values: F64, wanted: I64, absent: float) -> F64:
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[at] == wanted, values[at], absent)
