"""A training run for the eyes that follow it: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tritmark.engine.data.dataset import Dataset

LINE_INTERVAL_S = 10.0


def sentence(dataset: Dataset) -> str:
    """What a dataset is, counted without padding."""
    learnt, held_out = dataset.learnt, dataset.held_out
    text = f"{learnt.documents:,} documents, {learnt.tokens:,} tokens ({learnt.supervised_tokens:,} supervised)"
    notes = [f"{learnt.split:,} cut to the context"] * bool(learnt.split)
    notes += [f"{learnt.skipped:,} skipped with nothing to learn"] * bool(learnt.skipped)
    notes += [f"{held_out.documents:,} held out"] * bool(held_out.documents)
    return "; ".join([text, *notes])


class Lines:
    """A line every ten seconds, and one for each evaluation."""

    def __init__(self) -> None:
        self.steps, self.shown_s = 0, 0.0

    def begun(self, dataset: Dataset, done: int, steps: int) -> None:
        self.steps = steps
        resumed = f", {done} of them done before" if done else ""
        self.say(f"{sentence(dataset)}; {steps:,} steps{resumed}")

    def step(self, line: Mapping[str, Any]) -> None:
        due = time.monotonic() - self.shown_s > LINE_INTERVAL_S
        if due or "held_out_loss" in line or line["step"] == self.steps:
            self.shown_s = time.monotonic()
            held_out = f", held out {line['held_out_loss']:.4f}" if "held_out_loss" in line else ""
            self.say(f"step {line['step']}/{self.steps}: loss {line['loss']:.4f}{held_out}, {line['tps']:,.1f} tok/s")

    def warn(self, text: str) -> None:
        self.say(f"warning: {text}")

    def say(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)


class Bar(Lines):
    """A bar with loss, speed and time left."""

    def __init__(self) -> None:
        super().__init__()
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (BarColumn(24), MofNCompleteColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
        self.rich = Progress(*columns, TextColumn("left"), console=Console(stderr=True), transient=True)
        self.task = self.rich.add_task("reading the data, compiling", total=None)
        self.held_out = ""

    def begun(self, dataset: Dataset, done: int, steps: int) -> None:
        super().begun(dataset, done, steps)
        self.rich.update(self.task, total=steps, completed=done, description="")

    def step(self, line: Mapping[str, Any]) -> None:
        if "held_out_loss" in line:
            self.held_out = f"held out {line['held_out_loss']:.4f}  "
        text = f"loss {line['loss']:.4f}  {self.held_out}{line['tps']:,.0f} tok/s "
        self.rich.update(self.task, completed=line["step"], description=text)

    def say(self, text: str) -> None:
        self.rich.console.print(text, highlight=False)


@contextmanager
def watching() -> Iterator[Lines]:
    """A watch that fits standard error."""
    if not sys.stderr.isatty():
        yield Lines()
        return
    bar = Bar()
    with bar.rich:
        yield bar
