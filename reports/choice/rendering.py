"""Recommendations and scores as text for a terminal of 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from .evaluation import Score
from .mixes import shown
from .recommendation import Option, Recommendation

WIDTH = 80
SHOWN = 10  # rows of evidence
LEGEND = """\
right: choices that were the faster format; clear: of those beyond 3 %; regret:
mean share of the best rate lost, and its worst; 80 %, 95 %: cells within those
intervals; CRPS: of the log-ratio. A probe pair is not scored."""


def text(found: Recommendation, evidence: Sequence[Mapping[str, Any]]) -> str:
    """What to ship first, then the options, the switch points, the evidence and the next measurement."""
    lines = [
        textwrap.shorten(f"{found.device}: {found.model}", WIDTH, placeholder="..."),
        f"for {shown(found.mix)} tokens",
    ]
    lines = lines if found.mix else lines[:1]
    lines += ["", *textwrap.wrap(found.sentence, WIDTH), "", *_options(found.options), "", *_rates(found)]
    lines += [line for option in found.options if option.reason for line in _wrapped(f"{option.name}: {option.reason}")]
    if found.switch_points:
        lines += ["", "The answer turns", *(f"  {point}" for point in found.switch_points)]
    if evidence:
        lines += ["", *_evidence(evidence)]
    if found.next_measurement:
        lines += ["", "The measurement that would help most", f"  {found.next_measurement}"]
    return "\n".join(lines)


def scores(tables: Sequence[Score]) -> str:
    """A Markdown table for each set of cells, which reads as text too."""
    blocks = []
    for cells, left_out in dict.fromkeys((each.cells_of, each.left_out) for each in tables):
        rows = [each for each in tables if (each.cells_of, each.left_out) == (cells, left_out)]
        blocks.append("\n".join([f"{cells}, each {left_out} left out in turn:", "", *_score_lines(rows)]))
    return "\n\n".join([*blocks, LEGEND])


def _score_lines(rows: Sequence[Score]) -> list[str]:
    heads = ("Rule", "right", "clear", "regret", "worst", "80 %", "95 %", "CRPS")
    cells = [
        (
            row.rule, f"{row.right}/{row.cells}", f"{row.right_outside}/{row.outside}", f"{row.mean_regret:.1%}",
            f"{row.max_regret:.1%}", *(_share(each) for each in (row.coverage_80, row.coverage_95)),
            "-" if row.crps is None else f"{row.crps:.3f}",
        )
        for row in rows
    ]  # fmt: skip
    widths = [max(len(row[at]) for row in [heads, *cells]) for at in range(len(heads))]
    rule = "|" + "|".join("-" * (w + 1) + ("-" if at == 0 else ":") for at, w in enumerate(widths)) + "|"
    return [_line(heads, widths), rule, *(_line(row, widths) for row in cells)]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    aligned = (
        cell.ljust(w) if at == 0 else cell.rjust(w) for at, (cell, w) in enumerate(zip(cells, widths, strict=True))
    )
    return "| " + " | ".join(aligned) + " |"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"


def _options(options: Sequence[Option]) -> list[str]:
    lines = [f"{'option':13}{'seconds':>12}{'regret':>9}{'P(best)':>9}{'download':>12}{'GPU peak':>12}"]
    for each in options:
        mark = "" if each.feasible else "  infeasible"
        lines.append(
            f"{each.name:13}{_number(each.seconds):>12}{'-' if each.regret is None else f'{each.regret:.1%}':>9}"
            f"{'-' if each.p_best is None else f'{each.p_best:.0%}':>9}{_bytes(each.download_bytes, 10**6, 'MB'):>12}"
            f"{_bytes(each.peak_bytes, 1 << 20, 'MiB'):>12}{mark}"
        )
    return lines


def _rates(found: Recommendation) -> list[str]:
    """Both formats' rates with 80 % intervals; what is repacked runs as TQ2_0."""
    lines = [f"{'phase':9}{'format':9}{'tok/s':>9}   {'80 % interval':24}grade"] if found.mix else []
    for phase in found.mix:
        for each in found.options[:2]:
            rate = each.rates[phase]
            interval = f"{_number(rate.low_tps)} to {_number(rate.high_tps)}"
            lines.append(f"{phase:9}{each.name:9}{_number(rate.tps):>9}   {interval:24}{rate.grade}")
    return lines


def _evidence(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = [f"{'evidence':27}{'model':15}{'phase':8}{'TQ1/TQ2':>8}{'weight':>7}  grade"]
    for row in rows[:SHOWN]:
        lines.append(
            f"{row['device'][:26]:27}{row['model'][-14:]:15}{row['phase']:8}{row['ratio']:>8.2f}{row['weight']:>7g}"
            f"  {row['grade']}"
        )
    left = len(rows) - SHOWN
    return [*lines, f"and {left} more (--json shows all)"] if left > 0 else lines


def _wrapped(line: str) -> list[str]:
    return textwrap.wrap(line, WIDTH, subsequent_indent="  ")


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _bytes(value: int | None, unit: int, name: str) -> str:
    return "-" if value is None else f"{value / unit:,.0f} {name}"
