"""The tables of the project's README, made from the records and the published figures beside it.

usage: python -m tritmark.reports.readme README.md PUBLISHED.csv FOLDER ...     (rewrites the lines between markers)
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from tritmark.results.record import Record
from tritmark.results.store import read

from . import stats
from .audit.graded import published_records
from .choice import evaluation as scoring
from .choice.pairs import paired
from .choice.rendering import scores

MARKERS = "<!-- {name}: begin -->", "<!-- {name}: end -->"
HEADS = ("Device", "Model", "Format", "Prefill tok/s", "Decode tok/s", "Weights read, GB/s", "GPU MiB")
TRAINING_HEADS = (
    "Device", "Model", "Format", "Fine-tuning", "Train tok/s", "with padding", "Epoch s", "GPU MiB",
)  # fmt: skip


def table(machines: Iterable[Sequence[Record]]) -> str:
    """A Markdown row for each machine, player, model and format: medians ± MAD over the repetitions of all
    sessions; fine-tuning apart.

    ``machines``: the records of one machine each. Weights read are the bytes of all weights (a decode step reads each
    once) times the decode rate.
    """
    groups: dict[tuple[str, str, str], list[Record]] = {}
    training: dict[tuple[str, str, str, str], list[Record]] = {}
    for records in machines:
        for record in (record for record in records if record.status == "ok"):
            device = _name(records) + _player(record)
            if record.training:
                training.setdefault((device, record.model, record.format, record.workload), []).append(record)
            else:
                groups.setdefault((device, record.model, record.format), []).append(record)
    lines = ["| " + " | ".join(HEADS) + " |", "|---|---|---|---:|---:|---:|---:|"]
    lines += ["| " + " | ".join((*key, *_cells(members))) + " |" for key, members in groups.items()]
    if training:
        lines += ["", "| " + " | ".join(TRAINING_HEADS) + " |", "|---|---|---|---|---:|---:|---:|---:|"]
        lines += ["| " + " | ".join(_training_cells(key[0], members)) + " |" for key, members in training.items()]
    return "\n".join(lines) + "\n"


def evaluation(published: Path) -> str:
    """How well formats are chosen for the published devices, each left out in turn: all figures, and the sound ones."""
    cells = scoring.table(paired(published_records(published)))
    return scores([score for score in scoring.tables(cells) if score.left_out == "column"]) + "\n"


def rewritten(text: str, published: Path, machines: Iterable[Sequence[Record]]) -> str:
    """``text`` with the lines between its markers replaced. Raises ValueError where a marker is missing."""
    return _between(_between(text, "measured", table(machines)), "evaluation", evaluation(published))


def _between(text: str, name: str, lines: str) -> str:
    first, last = (marker.format(name=name) for marker in MARKERS)
    before, found_first, rest = text.partition(first)
    _, found_last, after = rest.partition(last)
    if not found_first or not found_last:
        raise ValueError(f"the text needs the lines {first} and {last}")
    return f"{before}{first}\n{lines}{last}{after}"


def _name(records: Sequence[Record]) -> str:
    """A machine is called as its own driver calls it; browsers hide that."""
    told = [record for record in records if record.adapter]
    best = next((record for record in told if record.player == "wgpu"), told[0] if told else records[0])
    return best.adapter or best.device


def _player(record: Record) -> str:
    if record.runner:
        return f", {record.runner}"
    return f", web player ({record.device.partition(':')[0]})" if record.player == "web" else ""


def _cells(members: Sequence[Record]) -> tuple[str, str, str, str]:
    prefill, decode = (_first_workload(members, kind) for kind in ("prefill", "decode"))
    traffic = [r.ledger["weight"] * statistics.median(stats.decode_tps(r)) / 1e9 for r in decode if r.ledger]
    peak = max(r.ledger_peak_bytes or 0 for r in (*prefill, *decode))
    return (
        _rate(prefill, stats.prefill_tps),
        _rate(decode, stats.decode_tps),
        _traffic(statistics.median(traffic)) if traffic else "-",
        f"{peak / 2**20:,.0f}",
    )


def _first_workload(members: Sequence[Record], kind: str) -> list[Record]:
    """The sessions of one workload: a table has room for one length, others are in the report."""
    alike = [record for record in members if record.workload.startswith(kind) and record.samples_ns]
    return [record for record in alike if record.workload == alike[0].workload]


def _traffic(rate: float) -> str:
    return f"{rate:,.1f}" if rate < 100 else f"{rate:,.0f}"


def _training_cells(device: str, sessions: Sequence[Record]) -> tuple[str, ...]:
    """An epoch is marked ~ where it is extrapolated from the steps that were measured."""
    record = sessions[0]
    tokens, slots = ([tps for each in sessions for tps in stats.train_tps(each, what)] for what in ("tokens", "slots"))
    seconds, extrapolated = stats.epoch_s(record) or (0.0, False)
    return (
        device, record.model, record.format, record.workload,
        f"{statistics.median(tokens):,.0f} ± {stats.mad(tokens):,.0f}", f"{statistics.median(slots):,.0f}",
        f"{'~' if extrapolated else ''}{seconds:,.1f}", f"{(record.ledger_peak_bytes or 0) / 2**20:,.0f}",
    )  # fmt: skip


def _rate(sessions: Sequence[Record], rates_of: Callable[[Record], list[float]]) -> str:
    """Median ± MAD over the repetitions of all sessions."""
    if not sessions:
        return "-"
    tps = [rate for record in sessions for rate in rates_of(record)]
    digits = 1 if statistics.median(tps) < 100 else 0
    return f"{statistics.median(tps):,.{digits}f} ± {stats.mad(tps):,.{digits}f} ({sessions[0].workload})"


def main(arguments: Sequence[str]) -> None:
    readme, published, *folders = map(Path, arguments)
    text = readme.read_text(encoding="utf-8")
    readme.write_text(rewritten(text, published, map(read, folders)), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
