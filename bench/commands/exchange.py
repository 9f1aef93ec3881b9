"""`tritmark export` and `tritmark import`: records into files of other programs, and many sources into one folder."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .output import AsJson, emit, warn

if TYPE_CHECKING:
    from tritmark.results.exchange.joining import Joined


class Shape(StrEnum):
    """Files of other benchmark tools."""

    LLAMA_BENCH = "llama-bench"
    PYTEST_BENCHMARK = "pytest-benchmark"


Sources = Annotated[
    list[Path],
    typer.Argument(metavar="SOURCE...", help="Results folders, or files: .csv .parquet .duckdb .sqlite .jsonl .json."),
]
To = Annotated[Path, typer.Option(help="The file; its ending is its format: .csv .parquet .duckdb .sqlite .jsonl.")]
As = Annotated[
    Shape | None, typer.Option("--as", help="Write what this tool writes (.jsonl or .json), of rows with samples.")
]
Force = Annotated[bool, typer.Option("--force", help="Replace a file that is there.")]
Out = Annotated[Path, typer.Option(help="Results folder, new or one to add to.")]


def export(sources: Sources, to: To, shape: As = None, force: Force = False, as_json: AsJson = False) -> None:
    """Write records to a file for pandas, SQL or another tool."""
    from tritmark.bench.case import CaseError
    from tritmark.results.exchange import exporting
    from tritmark.results.exchange.joining import joined

    endings = exporting.endings(shape)
    if to.suffix not in endings:
        what = f"--as {shape} writes" if shape else "the ending of --to is the format:"
        raise CaseError(f"--to {to}: {what} {', '.join(endings)}")
    if to.exists() and not force:
        raise CaseError(f"there is a {to} already; choose another --to, or replace it with --force")
    whole = joined(sources)
    count = exporting.export(whole.records, to, shape)
    left_out = len(whole.records) - count
    if as_json:
        emit({"file": str(to), "records": count, "left_out": left_out, **_told(whole)})
        return
    warn(whole.notes)
    print(f"{to}: {count} records")
    if left_out:
        print(f"left out: {left_out}, which {shape} has no place for")


def import_(sources: Sources, out: Out, as_json: AsJson = False) -> None:
    """Join results of many machines and tools into one folder.

    Each record is kept once."""
    from tritmark.results.exchange.joining import import_into

    whole = import_into(out, sources)
    if as_json:
        emit({"folder": str(out), "records": len(whole.records), **_told(whole)})
        return
    warn(whole.notes)
    for part in whole.parts:
        known = part.records - part.added
        print(f"{part.source}: {part.records} records" + (f", {known} of them known already" if known else ""))
    print(f"{out}: {len(whole.records)} records   (show them: tritmark show {out})")


def _told(whole: Joined) -> dict[str, Any]:
    parts = [{"source": str(part.source), "records": part.records, "added": part.added} for part in whole.parts]
    return {"repeated": whole.repeated, "sources": parts, "notes": list(whole.notes)}
