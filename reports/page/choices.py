"""Choices: the recommendations that records allow, as the texts and links that the page shows first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from tritmark.results.record import Record

from ..choice.hardware import column_of
from ..choice.recommendation import Option, Rate, Recommendation
from ..tables import NONE, number

MOST = 24  # machines and models; a list to read before anything else is no longer one beyond that
MOST_LINKED = 12
RESIDENT = {"tq1_0>tq2_0": "tq2_0"}  # the format that an option computes in, where that is not its name
TITLES = {"tq1_0": "TQ1_0", "tq2_0": "TQ2_0", "tq1_0>tq2_0": "TQ1_0, repacked to TQ2_0"}


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A number and the address of its evidence, empty where there is no number."""

    text: str
    link: str = ""


@dataclass(frozen=True, kw_only=True)
class Line:
    """An option as a row; ``reason`` is why it is not feasible."""

    title: str
    chosen: bool
    reason: str | None
    cells: Sequence[Cell]


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A recommendation. ``action`` is the part of its sentence that says what to do, ``because`` the rest."""

    found: Recommendation
    action: str
    because: str
    mix: str
    link: str
    records: int
    heads: Sequence[tuple[str, str]]  # (name, unit) of a column
    lines: Sequence[Line]


def recommended(records: Sequence[Record]) -> tuple[list[Recommendation], str]:
    """For the machines and models that were measured last, and a sentence on those left out."""
    from ..choice.advice import recommend_measured  # which brings NumPy

    measured = [record for record in records if record.kind == "measured"]
    latest = sorted(measured, key=lambda record: record.started_at, reverse=True)
    pairs = list(dict.fromkeys((column_of(record), record.model) for record in latest))
    kept = set(pairs[:MOST])
    found = recommend_measured(record for record in measured if (column_of(record), record.model) in kept)
    left = len(pairs) - len(kept)
    more = f"Of {len(pairs)} machines and models the {MOST} measured last; `tritmark recommend` tells of every one."
    return found, more if left else ""


def choices(found: Iterable[Recommendation], records: Iterable[Record]) -> dict[str, list[Choice]]:
    """By device, with the links that lead from every number to its records."""
    known = {record.id: record for record in records}
    devices: dict[str, list[Choice]] = {}
    for each in found:
        devices.setdefault(each.device, []).append(_choice(each, known))
    return devices


def link(ids: Iterable[str]) -> str:
    """The address of the evidence inside the page; empty for no record."""
    named = ",".join(quote(name, safe="") for name in ids)
    return f"#r-{named}" if named else ""


def _choice(found: Recommendation, known: Mapping[str, Record]) -> Choice:
    action, _, because = found.sentence.partition(": ")
    phases = list(found.mix)
    return Choice(
        found=found, action=action, because=because, link=link(_cases(found.record_ids, known)),
        mix=", ".join(f"{tokens:,.0f} tokens of {_phase(phase)}" for phase, tokens in found.mix.items()),
        records=len(found.record_ids),
        heads=(*((_phase(phase).capitalize(), "tok/s (80 %)") for phase in phases), ("Mix", "s"), ("Regret", "%"),
               ("P(best)", "%"), ("Download", "MB"), ("GPU", "MiB")),
        lines=[_line(option, found, phases, known) for option in found.options],
    )  # fmt: skip


def _phase(phase: str) -> str:
    return "training" if phase == "train" else phase


def _line(option: Option, found: Recommendation, phases: Sequence[str], known: Mapping[str, Record]) -> Line:
    own = _of_format(option, found.record_ids, known)
    every = link(_cases(found.record_ids, known))
    numbers = (
        (_seconds(option.seconds), every), (_percent(option.regret, 1), every), (_percent(option.p_best, 0), every),
        (_size(option.download_bytes, 10**6), own), (_size(option.peak_bytes, 2**20), own),
    )  # fmt: skip
    rates = [_rate(option, option.rates.get(phase), known) for phase in phases]
    return Line(
        title=TITLES.get(option.name, option.name), chosen=option.name == found.chosen, reason=option.reason,
        cells=(*rates, *(Cell(text=text, link=to if text != NONE else "") for text, to in numbers)),
    )  # fmt: skip


def _rate(option: Option, rate: Rate | None, known: Mapping[str, Record]) -> Cell:
    if rate is None:
        return Cell(text=NONE)
    low, high = number(rate.low_tps, like=rate.tps), number(rate.high_tps, like=rate.tps)
    return Cell(text=f"{number(rate.tps)} ({low} to {high})", link=_of_format(option, rate.record_ids, known))


def _of_format(option: Option, ids: Sequence[str], known: Mapping[str, Record]) -> str:
    """The records among ``ids`` that are of the format an option computes in; all where none is."""
    format = RESIDENT.get(option.name, option.name)
    own = [name for name in ids if name in known and known[name].format == format]
    return link(_cases(own or ids, known))


def _cases(ids: Sequence[str], known: Mapping[str, Record]) -> list[str]:
    """One record of each case: the page shows its other sessions beside it."""
    latest = {
        (record.format, record.workload, record.device): name for name in ids if (record := known.get(name)) is not None
    }
    return list(latest.values())[:MOST_LINKED]


def _seconds(value: float | None) -> str:
    if value is None:
        return NONE
    return number(value) if value >= 1 else f"{value:#.3g}"


def _percent(share: float | None, digits: int) -> str:
    return NONE if share is None else f"{100 * share:.{digits}f}"


def _size(size: int | None, unit: int) -> str:
    return NONE if size is None else f"{size / unit:,.0f}"
