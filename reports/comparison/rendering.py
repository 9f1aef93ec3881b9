"""Comparisons and gates as text for a terminal of 80 columns and as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from textwrap import wrap

from ..sessions import LEAST_SESSIONS
from ..tables import number
from .comparison import Comparison, Failure
from .gate import CONFIRMED, REFUTED, Gate, Regression
from .judgement import SAME, UNDECIDED, Finding

HEADS = ("Metric", "A", "B", "B to A", "95 % interval", "Verdict")
COLUMNS = 80
INFINITE = 10.0  # a ratio beyond which nobody wants its digits


def text(comparison: Comparison) -> str:
    """What changed first, then every metric of every case."""
    lines = [*_wrapped([*_counts(comparison), *_changes(comparison), *_remarks(comparison)]), ""]
    for case, found in _by_case(comparison.findings).items():
        lines += [case, f"  {_sessions(found)}", *_aligned([HEADS, *map(_cells, found)])]
        lines += [f"  {note}" for each in found for note in _outliers(each)] + [""]
    return "\n".join([*lines, *_definitions(comparison)]) + "\n"


def markdown(comparison: Comparison) -> str:
    """The same; one table, what changed on top."""
    rows = sorted(comparison.findings, key=lambda found: (not found.worse, not found.better, found.verdict == SAME))
    told = (*_counts(comparison), *_changes(comparison), *_remarks(comparison))
    lines = [f"- {_escaped(line)}" for line in told]
    if rows:
        lines += ["", "| Case | " + " | ".join(HEADS) + " |", "|---|---|---:|---:|---:|---:|---|"]
        lines += [f"| {_escaped(found.case)} | " + " | ".join(_cells(found)) + " |" for found in rows]
    return "\n".join([*lines, "", *_definitions(comparison)]) + "\n"


def gate_text(gate: Gate) -> str:
    """The decision, its reasons and what was not decided."""
    told = (_decision(gate), *map(_regression, gate.regressions), *_counts(gate.comparison), *_remarks(gate.comparison))
    return "\n".join(_wrapped(told)) + "\n"


def gate_markdown(gate: Gate) -> str:
    """The same as a page for CI, with all metrics."""
    lines = [f"- {_escaped(_regression(each))}" for each in gate.regressions]
    return "\n".join([f"## Tritmark: {_decision(gate)}", "", *lines, ""]) + "\n" + markdown(gate.comparison)


def _decision(gate: Gate) -> str:
    states = [each.state for each in gate.regressions]
    if not states:
        return "no regression"
    counts = [(states.count(state), state) for state in dict.fromkeys(states)]
    said = ", ".join(f"{count} regression{'s' if count > 1 else ''} {state}" for count, state in counts)
    return said if gate.closed else f"passed: {said}"


def _regression(each: Regression) -> str:
    mark = {CONFIRMED: "regression", REFUTED: "not confirmed"}.get(each.state, "regression, unconfirmed")
    if isinstance(each.found, Failure):
        return f"{mark}: {each.found.case}: {each.found.reason}; {each.why}"
    fresh = f" ({_change(each.again.ratio.ratio)})" if each.again else ""
    return f"{mark}: {_changed(each.found)}; {each.why}{fresh}"


def _counts(comparison: Comparison) -> Iterator[str]:
    counts, cases = comparison.counts, len(_by_case(comparison.findings))
    order = ("slower", "larger", "faster", "smaller", SAME, UNDECIDED)
    said = ", ".join(f"{counts[verdict]} {verdict}" for verdict in order if verdict in counts)
    if said:
        yield f"{cases} case{'s' if cases > 1 else ''}, {len(comparison.findings)} metrics: {said}"


def _changes(comparison: Comparison) -> Iterator[str]:
    yield from (f"{found.verdict}: {_changed(found)}" for found in comparison.findings if found.worse)
    yield from (f"{found.verdict}: {_changed(found)}" for found in comparison.findings if found.better)


def _remarks(comparison: Comparison) -> Iterator[str]:
    """What to know about both sides beside speed."""
    yield from (f"OUTPUTS DIFFER: {case} computed something else in B than in A" for case in comparison.outputs)
    yield from (f"failed in B only: {each.case}: {each.reason}" for each in comparison.failed)
    yield from (f"failed in A only: {each.case}: {each.reason}" for each in comparison.recovered)
    yield from (f"only in {side}: {case}" for side, cases_of in (("A", comparison.only_a), ("B", comparison.only_b))
                for case in cases_of)  # fmt: skip
    yield from (f"differs: {each}" for each in comparison.warnings)


def _changed(found: Finding) -> str:
    interval = found.ratio.interval_95
    between = f", {_change(interval[0])} to {_change(interval[1])}" if interval and not found.metric.counted else ""
    a, b = _value(found, found.a.median), _value(found, found.b.median)
    title, unit = found.metric.title, found.metric.unit
    return f"{found.case}: {title} {a} -> {b} {unit} ({_change(found.ratio.ratio)}{between})"


def _by_case(findings: Sequence[Finding]) -> dict[str, list[Finding]]:
    groups: dict[str, list[Finding]] = {}
    for found in findings:
        groups.setdefault(found.case, []).append(found)
    return groups


def _sessions(found: Sequence[Finding]) -> str:
    a, b = max(len(each.a.values) for each in found), max(len(each.b.values) for each in found)
    told = f"{a} session{'s' if a > 1 else ''}" + (" each" if a == b else f" and {b}")
    return told + (", paired" if found[0].ratio.paired else "")


def _cells(found: Finding) -> tuple[str, ...]:
    interval = found.ratio.interval_95
    counted = found.metric.counted
    return (
        f"{found.metric.title}, {found.metric.unit}",
        _value(found, found.a.median),
        _value(found, found.b.median),
        _change(found.ratio.ratio),
        "counted" if counted else f"{_change(interval[0])} to {_change(interval[1])}" if interval else "-",
        found.verdict + (f" +{found.more}" if found.more else ""),
    )


def _value(found: Finding, value: float) -> str:
    return number(found.metric.shown_in_unit(value))


def _change(ratio: float) -> str:
    if ratio >= INFINITE or ratio <= 1 / INFINITE:
        return f"x{ratio:.0f}" if ratio >= INFINITE and ratio < 1e4 else "x>9999" if ratio > 1 else f"/{1 / ratio:.0f}"
    return f"{100 * (ratio - 1):+.1f} %"


def _wrapped(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        yield from wrap(line, COLUMNS, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)


def _outliers(found: Finding) -> Iterator[str]:
    for side, estimate in (("A", found.a), ("B", found.b)):
        if estimate.outliers:
            places = ", ".join(str(at + 1) for at in estimate.outliers)
            yield f"outlying, and kept: {found.metric.title} of {side} in its session {places}"


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            row[0].ljust(widths[0]),
            *(cell.rjust(width) for cell, width in zip(row[1:5], widths[1:5], strict=True)),
        ]
        yield "  " + "  ".join([*cells, row[5]]).rstrip()


def _definitions(comparison: Comparison) -> list[str]:
    floor = f"{100 * comparison.floor:g} %"
    few = any(found.ratio.sessions < LEAST_SESSIONS for found in comparison.findings)
    hint = [f"Too few sessions for a verdict: `tritmark run --sessions {LEAST_SESSIONS}` or more gives them.", ""]
    return [
        *(hint if few else []),
        "A and B: medians of sessions. B to A: ratio of their geometric means.",
        "faster, slower: significant over all metrics together (Benjamini-Hochberg,",
        f"5 %) and by at least {floor}. same: the 95 % interval lies within {floor}.",
        "undecided +7: about 7 more sessions a side should tell. undecided: at the",
        f"floor, or beyond a thousand sessions. Each takes {LEAST_SESSIONS} sessions a side.",
    ]


def _escaped(said: str) -> str:
    """For a Markdown page that may render HTML."""
    return said.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")
