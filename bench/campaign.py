"""Campaign: a matrix run into a results folder, from its first check to its last record.

What no case could mean is refused before the folder exists; what goes wrong with one case becomes its failed record.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from tritmark.devices.base import Device
from tritmark.devices.registry import open_device
from tritmark.engine.errors import FormatError
from tritmark.engine.formats.model import open_model
from tritmark.engine.inference import parse_format
from tritmark.results.record import Record, RecordError
from tritmark.results.store import Store, case_keys

from .case import OURS, Case
from .cooldown import Rest
from .measure import Tell
from .run import run_matrix
from .runners.base import Runner, open_runner
from .workload import parse_workload


def remaining(cases: Sequence[Case], folder: Path, *, resume: bool) -> list[Case]:
    """The cases that ``folder`` does not hold yet; RecordError where it holds some and ``resume`` was not asked for."""
    done = case_keys(folder)
    if done and not resume:
        raise RecordError(
            f"{folder} already holds {len(done)} records; finish it with --resume or choose another --out"
        )
    return [case for case in cases if case.key not in done]


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
) -> None:
    """Run ``cases`` and append their records to ``folder``; ``each`` sees a record once it is on disk."""

    def device(spec: str) -> Device:
        return open_device(spec, timeout_s=timeout_s)

    def runner(spec: str) -> Runner:
        return open_runner(spec, timeout_s)

    rest = Rest(timeout_s=rest_timeout_s)
    records = run_matrix(cases, tell=tell, device_of=device, runner_of=runner, rest=rest)
    with Store(folder) as store, closing(records):
        for record in records:
            store.append(record)
            each(record)
