"""What a run learns from, and its epochs and rates as steps: for fine-tuning and full training."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from tritmark.engine.data.dataset import Dataset, Shape, dataset
from tritmark.engine.data.documents import Document
from tritmark.engine.data.encoding import Encoded, encode
from tritmark.engine.data.order import epochs as ordered
from tritmark.engine.schedule import Schedule
from tritmark.engine.tokenizers import Tokenizer
from tritmark.engine.training import Course, MicroBatches


def read(
    documents: Sequence[Document], apart: Sequence[Document] | None, tokenizer: Tokenizer, shape: Shape, name: str
) -> Dataset:
    """``documents`` as micro-batches; ``apart``: those to hold out, in place of a part of them."""

    def encoded(part: Iterable[Document]) -> list[Encoded]:
        return list(encode(part, tokenizer, answers_only=shape.answers_only))

    return dataset(encoded(documents), shape, name, None if apart is None else encoded(apart))


def planned(
    batches: MicroBatches,
    seed: int,
    *,
    epochs: int,
    accumulation: int,
    warmup: float,
    evaluate_steps: int | None,
    **rates: Any,
) -> Course:
    """Every epoch shuffled anew and cut into groups of ``accumulation`` micro-batches; ``rates`` as Schedule has them.

    ``warmup``: steps, or below 1 a part of all. Held-out data are evaluated before the first step, every
    ``evaluate_steps`` (None: an epoch) and at the end.
    """
    steps = _grouped(batches.learnt, epochs, accumulation, seed)
    total = len(steps)
    warm = round(warmup * total) if warmup < 1 else int(warmup)
    schedule = Schedule(total=total, warmup=min(warm, total), **rates)
    every = evaluate_steps or total // epochs
    evaluated = {*range(0, total, every), total} if batches.held_out else set()
    return Course(steps, schedule, frozenset(evaluated))


def settings_of_data(made: Dataset, seed: int) -> dict[str, Any]:
    """What a run learns from, by its digest, and the seed of its order."""
    arrays = (made.batches.tokens, made.batches.labels, made.batches.spans)
    digest = hashlib.sha256(b"".join(np.ascontiguousarray(array, "<u4").tobytes() for array in arrays)).hexdigest()
    return {"data": digest, "held_out": made.batches.held_out, "seed": seed}


def _grouped(count: int, number: int, size: int, seed: int) -> list[list[int]]:
    """``number`` epochs over ``count`` micro-batches, each in groups of ``size``; the last group may be smaller."""
    order = ordered(count, seed, number)
    return [
        order[at : min(at + size, first + count)]
        for first in range(0, len(order), count)
        for at in range(first, first + count, size)
    ]
