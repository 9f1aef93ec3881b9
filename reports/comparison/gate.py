"""A gate for CI: it closes for a regression that fresh sessions confirm, and says what it could not tell.

A regression is a metric that got worse, or a case that ran before and fails now. It is confirmed where sessions that
were recorded afterwards say the same against the same base; only the regressed metrics are tested again.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from tritmark.results.record import Record

from ..sessions import LEAST_SESSIONS
from . import matching
from .comparison import Comparison, Failure, compare
from .judgement import FLOOR, Finding

CONFIRMED = "confirmed"
REFUTED = "not confirmed"  # the fresh sessions do not say so
UNCONFIRMED = "unconfirmed"  # there are none, or too few


@dataclass(frozen=True, kw_only=True)
class Regression:
    """``again``: the same metric in the fresh sessions, where they have it."""

    found: Finding | Failure
    state: str  # of the three above
    why: str
    again: Finding | None = None

    def to_json(self) -> dict[str, Any]:
        metric = self.found.metric.name if isinstance(self.found, Finding) else None
        again = self.again.to_json() if self.again else None
        return {"case": self.found.case, "metric": metric, "state": self.state, "why": self.why, "again": again}


@dataclass(frozen=True, kw_only=True)
class Gate:
    comparison: Comparison
    regressions: Sequence[Regression]

    @property
    def closed(self) -> bool:
        """What fresh sessions deny does not close it; what nobody measured again does."""
        return any(regression.state != REFUTED for regression in self.regressions)

    def to_json(self) -> dict[str, Any]:
        regressions = [regression.to_json() for regression in self.regressions]
        return {"closed": self.closed, "regressions": regressions, **self.comparison.to_json()}


def regressed(comparison: Comparison) -> list[Finding | Failure]:
    """What would close the gate, if it is confirmed."""
    return [*(found for found in comparison.findings if found.worse), *comparison.failed]


def cases_of(found: Sequence[Finding | Failure], new: Sequence[Record]) -> list[list[Record]]:
    """The records of NEW that regressed, by case: what is to be measured again."""
    keys = {each.key for each in found}
    groups: dict[str, list[Record]] = {}
    for record in new:
        if matching.key_of(record) in keys or matching.named_key(record) in keys:
            groups.setdefault(record.case_key, []).append(record)
    return list(groups.values())


def gate(
    comparison: Comparison,
    base: Sequence[Record],
    fresh: Sequence[Record] | None,
    *,
    floor: float = FLOOR,
    across: Collection[str] = (),
) -> Gate:
    """``comparison``: NEW against ``base``. ``fresh``: sessions recorded afterwards, None where there are none.

    RecordError where ``fresh`` was measured under conditions that cannot be compared.
    """
    found = regressed(comparison)
    if fresh is None:
        none = "nothing was measured again"
        return Gate(
            comparison=comparison,
            regressions=[Regression(found=each, state=UNCONFIRMED, why=none) for each in found],
        )
    only = {(each.key, each.metric.name) for each in found if isinstance(each, Finding)}
    again = {(each.key, each.metric.name): each for each in _compared(base, fresh, floor, across, only)}
    failures = {matching.title_of(record): record for record in matching.failures(fresh).values()}
    ran = {matching.named_key(record) for record in fresh if record.status == "ok"}
    regressions = [
        _metric(each, again.get((each.key, each.metric.name)), failures.get(each.case))
        if isinstance(each, Finding)
        else _failure(each, each.key in ran, failures.get(each.case))
        for each in found
    ]
    return Gate(comparison=comparison, regressions=regressions)


def _compared(
    base: Sequence[Record], fresh: Sequence[Record], floor: float, across: Collection[str], only: Collection[Any]
) -> Sequence[Finding]:
    return compare(base, fresh, floor=floor, across=across, only=only).findings if only else ()


def _metric(found: Finding, again: Finding | None, failure: Record | None) -> Regression:
    if again is None:
        state, why = (CONFIRMED, f"it fails now: {failure.reason}") if failure else (UNCONFIRMED, "no fresh session")
        return Regression(found=found, state=state, why=why)
    count = len(again.b.values)
    if again.ratio.sessions < LEAST_SESSIONS and not again.metric.counted:
        why = f"{count} fresh of the {LEAST_SESSIONS} sessions that it takes"
        return Regression(found=found, state=UNCONFIRMED, why=why, again=again)
    why = f"{again.verdict} in {count} fresh session{'s' if count > 1 else ''}"
    return Regression(found=found, state=CONFIRMED if again.worse else REFUTED, why=why, again=again)


def _failure(found: Failure, ran: bool, failure: Record | None) -> Regression:
    if ran:
        return Regression(found=found, state=REFUTED, why="it ran when it was measured again")
    if failure:
        return Regression(found=found, state=CONFIRMED, why="it failed again")
    return Regression(found=found, state=UNCONFIRMED, why="no fresh session")
