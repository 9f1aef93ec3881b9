"""What must be alike for two numbers to be comparable, and what only has to be said.

Fields of the machine, of how it was measured and of its state forbid a comparison where they differ; fields of the
software are what people compare, so a difference is told and nothing more. What a side does not tell is not held
against it.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tritmark.results.record import Record

APART_CELSIUS = 5.0  # a rest ends within 2 degrees of the first feeling, so that two rests may leave 4
SLOW, FAST = ("battery", "skin"), ("soc", "cpu")  # thermometers, the fast ones where there is no slow one
REVISION = 10
BUSY_SHARE = 0.5  # of the processors


@dataclass(frozen=True, kw_only=True)
class Field:
    """One thing that two sides may differ in; ``read`` gives None where a record does not tell."""

    name: str
    forbids: bool
    read: Callable[[Record], Any]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """``a`` and ``b``: what the sessions of either side tell, each once."""

    field: str
    forbids: bool
    a: tuple[str, ...]
    b: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.field} ({' and '.join(self.a)} / {' and '.join(self.b)})"


def _before(record: Record) -> Mapping[str, Any]:
    return (record.conditions or {}).get("before") or {}


def _power(record: Record) -> str | None:
    """On the cable, charging, saving: three things that move a phone's clocks."""
    told = _before(record)
    plugged = (told.get("battery") or {}).get("plugged")
    known = {"plugged": plugged, "charging": told.get("charging"), "power saver": told.get("power_saver")}
    words = [name if value else f"not {name}" for name, value in known.items() if value is not None]
    return ", ".join(words) or None


def _heat(record: Record) -> str | None:
    """The system's own word, and whether the rest before the case reached its goal."""
    status, rest = _before(record).get("thermal_status"), (record.conditions or {}).get("rest") or {}
    told = [] if status is None else [f"thermal status {status}"]
    if (reached := rest.get("reached")) is not None:
        told.append("rested" if reached else "too short a rest")
    return ", ".join(told) or None


def _other_work(record: Record) -> str | None:
    told = _before(record)
    load, processors = told.get("load_1min"), told.get("cpu_count")
    return None if load is None or not processors else "busy" if load > BUSY_SHARE * processors else "quiet"


def _revision(record: Record) -> str | None:
    return (record.versions or {}).get("revision")


def _shortened(record: Record) -> str | None:
    """Enough of a revision to find it; the mark of changes that were never committed stays."""
    revision = _revision(record)
    return None if revision is None else revision[:REVISION] + ("+" if revision.endswith("+") else "")


def _uncommitted(record: Record) -> str | None:
    revision = _revision(record)
    return None if revision is None else "yes" if revision.endswith("+") else "no"


def _packages(record: Record) -> str | None:
    known = {name: text for name, text in (record.versions or {}).items() if name in ("wgpu", "numpy", "python")}
    return ", ".join(f"{name} {text}" for name, text in sorted(known.items())) or None


FIELDS = (
    Field(name="adapter", forbids=True, read=lambda record: record.adapter),
    Field(name="backend", forbids=True, read=lambda record: (record.caps or {}).get("backend")),
    Field(name="processors", forbids=True, read=lambda record: _before(record).get("cpu_count")),
    Field(name="player", forbids=True, read=lambda record: record.player),
    Field(name="timing", forbids=True, read=lambda record: record.timing),
    Field(name="token timing", forbids=True, read=lambda record: record.token_timing),
    Field(name="schedule", forbids=True, read=lambda record: record.schedule),
    Field(name="exact", forbids=True, read=lambda record: record.exact),
    Field(name="power", forbids=True, read=_power),
    Field(name="governor", forbids=True, read=lambda record: _before(record).get("cpu_governor")),
    Field(name="heat", forbids=True, read=_heat),
    Field(name="driver", forbids=False, read=lambda record: record.driver),
    Field(name="os", forbids=False, read=lambda record: record.os),
    Field(name="browser", forbids=False, read=lambda record: _before(record).get("browser")),
    Field(name="revision", forbids=False, read=_shortened),
    Field(name="uncommitted changes", forbids=False, read=_uncommitted),
    Field(name="packages", forbids=False, read=_packages),
    Field(name="runner", forbids=False, read=lambda record: record.runner),
    Field(name="repetitions", forbids=False, read=lambda record: len(record.samples_ns)),
    Field(name="other work", forbids=False, read=_other_work),
)
NAMES = ("temperature", *(field.name for field in FIELDS))


def differences(a: Sequence[Record], b: Sequence[Record], across: Collection[str] = ()) -> list[Difference]:
    """What the sessions of one case differ in between two sides, but for the fields named in ``across``."""
    found = []
    for field in FIELDS:
        sides = [{str(value) for record in side if (value := field.read(record)) is not None} for side in (a, b)]
        if all(sides) and sides[0] != sides[1]:
            a_told, b_told = (tuple(sorted(side)) for side in sides)
            found.append(Difference(field=field.name, forbids=field.forbids, a=a_told, b=b_told))
    found += _temperatures(a, b)
    return [each for each in found if each.field not in across]


def _temperatures(a: Sequence[Record], b: Sequence[Record]) -> list[Difference]:
    """Where the median session of one side began warmer by five degrees."""
    read = [[_before(record).get("temperatures_celsius") or {} for record in side] for side in (a, b)]
    both = set.intersection(*({name for told in side for name in told} for side in read))
    chosen = next(([name for name in kind if name in both] for kind in (SLOW, FAST) if both & {*kind}), [])
    found = []
    for name in chosen:
        warmth = [statistics.median(told[name] for told in side if name in told) for side in read]
        if abs(warmth[0] - warmth[1]) > APART_CELSIUS:
            a_told, b_told = ((f"{name} {celsius:.0f} C",) for celsius in warmth)
            found.append(Difference(field="temperature", forbids=True, a=a_told, b=b_told))
    return found


def merged(found: Iterable[Difference]) -> list[Difference]:
    """One difference a field, of all cases together."""
    by_field: dict[str, Difference] = {}
    for each in found:
        known = by_field.setdefault(each.field, each)
        a, b = (tuple(dict.fromkeys(x + y)) for x, y in ((known.a, each.a), (known.b, each.b)))
        by_field[each.field] = replace(known, a=a, b=b)
    return list(by_field.values())
