"""Selection: which records a picture is of, what they are called, and the rate that several of one case come to."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeVar

from tritmark.reports import stats
from tritmark.results.record import Record

_SIZE = re.compile(r"(\d+(?:\.\d+)?)([KMB])\b")
Key = TypeVar("Key", bound=Hashable)
Member = TypeVar("Member")


class Rate(NamedTuple):
    """A median and its MAD: over sessions where there are several, else over the repetitions of the only one."""

    median: float
    mad: float


def measured(records: Iterable[Record]) -> list[Record]:
    """Those that observed something on the processor that was asked for, ours or imported; oldest first."""
    found = (r for r in records if r.kind == "measured" and r.status == "ok" and r.grade in ("measured", "imported"))
    return sorted(found, key=lambda record: record.started_at)


def machine(record: Record) -> str:
    """A phone's model as it told it, else the adapter or the device that was asked for."""
    told = ((record.conditions or {}).get("before") or {}).get("model")
    return told if isinstance(told, str) else record.adapter or record.device


def way(record: Record) -> str:
    """How a record came about on its machine: another engine or a browser, and the options of the case; empty for our
    own player as it is.
    """
    browser = f"web player ({record.device.partition(':')[0]})" if record.player == "web" else None
    options = [f"{name}={value}" for name, value in (record.case.get("options") or {}).items()]
    imported = "imported" if record.grade == "imported" else None
    return ", ".join(filter(None, (record.runner or browser, *options, imported)))


def setup(record: Record) -> str:
    """The machine and the way."""
    return ", ".join(filter(None, (machine(record), way(record))))


def model_name(record: Record) -> str:
    """Without the folder or the kind: "synthetic:7B" is "7B"."""
    return record.model.replace("\\", "/").rpartition("/")[2].rpartition(":")[2] or record.model


def parameters(model: str) -> float:
    """Of a model, from its name; infinite where that tells nothing, so that such a model comes last."""
    found = _SIZE.search(model)
    return float(found[1]) * {"K": 1e3, "M": 1e6, "B": 1e9}[found[2]] if found else math.inf


def grouped(members: Iterable[Member], key: Callable[[Member], Key]) -> dict[Key, list[Member]]:
    """In order of appearance."""
    groups: dict[Key, list[Member]] = {}
    for member in members:
        groups.setdefault(key(member), []).append(member)
    return groups


def most(groups: Mapping[Key, Sequence[Member]], limit: int) -> dict[Key, Sequence[Member]]:
    """The ``limit`` groups with the most members, the largest first."""
    return {key: groups[key] for key in sorted(groups, key=lambda key: -len(groups[key]))[:limit]}


def by_size(groups: Mapping[Key, Sequence[Record]], limit: int) -> dict[Key, Sequence[Record]]:
    """The same of groups that have one model each, the smallest model first."""
    shown = most(groups, limit)
    return {key: shown[key] for key in sorted(shown, key=lambda key: parameters(model_name(shown[key][0])))}


def left_out(shown: int, all: int, what: str, why: str = "those with the most records") -> str:
    """A sentence for the footnote; empty where everything is shown."""
    return f"{shown} of {all} {what} shown: {why}." if shown < all else ""


def latest(records: Sequence[Record]) -> dict[str, Record]:
    """By format, the last one of each."""
    return {record.format: record for record in records}


def rate(records: Iterable[Record], samples: Callable[[Record], Sequence[float]]) -> Rate | None:
    """What the samples of records of one case come to; None where there are none."""
    sessions = [values for values in map(samples, records) if values]
    if not sessions:
        return None
    values = [statistics.median(session) for session in sessions] if len(sessions) > 1 else sessions[0]
    return Rate(statistics.median(values), stats.mad(values))
