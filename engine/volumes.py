"""Data of any length: a run in volumes, each a Plan with those micro-batches alone that its steps use.

A volume begins with the state that the one before it left. That is all that goes on from one optimiser step to the
next, so the bits are those of a run in one Plan, however the volumes are cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from .steps import StepRow
from .training import MicroBatches, step_rows

LEARNING = ("train", "evaluate")  # programs that read a micro-batch


@dataclass(frozen=True)
class Volume:
    """``rows``: those of the run's rows that it plays; ``indices``: the micro-batches that these use, in order."""

    rows: range
    indices: tuple[int, ...]

    def batches(self, whole: MicroBatches) -> MicroBatches:
        """The micro-batches it holds."""
        chosen = list(self.indices)
        return MicroBatches(whole.tokens[chosen], whole.labels[chosen], whole.spans[chosen])

    def played(self, rows: Sequence[StepRow], size: int) -> tuple[StepRow, ...]:
        """Its rows of the run's ``rows``, with the positions that micro-batches of ``size`` tokens have in it."""
        places = {index: place for place, index in enumerate(self.indices)}
        return tuple(
            replace(row, position=places[row.position // size] * size) if row.program in LEARNING else row
            for row in rows[self.rows.start : self.rows.stop]
        )


def volumes(rows: Sequence[StepRow], size: int, most_tokens: int) -> list[Volume]:
    """The run's ``rows`` cut between optimiser steps, so that each volume holds at most ``most_tokens``, or what a
    single step needs.
    """
    _, steps = step_rows(rows)
    found: list[Volume] = []
    first, held = 0, set[int]()
    for step in [range(steps[0].stop), *steps[1:]]:
        used = {row.position // size for row in rows[step.start : step.stop] if row.program in LEARNING}
        if held and len(held | used) * size > most_tokens:
            found.append(Volume(range(first, step.start), tuple(sorted(held))))
            first, held = step.start, set()
        held |= used
    return [*found, Volume(range(first, len(rows)), tuple(sorted(held)))]
