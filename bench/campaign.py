"""Campaign: a matrix run into a results folder, from its first check to its last record.

What no case could mean is refused before the folder exists; what goes wrong with one case becomes its failed record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from tritmark.devices.registry import open_device
from tritmark.engine.errors import FormatError
from tritmark.engine.formats.model import open_model
from tritmark.engine.inference import parse_format
from tritmark.results.record import Record, RecordError
from tritmark.results.store import Store, held, read

from . import order
from .case import OURS, Case
from .cooldown import Rest
from .measure import Tell
from .run import Bench, run_rounds
from .runners.base import open_runner
from .workload import parse_workload

Settled = Callable[[Sequence[Record]], bool]


@dataclass(frozen=True, kw_only=True)
class Sessions:
    """How often each case runs in fresh processes: ``most`` times, or until ``settled`` says that these do."""

    most: int = 1
    pause_s: float = 0.0  # that a computer rests before each case
    settled: Settled = lambda records: False


def remaining(cases: Sequence[Case], folder: Path, *, resume: bool, sessions: Sessions = Sessions()) -> list[Case]:
    """The sessions of cases that ``folder`` does not hold yet; RecordError where it holds some and ``resume`` was not
    asked for.
    """
    done = held(folder)
    if done and not resume:
        raise RecordError(
            f"{folder} already holds {len(done)} records; finish it with --resume or choose another --out"
        )
    wanted = [replace(case, session=session) for session in range(1, sessions.most + 1) for case in cases]
    return [case for case in wanted if (case.key, case.session) not in done]


def check(cases: Sequence[Case]) -> None:
    """Raise for an unknown format, workload, device or runner, and where not one of the models can be read."""
    for case in cases:
        parse_format(case.format)
        parse_workload(case.workload)
        open_device(case.device)
    for runner in dict.fromkeys(case.runner for case in cases if case.runner != OURS):
        open_runner(runner, timeout_s=0).close()
    problems = []
    models = dict.fromkeys(case.model for case in cases)
    for model in models:
        try:
            open_model(model)
        except (FormatError, OSError) as error:
            problems.append(error)
    if problems and len(problems) == len(models):
        raise problems[0]


def run(
    cases: Sequence[Case],
    folder: Path,
    *,
    timeout_s: float,
    rest_timeout_s: float,
    tell: Tell,
    each: Callable[[Record], None],
    sessions: Sessions = Sessions(),
) -> None:
    """Run ``cases``, which `remaining` gave, and append their records to ``folder``; ``each`` sees a record once it is
    on disk.
    """
    bench = Bench(
        tell=tell,
        device_of=lambda spec: open_device(spec, timeout_s=timeout_s),
        runner_of=lambda spec: open_runner(spec, timeout_s),
        rest=Rest(timeout_s=rest_timeout_s, pause_s=sessions.pause_s),
    )
    with Store(folder) as store, closing(run_rounds(_rounds(cases, folder, sessions.settled), bench)) as records:
        for record in records:
            store.append(record)
            each(record)


def _rounds(cases: Sequence[Case], folder: Path, settled: Settled) -> Iterator[list[Case]]:
    """The cases session by session, without those that have settled: a drift over hours falls on all alike."""
    for session in sorted({case.session for case in cases}):
        found = order.grouped(read(folder), lambda record: record.case_key) if session > 1 else []
        done = {records[0].case_key for records in found if settled(records)}
        yield [case for case in cases if case.session == session and case.key not in done]
