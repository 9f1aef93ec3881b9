"""The fine-tuning benchmark: LoRA on all projections over the instruction set that ships with the project.

Speed does not depend on what the tokens are, so every model gets the ids of the shipped tokenizer, modulo its own
vocabulary: the same batches, counts and supervised positions for all. A step is one micro-batch of ``context`` tokens,
as the published figures have it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from .corpus.shipped import INSTRUCTIONS, shipped_tokenizer
from .data.dataset import Dataset, Shape, read_dataset
from .data.order import epochs
from .errors import PlanError
from .formats.model import Model
from .inference import Compiled, Format
from .models.config import read_config
from .models.lora import Lora
from .plan import Caps
from .schedule import Schedule
from .training import UNLABELLED, Course, compile_lora, step_rows

_WORKLOAD = re.compile(r"lora:r(\d+),c(\d+)(?:,s(\d+))?")
STEPS = 16  # of a repetition, unless the workload says otherwise
RATE = 1e-4


@dataclass(frozen=True)
class LoraWorkload:
    """``lora:r8,c128``: rank and context. ``,s32``: optimiser steps of a repetition; an epoch is extrapolated from
    them where it has more.
    """

    rank: int
    context: int
    steps: int = STEPS

    @classmethod
    def parse(cls, text: str) -> LoraWorkload:
        match = _WORKLOAD.fullmatch(text)
        if not match or int(match[1]) == 0 or int(match[2]) < 2 or match[3] == "0":
            raise PlanError(f"workload {text!r} is unknown; use lora:r8,c128 or lora:r8,c128,s32")
        return cls(int(match[1]), int(match[2]), int(match[3] or STEPS))

    def __str__(self) -> str:
        return f"lora:r{self.rank},c{self.context}" + ("" if self.steps == STEPS else f",s{self.steps}")


@dataclass(frozen=True)
class CompiledLora:
    """A run of the benchmark: the rows before its timed steps, those of the steps, and what they are about."""

    compiled: Compiled
    opening: range
    timed: range
    about: dict[str, Any]


@lru_cache(maxsize=4)
def instruction_set(context: int) -> Dataset:
    """The shipped documents in micro-batches of ``context`` tokens, by the shipped tokenizer."""
    return read_dataset(INSTRUCTIONS, shipped_tokenizer(), Shape(context, context))


def compile_lora_workload(
    model: Model,
    fmt: Format,
    workload: LoraWorkload,
    caps: Caps,
    *,
    activation: str | None = None,
    recompute: int | None = None,
) -> CompiledLora:
    """The first steps of an epoch, as many as the workload asks for or the epoch has."""
    dataset, vocabulary = instruction_set(workload.context), read_config(model, activation).vocabulary
    labels = np.where(dataset.batches.labels == UNLABELLED, UNLABELLED, dataset.batches.labels % vocabulary)
    batches = replace(dataset.batches, tokens=dataset.batches.tokens % vocabulary, labels=labels.astype(np.uint32))
    order = epochs(batches.learnt, 42, 1)
    steps = [[index] for index in order[: workload.steps]]
    lora = Lora(rank=workload.rank, alpha=2.0 * workload.rank)
    course = Course(steps, Schedule(rate=RATE, total=len(steps)))
    compiled = compile_lora(model, fmt, lora, batches, course, caps, activation=activation, recomputed=recompute)
    opening, played = step_rows(compiled.rows)
    timed = [index for (index,) in steps]
    about = {
        "steps": len(steps),
        "tokens": batches.tokens_of(timed),
        "slots": len(steps) * batches.size,
        "supervised_tokens": batches.supervised(timed),
        "epoch_steps": batches.learnt,
        "epoch_tokens": dataset.learnt.tokens,
        "epoch_slots": dataset.learnt.slots,
        "epoch_supervised_tokens": dataset.learnt.supervised_tokens,
        "documents": dataset.learnt.documents,
    }
    return CompiledLora(compiled, opening, range(played[0].start, played[-1].stop), about)
