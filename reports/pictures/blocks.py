"""Blocks: rates by machine and model as the picture of speed stacks them, ours and published ones apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from tritmark.reports import stats
from tritmark.results.record import Record

from .selection import Rate, by_size, grouped, left_out, measured, model_name, most, rate, setup

PHASES = {"prefill": stats.prefill_tps, "decode": stats.decode_tps}
MOST_MODELS = 8
MOST_LINES = 26  # of ours, and as many of published figures: a heading and a line a model


class Row(NamedTuple):
    """A model on a machine. ``rates``: ours by (phase, format); ``figures``: published decode rates."""

    model: str
    rates: Mapping[tuple[str, str], Rate]
    figures: Sequence[Record] = ()

    def values(self, phase: str) -> list[float]:
        """Tokens per second, ours and printed."""
        ours = [rate.median for (of, _), rate in self.rates.items() if of == phase]
        return ours + [printed_tps(record) for record in self.figures if phase == "decode"]


class Block(NamedTuple):
    """A machine: its rows, and the workloads of ours."""

    machine: str
    workloads: str
    rows: Sequence[Row]


def printed_tps(record: Record) -> float:
    """The figure of a published record; 0 where none was printed."""
    return float((record.figure or {}).get("value") or 0.0)


def measured_blocks(records: Sequence[Record]) -> tuple[list[Block], str]:
    """A block a machine, those with the most records, and a sentence on what is left out."""
    rated = [record for record in measured(records) if any(tps(record) for tps in PHASES.values())]
    machines = grouped(rated, setup)
    blocks = list(_fitting(_measured_block(name, members) for name, members in most(machines, MOST_LINES).items()))
    return blocks, left_out(len(blocks), len(machines), "machines")


def published_blocks(records: Sequence[Record], models: set[str]) -> tuple[list[Block], str]:
    """The same of decode rates that were printed, of ``models`` alone where any was printed of these."""
    printed = [r for r in records if r.figure and r.figure.get("metric") == "decode" and printed_tps(r) > 0]
    same = [record for record in printed if model_name(record) in models] or printed
    devices = grouped(same, lambda record: record.device)
    blocks = list(_fitting(_published_block(name, members) for name, members in most(devices, MOST_LINES).items()))
    fewer = "Of published figures only those of the models that we measured." if len(same) < len(printed) else ""
    return blocks, " ".join(filter(None, (left_out(len(blocks), len(devices), "published devices"), fewer)))


def _measured_block(name: str, members: Sequence[Record]) -> Block:
    """Of each phase the workload that has the most records."""
    by_workload = grouped(members, lambda record: record.workload)
    phases = [{name: same for name, same in by_workload.items() if name.startswith(phase)} for phase in PHASES]
    chosen = [same for phase in phases for same in most(phase, 1).values()]
    models = by_size(grouped((record for same in chosen for record in same), model_name), MOST_MODELS)
    workloads = ", ".join(same[0].workload for same in chosen)
    return Block(name, workloads, [Row(model, _rates(same)) for model, same in models.items()])


def _published_block(name: str, members: Sequence[Record]) -> Block:
    models = by_size(grouped(members, model_name), MOST_MODELS)
    return Block(name, "", [Row(model, {}, same) for model, same in models.items()])


def _rates(members: Sequence[Record]) -> dict[tuple[str, str], Rate]:
    found = {
        (phase, format): rate(same, tps)
        for format, same in grouped(members, lambda record: record.format).items()
        for phase, tps in PHASES.items()
    }
    return {key: value for key, value in found.items() if value}


def _fitting(blocks: Iterator[Block]) -> Iterator[Block]:
    """The first of ``blocks``, as many as there are lines for; at least one."""
    lines = 0
    for block in blocks:
        lines += 1 + len(block.rows)
        if lines > MOST_LINES and lines > 1 + len(block.rows):
            return
        yield block
