"""Progress of a matrix on standard error: a bar with the time left on a terminal, a line a case elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from tritmark.results.record import Record

from .case import OURS, Case
from .cooldown import RESTING

STAGES = 6  # that a case has beside its repetitions: compile, two loads, at least three warm-ups


class Progress(Protocol):
    """Hears of every stage and every record."""

    def tell(self, case: Case, stage: str) -> None: ...

    def done(self, record: Record) -> None: ...


class Lines:
    """A line for each record."""

    def tell(self, case: Case, stage: str) -> None:
        """Stages are for eyes that watch."""

    def done(self, record: Record) -> None:
        reason = f": {record.reason}" if record.reason else ""
        by = f" by {record.runner}" if record.runner else ""
        case = f"{record.model} {record.format} {record.workload}{by}"
        print(f"{record.status:6}  {case}{reason}", file=sys.stderr, flush=True)


class Bar:
    """A bar whose unit is a stage; a case that needs fewer or more of them than foreseen counts the same."""

    def __init__(self, cases: Sequence[Case]) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress
        from rich.table import Column

        self.units = {(case.key, case.session): STAGES + case.repetitions for case in cases}
        self.spent = dict.fromkeys(self.units, 0)
        self.finished = 0
        stage = TextColumn("{task.description}", table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis"))
        counts = TextColumn("{task.fields[cases]} cases,")
        times = (TimeElapsedColumn(), TextColumn("gone,"), TimeRemainingColumn(), TextColumn("left"))
        columns = (BarColumn(16), counts, *times, stage)
        self.rich = RichProgress(*columns, console=Console(stderr=True), transient=True, expand=True)
        self.task = self.rich.add_task("", total=sum(self.units.values()), cases=self._cases())

    def tell(self, case: Case, stage: str) -> None:
        if not stage.startswith(RESTING):
            at = case.key, case.session
            self.spent[at] = min(self.spent[at] + 1, self.units[at] - 1)
        by = "" if case.runner == OURS else f" by {case.runner.partition('=')[0]}"
        self._show(f"{case.format} {case.workload}{by}: {stage}")

    def done(self, record: Record) -> None:
        at = record.case_key, record.session
        self.spent[at] = self.units[at]
        self.finished += 1
        self._show("")

    def _cases(self) -> str:
        return f"{self.finished}/{len(self.units)}"

    def _show(self, text: str) -> None:
        self.rich.update(self.task, completed=sum(self.spent.values()), description=text, cases=self._cases())


@contextmanager
def progress(cases: Sequence[Case]) -> Iterator[Progress]:
    """A bar where standard error is a terminal, else lines."""
    if not sys.stderr.isatty():
        yield Lines()
        return
    bar = Bar(cases)
    with bar.rich:
        yield bar
