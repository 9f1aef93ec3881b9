"""`tritmark audit`: whether published tables can be true."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .output import AsJson, emit

if TYPE_CHECKING:
    from tritmark.reports.audit.findings import Finding

Files = Annotated[list[Path], typer.Argument(help="CSV files: source,table,model,format,device,...,value,unit,status.")]


def audit(files: Files, as_json: AsJson = False) -> None:
    """Whether published tables can be true, by arithmetic alone.

    Copies, bytes, sizes, units, and what contradicts what.

    Finding something is no failure: the exit status is 0."""
    from tritmark.reports.audit.audit import audit as check
    from tritmark.reports.audit.cells import read_cells

    for file in files:
        cells = read_cells(file)
        findings = check(cells)
        touched = {cell.line for found in findings for cell in found.cells}
        if as_json:
            for found in findings:
                emit({"file": str(file), **found.to_json()})
            emit({"file": str(file), "figures": len(cells), "findings": len(findings), "touched": len(touched)})
        else:
            print(_text(file, len(cells), findings, len(touched)))


def _text(file: Path, figures: int, findings: list[Finding], touched: int) -> str:
    """The findings by rule and grade, each with the lines of its cells."""
    lines = [f"{file}: {figures} figures, {len(findings)} findings that touch {touched} of them"]
    for rule, grade in dict.fromkeys((found.rule, found.grade) for found in findings):
        alike = [found for found in findings if (found.rule, found.grade) == (rule, grade)]
        lines += ["", f"{rule} ({grade})"]
        lines += [f"  {found.arithmetic}  [{_spans([cell.line for cell in found.cells])}]" for found in alike]
    return "\n".join(lines)


def _spans(numbers: list[int]) -> str:
    """Line numbers, runs of them as first-last."""
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    said = ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs)
    return f"line{'s' if len(numbers) > 1 else ''} {said}"
