"""Which sessions of two sets of results measured the same thing: model, format, workload, options, kind of device."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from tritmark.results.record import Record

from .. import stats
from ..sessions import grouped

Key = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Match:
    """The sessions of one case on either side, oldest first; a side that has none lacks the case or failed at it."""

    key: Key
    title: str
    a: Sequence[Record]
    b: Sequence[Record]


def key_of(record: Record) -> Key:
    """Of what was asked for; the model by its hash where the record has one, an engine without its build."""
    options = json.dumps(record.case.get("options") or {}, sort_keys=True)
    kind = record.device.partition(":")[0]
    return (record.model_sha256 or record.model, record.format, record.workload, options, kind, asked_runner(record))


def asked_runner(record: Record) -> str:
    """The engine as the case names it, without its place on disk."""
    return str(record.case.get("runner", stats.OURS)).partition("=")[0]


def title_of(record: Record) -> str:
    """A case in a line."""
    options = "".join(f" {name}={value}" for name, value in (record.case.get("options") or {}).items())
    by = "" if record.runner is None else f" by {asked_runner(record)}"
    return f"{named_key(record)[0]} {record.format} {record.workload}{options} on {record.device}{by}"


def matches(a: Sequence[Record], b: Sequence[Record]) -> list[Match]:
    """Every case of either side. Of several machines that ran one case those are matched that are most alike."""
    left, right = _by_case(a), _by_case(b)
    found = []
    for key in dict.fromkeys((*left, *right)):
        mine, theirs = left.get(key, []), list(right.get(key, []))
        for group in mine:
            other = max(theirs, key=lambda each: _alike(group[0], each[0])) if theirs else []
            if other:
                theirs.remove(other)
            found.append(Match(key=key, title=title_of(group[0]), a=group, b=other))
        found += [Match(key=key, title=title_of(group[0]), a=[], b=group) for group in theirs]
    return found


def _by_case(records: Sequence[Record]) -> dict[Key, list[list[Record]]]:
    groups: dict[Key, list[list[Record]]] = {}
    for group in grouped(records, key_of):
        groups.setdefault(key_of(group[0]), []).append(group)
    return groups


def _alike(a: Record, b: Record) -> tuple[bool, bool, bool]:
    return a.adapter == b.adapter, a.device == b.device, a.driver == b.driver


def failures(records: Sequence[Record]) -> dict[Key, Record]:
    """The last failed or fallen-back record of each case, by names alone: one that failed early has no model hash."""
    return {named_key(record): record for record in records if record.kind == "measured" and record.status != "ok"}


def named_key(record: Record) -> Key:
    """`key_of` with the name of the model's file in place of its hash."""
    return (record.model.replace("\\", "/").rpartition("/")[2], *key_of(record)[1:])
