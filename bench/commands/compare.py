"""`tritmark compare` and `tritmark gate`: two results folders held against each other, by their sessions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .output import TIMEOUT_S, AsJson, Timeout, emit, listed

if TYPE_CHECKING:
    from tritmark.reports.comparison.gate import Gate
    from tritmark.results.record import Record

Floor = Annotated[float, typer.Option(help="Percent by which a metric must differ to count.", min=0.1, max=100)]
Across = Annotated[list[str] | None, typer.Option(help="Fields that may differ: driver,power,...; see the refusal.")]


def compare(
    a: Annotated[Path, typer.Argument(help="A results folder: what was before.")],
    b: Annotated[Path, typer.Argument(help="A results folder: what is held against it.")],
    floor: Floor = 5.0,
    across: Across = None,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print Markdown instead of tables for 80 columns.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Whether B is faster than A, by sessions.

    Each metric is faster, slower, the same, or undecided: then how many sessions would tell.

    A difference is no failure: the exit status is 0; `tritmark gate` is for CI."""
    from tritmark.reports.comparison import rendering
    from tritmark.reports.comparison.comparison import compare as compared
    from tritmark.results.store import read

    found = compared(read(a), read(b), floor=floor / 100, across=_fields(across))
    if as_json:
        for finding in found.findings:
            emit(finding.to_json())
        emit({"a": str(a), "b": str(b), **found.to_json()})
    else:
        print(f"A: {a}\nB: {b}\n")
        print(rendering.markdown(found) if markdown else rendering.text(found), end="")


def gate(
    base: Annotated[Path, typer.Argument(help="A results folder: what must not be lost.")],
    new: Annotated[Path, typer.Argument(help="A results folder: what is judged.")],
    confirm: Annotated[
        Path | None,
        typer.Option(help="A folder of fresh sessions, recorded after NEW; a regression counts if they agree."),
    ] = None,
    rerun: Annotated[
        bool, typer.Option("--rerun/--no-rerun", help="Without --confirm, measure regressed cases again here.")
    ] = True,
    floor: Floor = 5.0,
    across: Across = None,
    summary: Annotated[
        Path | None, typer.Option(help="Append a Markdown page to this file, as to $GITHUB_STEP_SUMMARY.")
    ] = None,
    pause_s: Annotated[float, typer.Option("--pause", help="Seconds a computer rests before a case.", min=0)] = 5.0,
    timeout_s: Timeout = TIMEOUT_S,
    as_json: AsJson = False,
) -> None:
    """Fail where NEW regressed, once fresh sessions confirm it.

    Exit with 1 for a regression that is confirmed, or that nobody could confirm; else with 0.

    What is undecided is said and passes. What cannot be compared exits with 2."""
    from tritmark.bench.case import CaseError
    from tritmark.reports.comparison.comparison import compare as compared
    from tritmark.reports.comparison.gate import cases_of, regressed
    from tritmark.reports.comparison.gate import gate as gated
    from tritmark.results.record import RecordError
    from tritmark.results.store import read

    fields = _fields(across)
    try:
        old, now = read(base), read(new)
        first = compared(old, now, floor=floor / 100, across=fields)
        found = regressed(first)
        if found and confirm is None and rerun:
            confirm = _rerun(cases_of(found, now), new.parent / f"{new.name}-again", pause_s, timeout_s)
        fresh = read(confirm) if found and confirm is not None else None
        decided = gated(first, old, fresh, floor=floor / 100, across=fields)
    except RecordError as error:
        raise CaseError(str(error)) from error  # 1 would say that something got slower
    _tell(decided, summary, as_json)
    if decided.closed:
        raise typer.Exit(1)


def _tell(decided: Gate, summary: Path | None, as_json: bool) -> None:
    from tritmark.reports.comparison import rendering

    if as_json:
        for finding in decided.comparison.findings:
            emit(finding.to_json())
        emit(decided.to_json())
    else:
        print(rendering.gate_text(decided), end="")
    if summary is not None:
        with summary.open("a", encoding="utf-8") as file:
            file.write(rendering.gate_markdown(decided))


def _fields(across: list[str] | None) -> list[str]:
    from tritmark.bench.case import CaseError
    from tritmark.reports.comparison.context import NAMES

    fields = listed(across)
    if unknown := [field for field in fields if field not in NAMES]:
        raise CaseError(f"--across {unknown[0]!r}; known fields: {', '.join(NAMES)}")
    return fields


def _rerun(groups: Sequence[Sequence[Record]], folder: Path, pause_s: float, timeout_s: float) -> Path:
    """Measure the cases of NEW again on this machine, as often as NEW did; the folder of these sessions."""
    from tritmark.bench import campaign
    from tritmark.bench.case import Case, CaseError
    from tritmark.bench.progress import progress
    from tritmark.bench.provenance import versions
    from tritmark.reports.sessions import LEAST_SESSIONS

    here, there = versions()["revision"], {(r.versions or {}).get("revision") for group in groups for r in group}
    if there != {here}:
        measured_by = ", ".join(sorted(str(revision) for revision in there))
        raise CaseError(
            f"NEW regressed, but it cannot be measured again here: it is of revision {measured_by}, this is {here}; "
            "record fresh sessions where NEW was and give them with --confirm, or decide without: --no-rerun"
        )
    if folder.exists():
        raise CaseError(f"{folder} is there from an earlier gate; use it with --confirm {folder}, or remove it")
    try:
        cases = [Case(**group[0].case) for group in groups]
    except TypeError:
        raise CaseError("NEW regressed in cases that are not of this benchmark; decide without: --no-rerun") from None
    often = campaign.Sessions(most=max(LEAST_SESSIONS, *map(len, groups)), pause_s=pause_s)
    campaign.check(cases)
    left = campaign.remaining(cases, folder, resume=False, sessions=often)
    with progress(left) as shown:
        campaign.run(left, folder, timeout_s=timeout_s, rest_timeout_s=300.0, tell=shown.tell, each=shown.done,
                     sessions=often)  # fmt: skip
    return folder
