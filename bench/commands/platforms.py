"""`tritmark platforms`: what else could run a model on a device, with sources."""

from __future__ import annotations

from typing import Annotated

import typer

from .output import AsJson, emit

Named = Annotated[str | None, typer.Argument(help="Only platforms with this in their name.")]


def platforms(
    name: Named = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print a Markdown table.")] = False,
    as_json: AsJson = False,
) -> None:
    """What other ways there are to run a model on a device.

    As far as public sources say it; each cell names its own."""
    from tritmark.bench.case import CaseError
    from tritmark.reports.choice import platforms as table

    cells = table.read()
    shown = [cell for cell in cells if name is None or name.lower() in cell.platform.lower()]
    if not shown:
        known = ", ".join(dict.fromkeys(cell.platform for cell in cells))
        raise CaseError(f"no platform {name!r}; known are {known}")
    if as_json:
        for cell in shown:
            emit(cell.to_json())
        emit({"cells": len(shown), "unknown": sum(cell.value == table.UNKNOWN for cell in shown)})
    else:
        print(table.markdown(shown) if markdown else table.text(shown))
