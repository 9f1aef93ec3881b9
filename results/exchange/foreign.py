"""What results of other programs have in common on their way to records: names, checks of values and of units."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from ..json_text import written
from ..record import SCHEMA, Record, RecordError, case_key

UNNAMED = "unnamed"
ID = "tritmark_id"  # in files that we wrote: the record that a result was made from
DEVICE = "imported"  # how to reach it is not known; the adapter says what it was


def imported(case: Mapping[str, Any], told: Mapping[str, Any], *, tool: str, **observed: Any) -> Record:
    """The record of a case that ``tool`` measured. Its id follows from all that the file ``told``, so that a file that
    is imported twice gives the same records.
    """
    axes = {name: case[name] for name in ("model", "format", "workload", "device")}
    digest = hashlib.sha256(f"{tool} {written(dict(sorted(told.items())))}".encode()).hexdigest()
    return Record(
        schema=SCHEMA, id=digest[:32], kind="measured", status="ok", reason=None, case=case, case_key=case_key(case),
        grade="imported", grade_reasons=(f"from a file of {tool}",), **axes, **observed,
    )  # fmt: skip


def copied_from(record: Record) -> str | None:
    """The id of the record that an imported one is a poorer copy of, None of what another tool measured."""
    found = (record.conditions or {}).get(ID)
    return found if record.grade == "imported" and isinstance(found, str) else None


def field(told: Mapping[str, Any], name: str, kind: type) -> Any:
    """The value of ``name``, of type ``kind`` (an int serves as a float); RecordError where it is none."""
    value = told.get(name)
    if type(value) is kind or (kind is float and type(value) is int):
        return value
    problem = "is missing" if name not in told else f"should be {kind.__name__}, not {str(value)[:40]!r}"
    raise RecordError(f"{name} {problem}")


def part(told: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """An object inside another one, empty where it is null or missing."""
    value = told.get(name) or {}
    if not isinstance(value, Mapping):
        raise RecordError(f"{name} should be an object, not {str(value)[:40]!r}")
    return value


def numbers(told: Mapping[str, Any], name: str) -> list[float]:
    """A list of numbers, empty where it is null or missing."""
    values = told.get(name) or []
    if not isinstance(values, list) or not all(type(value) in (int, float) for value in values):
        raise RecordError(f"{name} should be a list of numbers, not {str(values)[:40]!r}")
    return values


def moment(told: Mapping[str, Any], name: str) -> str:
    """A time in ISO 8601; one without a zone is taken as UTC."""
    text = field(told, name, str)
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise RecordError(f"{name} should be a time in ISO 8601, not {text[:40]!r}") from error
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).isoformat()


def agree(ours: Sequence[float], theirs: Sequence[float], *, relative: float, absolute: float = 0.0) -> bool:
    """Whether figures that follow from samples are the ones that were printed."""
    pairs = zip(ours, theirs, strict=False)
    return len(ours) == len(theirs) and all(abs(a - b) <= absolute + relative * abs(b) for a, b in pairs)
