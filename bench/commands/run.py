"""`tritmark run` and `tritmark show`: a matrix measured into a results folder, and its table."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .output import TIMEOUT_S, Activation, AsJson, Timeout, emit, listed, warn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tritmark.bench.campaign import Sessions
    from tritmark.results.record import Record

Axis = list[str] | None
Often = Annotated[int, typer.Option("--sessions", help="Run every case this often, in fresh processes.", min=1)]
Until = Annotated[
    float | None, typer.Option(help="End a case's sessions once its 95 % interval is within this many percent.")
]
Pause = Annotated[
    float | None, typer.Option("--pause", help="Seconds a computer rests before a case; 5 with --sessions.", min=0)
]


def run(
    model: Annotated[Axis, typer.Option(help="Models: file.gguf or synthetic:125M, with commas or repeated.")] = None,
    format: Annotated[Axis, typer.Option(help="Formats: tq1_0, tq2_0, tq1_0>tq2_0.")] = None,
    workload: Annotated[Axis, typer.Option(help="Workloads: prefill:512, decode:128, decode:128@512.")] = None,
    device: Annotated[
        Axis, typer.Option(help="Devices: host, host:PART_OF_ADAPTER_NAME, chromium, android, ios, browser.")
    ] = None,
    runner: Annotated[
        Axis, typer.Option(help="Engines: tritmark, llama.cpp=PATH/llama-bench, llama.cpp:cpu=PATH, qvac=PATH.")
    ] = None,
    repetitions: Annotated[int | None, typer.Option(help="Repetitions of each case, at least 3.")] = None,
    activation: Activation = None,
    chunk: Annotated[int | None, typer.Option(help="Prompt tokens that one prefill step processes.")] = None,
    suite: Annotated[
        str | None, typer.Option(help="A suite: default, or a TOML file; axes given replace its own.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Results folder; by default one in runs/ named by the time.")] = None,
    resume: Annotated[bool, typer.Option(help="Finish the results folder: run the cases it does not hold.")] = False,
    timeout_s: Timeout = TIMEOUT_S,
    sessions: Often = 1,
    until: Until = None,
    pause_s: Pause = None,
    rest_timeout_s: Annotated[
        float, typer.Option("--rest-timeout", help="Seconds that a phone may take to cool down before a case.", min=0)
    ] = 300.0,
    as_json: AsJson = False,
) -> None:
    """Measure a matrix: every axis takes a list, lists multiply.

    Without a model the axes of the default suite hold."""
    from tritmark.bench import campaign, case
    from tritmark.bench.progress import progress
    from tritmark.bench.workload import listed_workloads
    from tritmark.results.record import RecordError

    if resume and out is None:
        raise case.CaseError("--resume needs --out: the folder to finish")
    folder = out or Path("runs", datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%SZ"))
    axes: dict[str, Any] = {"model": listed(model), "format": listed(format), "workload": listed_workloads(workload),
                            "device": listed(device), "runner": listed(runner), "repetitions": repetitions}  # fmt: skip
    options = {name: value for name, value in (("activation", activation), ("chunk", chunk)) if value is not None}
    matrices = case.read_suite(suite or "default") if suite or not axes["model"] else [{}]
    cases = case.expand_all(case.overridden(matrix, axes, options) for matrix in matrices)
    campaign.check(cases)
    often = _sessions(sessions, until, pause_s)
    cases_left = campaign.remaining(cases, folder, resume=resume, sessions=often)
    with progress(cases_left) as shown:

        def each(record: Record) -> None:
            shown.done(record)
            if as_json:
                emit(record.to_json())

        try:
            campaign.run(cases_left, folder, timeout_s=timeout_s, rest_timeout_s=rest_timeout_s, tell=shown.tell,
                         each=each, sessions=often)  # fmt: skip
        except KeyboardInterrupt:
            raise RecordError(f"interrupted; finish with the same command, --resume and --out {folder}") from None
    _finish(folder, cases, as_json)


def show(
    folder: Annotated[Path, typer.Argument(help="A results folder, as `tritmark run --out` wrote it.")],
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown instead of a terminal table.")] = False,
    scaling: Annotated[
        bool, typer.Option("--scaling", help="Print how times grow with size, depth, length and rank: the laws.")
    ] = False,
    kernels: Annotated[
        bool, typer.Option("--kernels", help="Print what each kernel took, its bytes and operations a second.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show the table of a results folder, and what its columns mean."""
    from tritmark.reports import tables
    from tritmark.reports.scaling import scaling as series_of
    from tritmark.reports.scaling import text
    from tritmark.results.store import contents

    found = contents(folder)
    records = found.records
    warn(found.notes)
    if as_json and scaling:
        for series in series_of(records):
            emit({"axis": series.axis.name, "where": series.where, "points": series.points, "law": vars(series.law)})
    elif as_json:
        for record in records:
            emit(tables.derived(record))
        emit({"folder": str(folder), **_tally(records)})
    elif kernels:
        _print_kernels(records)
    elif scaling:
        needs = "no series: three records or more that differ in size, depth, length or rank alone make one"
        print("\n".join(map(text, series_of(records))) or needs)
    elif markdown:
        print(tables.markdown(records), end="")
    else:
        _print_tables(records)


def _print_kernels(records: Sequence[Record]) -> None:
    from rich.console import Console

    from tritmark.reports.kernels import profiles, table

    found, more = profiles(records)
    console = Console()
    for profile in found:
        console.print(table(profile))
    print(f"{more} more cases have a profile" if more else "" if found else "no record holds a profile of its kernels")


def _sessions(most: int, until: float | None, pause_s: float | None) -> Sessions:
    from tritmark.bench.campaign import Sessions
    from tritmark.bench.case import CaseError

    pause = (5.0 if most > 1 else 0.0) if pause_s is None else pause_s
    if until is None:
        return Sessions(most=most, pause_s=pause)
    from tritmark.reports.sessions import LEAST_SESSIONS, records_settled

    if until <= 0 or most < LEAST_SESSIONS:
        raise CaseError(f"--until needs a percentage above 0, and --sessions {LEAST_SESSIONS} or more to end early")
    return Sessions(most=most, pause_s=pause, settled=lambda records: records_settled(records, until / 100))


def _finish(folder: Path, cases: list[Any], as_json: bool) -> None:
    """The result of a run; exit status 1 where a case failed."""
    from tritmark.results.store import read

    keys = {case.key for case in cases}
    records = [record for record in read(folder) if record.case_key in keys]
    tally = _tally(records)
    if as_json:
        emit({"folder": str(folder), **tally})
    else:
        _print_tables(records)
        print(f"\nrecords: {folder}   (show them again: tritmark show {folder})")
    if tally["failed"]:
        print(f"tritmark: {tally['failed']} of {tally['records']} cases failed", file=sys.stderr)
        raise typer.Exit(1)


def _tally(records: list[Record]) -> dict[str, int]:
    failed = sum(record.status == "failed" for record in records)
    return {"records": len(records), "ok": len(records) - failed, "failed": failed}


def _print_tables(records: list[Record]) -> None:
    from rich.console import Console

    from tritmark.reports import tables

    console = Console()
    if console.is_terminal:
        console.print(tables.rendered(records, console.width))
    else:
        print(tables.text(records, console.width), end="")
