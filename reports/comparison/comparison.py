"""Two sets of results held against each other, case by case and metric by metric, or a refusal that names why not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from tritmark.results.record import Record, RecordError

from . import matching
from .context import Difference, differences, merged
from .judgement import FLOOR, Finding, findings_of, judged
from .matching import Key, Match

Only = Collection[tuple[Key, str]]  # (case, name of the metric)


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A case that ran on one side and failed, or fell back, on the other."""

    key: Key  # as `matching.named_key` has it
    case: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """``outputs``: cases that computed something else, whatever their speed."""

    floor: float
    findings: Sequence[Finding]
    outputs: Sequence[str]
    failed: Sequence[Failure]  # in B
    recovered: Sequence[Failure]  # failed in A
    only_a: Sequence[str]  # cases that the other side does not have
    only_b: Sequence[str]
    warnings: Sequence[Difference]

    @property
    def counts(self) -> dict[str, int]:
        return dict(Counter(found.verdict for found in self.findings))

    def to_json(self) -> dict[str, Any]:
        """All but the findings."""
        return {
            "floor": self.floor,
            "metrics": len(self.findings),
            "verdicts": self.counts,
            "outputs_differ": list(self.outputs),
            "failed": {failure.case: failure.reason for failure in self.failed},
            "recovered": [failure.case for failure in self.recovered],
            "only_a": list(self.only_a),
            "only_b": list(self.only_b),
            "differs": {each.field: [list(each.a), list(each.b)] for each in self.warnings},
        }


def compare(
    a: Sequence[Record],
    b: Sequence[Record],
    *,
    floor: float = FLOOR,
    across: Collection[str] = (),
    only: Only | None = None,
) -> Comparison:
    """B against A. ``across``: fields of the context that may differ; ``only``: these metrics and no others.

    RecordError where no case ran on both sides, or where the two were measured under conditions that cannot be
    compared; failed and fallback rows are never compared.
    """
    found = matching.matches(a, b)
    both = [match for match in found if match.a and match.b]
    if only is not None:
        both = [match for match in both if any(match.key == key for key, _ in only)]
    warnings = _checked(both, across)
    metrics = [each for match in both for each in findings_of(match)]
    wanted = [each for each in metrics if only is None or (each.key, each.metric.name) in only]
    ran_a = {matching.named_key(match.a[0]) for match in found if match.a}
    ran_b = {matching.named_key(match.b[0]) for match in found if match.b}
    failed, recovered = _failures(b, ran_a - ran_b), _failures(a, ran_b - ran_a)
    if not both and not failed and only is None:
        raise RecordError(_nothing(a, b))
    told = {failure.key for failure in (*failed, *recovered)}
    alone = [match for match in found if bool(match.a) != bool(match.b)]
    alone = [match for match in alone if matching.named_key((match.a or match.b)[0]) not in told]
    return Comparison(
        floor=floor,
        findings=judged(wanted, floor),
        outputs=[match.title for match in both if _outputs_differ(match)],
        failed=failed,
        recovered=recovered,
        only_a=[match.title for match in alone if match.a],
        only_b=[match.title for match in alone if match.b],
        warnings=warnings,
    )


def _outputs_differ(match: Match) -> bool:
    a, b = ({record.digest for record in side if record.digest} for side in (match.a, match.b))
    return bool(a and b and a != b)


def _failures(records: Sequence[Record], keys: Collection[Key]) -> list[Failure]:
    failures = matching.failures(records)
    return [
        Failure(key=key, case=matching.title_of(record), reason=f"{record.status}: {record.reason}")
        for key, record in failures.items()
        if key in keys
    ]


def _checked(both: Sequence[Match], across: Collection[str]) -> list[Difference]:
    """What differs without forbidding anything; RecordError where something forbids."""
    found = merged(each for match in both for each in differences(match.a, match.b, across))
    forbidding = [each for each in found if each.forbids]
    if forbidding:
        names = ",".join(dict.fromkeys(each.field for each in forbidding))
        said = "; ".join(map(str, forbidding))
        raise RecordError(
            f"measured under unlike conditions (A / B): {said}; measure both alike, or compare all the same with "
            f"--across '{names}'"
        )
    return found


def _nothing(a: Sequence[Record], b: Sequence[Record]) -> str:
    ran = [sum(record.status == "ok" and record.kind == "measured" for record in side) for side in (a, b)]
    empty = [name for name, count in zip("AB", ran, strict=True) if not count]
    if empty:
        return f"nothing to compare: {' and '.join(empty)} holds no measurement that ran"
    names = [{matching.named_key(record) for record in side} for side in (a, b)]
    why = "; models of one name have different weights" if names[0] & names[1] else ""
    return f"nothing to compare: no case ran on both sides, with the same model, format, workload and options{why}"
