"""Written: the report as text, for a terminal and as Markdown: what to do first, our tables, published figures."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from .. import tables
from ..choice.recommendation import Recommendation
from .beside import Beside, Entry, Row, beside
from .report import Report

NOTHING = "No device ran one model in both formats, so nothing can be recommended; add --format tq1_0,tq2_0."
GRADED = "As printed elsewhere, not measured by us; the page tells the reason of each grade."


def rendered(report: Report, columns: int) -> RenderableType:
    """For a terminal of ``columns``."""
    parts: list[RenderableType] = [Text("What to do first", style="bold"), Text()]
    for found in report.recommendations:
        parts.append(Text.assemble((found.device, "bold"), ": ", found.model, f" ({found.basis})"))
        parts += [Padding(Text(line), (0, 0, 0, 2)) for line in _said(found)]
    parts += [Text(line) for line in (() if report.recommendations else (NOTHING,))]
    parts += [Text(report.left_out)] if report.left_out else []
    parts.append(Text())
    if report.records:
        parts.append(tables.rendered(report.records, columns))
    if report.published:
        parts += [Text(), Text("Published figures beside ours", style="bold"), Text(GRADED)]
        parts += [part for found in beside(report) for part in (Text(), Text(found.title, style="bold"), _table(found))]
    return Group(*parts)


def _said(found: Recommendation) -> list[str]:
    command = found.next_measurement
    return [found.sentence, *([f"The measurement that would help most: {command}"] if command else [])]


def _table(found: Beside) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 1, 0, 0))
    table.add_column("Model")
    table.add_column("Device", overflow="fold")
    for format in found.formats:
        table.add_column(format or "no format", justify="right", overflow="fold")
    for row in found.rows:
        style = "bold" if row.ours else ""
        table.add_row(Text(row.size), Text(row.device, style=style), *(_cell(row, format) for format in found.formats))
    return table


def _cell(row: Row, format: str) -> Text:
    entry = row.entries.get(format)
    if entry is None:
        return Text(tables.NONE)
    return Text.assemble((entry.text, "strike" if entry.struck else ""), "" if row.ours else f" {entry.grade}")


def markdown(report: Report) -> str:
    """With the headings of the page."""
    lines = ["# Which ternary format to ship", "", *(f"> {tables.escaped(note)}" for note in report.notes)]
    lines += [""] * bool(report.notes) + ["## What to do first", "", *_first(report), ""]
    if report.records:
        lines += ["## Measured", "", tables.markdown(report.records)]
    if report.published:
        lines += ["## Published figures beside ours", "", GRADED, ""]
        lines += [line for found in beside(report) for line in (*_beside(found), "")]
    return "\n".join(lines)


def _first(report: Report) -> Iterator[str]:
    for found in report.recommendations:
        action, colon, because = found.sentence.partition(":")
        asked = tables.escaped(f"{found.device}, {found.model}")
        yield f"- **{asked}** ({found.basis}): **{action}{colon}**{because}"
        if found.next_measurement:
            yield f"  The measurement that would help most: `{found.next_measurement}`"
    if not report.recommendations:
        yield NOTHING
    if report.left_out:
        yield f"\n{report.left_out}"


def _beside(found: Beside) -> Iterator[str]:
    """A row a device and size; the struck figures contradict others, or arithmetic."""
    yield f"**{tables.escaped(found.title)}**"
    yield ""
    yield f"| Model | Device | {' | '.join(format or 'no format' for format in found.formats)} |"
    yield f"|---|---|{'---:|' * len(found.formats)}"
    for row in found.rows:
        cells = (_markdown_cell(row.entries.get(format)) for format in found.formats)
        device = f"**{tables.escaped(row.device)}**" if row.ours else tables.escaped(row.device)
        yield f"| {tables.escaped(row.size)} | {device} | {' | '.join(cells)} |"
    yield ""
    whys = {entry.why: entry.grade for row in found.rows for entry in row.entries.values() if entry.why}
    yield from (f"- {grade}: {tables.escaped(why)}" for why, grade in whys.items())


def _markdown_cell(entry: Entry | None) -> str:
    if entry is None:
        return tables.NONE
    text = tables.escaped(entry.text)
    return f"{f'~~{text}~~' if entry.struck else text} {entry.grade}"
