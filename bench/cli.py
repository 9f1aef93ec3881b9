"""The command `tritmark`. It parses, calls one function and prints; nothing that computes is imported at start."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from .commands import adapt, audit, convert, finetune, machine, model, pretrain, serve
from .commands.output import TIMEOUT_S, Activation, AsJson, Timeout, emit, listed

if TYPE_CHECKING:
    from tritmark.results.record import Record

HELP = "Which ternary weight format, TQ1_0 or TQ2_0, to ship and keep resident on this device, measured."
app = typer.Typer(help=HELP, add_completion=False, rich_markup_mode=None, no_args_is_help=True,
                  pretty_exceptions_enable=False)  # fmt: skip

Axis = list[str] | None
INTERRUPTED = 130  # what typer exits with on Ctrl-C, in silence


@app.command()
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
    rest_timeout_s: Annotated[
        float, typer.Option("--rest-timeout", help="Seconds that a phone may take to cool down before a case.", min=0)
    ] = 300.0,
    as_json: AsJson = False,
) -> None:
    """Measure a matrix: every axis takes a list, lists multiply.

    Without a model the axes of the default suite hold."""
    from tritmark.results.record import RecordError

    from . import campaign, case
    from .progress import progress
    from .workload import listed_workloads

    if resume and out is None:
        raise case.CaseError("--resume needs --out: the folder to finish")
    folder = out or Path("runs", datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%SZ"))
    axes: dict[str, Any] = {"model": listed(model), "format": listed(format), "workload": listed_workloads(workload),
                            "device": listed(device), "runner": listed(runner), "repetitions": repetitions}  # fmt: skip
    options = {name: value for name, value in (("activation", activation), ("chunk", chunk)) if value is not None}
    matrices = case.read_suite(suite or "default") if suite or not axes["model"] else [{}]
    cases = case.expand_all(case.overridden(matrix, axes, options) for matrix in matrices)
    campaign.check(cases)
    cases_left = campaign.remaining(cases, folder, resume=resume)
    with progress(cases_left) as shown:

        def each(record: Record) -> None:
            shown.done(record)
            if as_json:
                emit(record.to_json())

        try:
            campaign.run(
                cases_left, folder, timeout_s=timeout_s, rest_timeout_s=rest_timeout_s, tell=shown.tell, each=each
            )
        except KeyboardInterrupt:
            raise RecordError(f"interrupted; finish with the same command, --resume and --out {folder}") from None
    _finish(folder, cases, as_json)


@app.command()
def show(
    folder: Annotated[Path, typer.Argument(help="A results folder, as `tritmark run --out` wrote it.")],
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown instead of a terminal table.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show the table of a results folder, and what its columns mean."""
    from tritmark.reports import tables
    from tritmark.results.store import read

    records = read(folder)
    if as_json:
        for record in records:
            emit(tables.derived(record))
        emit({"folder": str(folder), **_tally(records)})
    elif markdown:
        print(tables.markdown(records), end="")
    else:
        _print_tables(records)


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


COMMANDS = (
    model.plan, model.logits, model.generate, serve.serve, machine.devices, machine.probe, machine.doctor,
    convert.convert, finetune.finetune, pretrain.pretrain, adapt.merge, adapt.perplexity, audit.audit,
)  # fmt: skip
for command in COMMANDS:
    app.command()(command)


def main() -> None:
    """Entry point: every known error is one line on standard error and exit status 1, or 2 for wrong usage."""
    try:
        app()
    except SystemExit as end:
        if end.code == INTERRUPTED:
            print("tritmark: interrupted", file=sys.stderr)
            sys.exit(1)
        raise
    except Exception as error:
        _report(error)


def _report(error: Exception) -> NoReturn:
    from tritmark.devices.base import DeviceError
    from tritmark.engine.errors import EngineError
    from tritmark.results.record import RecordError

    from .case import CaseError
    from .runners.base import RunnerError

    known = EngineError | DeviceError | RecordError | CaseError | RunnerError | OSError | MemoryError
    if not isinstance(error, known):
        raise error
    text = str(error) or "not enough memory"
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    print("tritmark: " + " ".join(text.split()), file=sys.stderr)
    sys.exit(2 if isinstance(error, CaseError) else 1)


if __name__ == "__main__":
    main()
