"""Report: everything that the page, the Markdown and the terminal show, from records alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tritmark.results.record import Record

from ..choice.pairs import size_name
from ..choice.recommendation import Recommendation
from .choices import recommended

# The metrics of published tables that we measure too, and our name of each.
METRICS = {"decode": "Decode tok/s", "train_throughput": "Train tok/s", "epoch_time": "Epoch s", "vram_peak": "GPU MiB"}


@dataclass(frozen=True, kw_only=True)
class Report:
    """``records``: ours and what other engines did, without the printed figures, which are ``published``. ``notes``:
    what a person should know of the files. ``left_out``: of the recommendations, a sentence.
    """

    records: Sequence[Record]
    published: Sequence[Record]
    notes: Sequence[str]
    recommendations: Sequence[Recommendation]
    left_out: str = ""


def report(records: Sequence[Record], beside: Sequence[Record], notes: Sequence[str] = ()) -> Report:
    """``beside``: printed figures to lay beside the records, those of the same metrics and sizes of model. Figures that
    stand among ``records`` are shown all.
    """
    ours = [record for record in records if record.kind != "published"]
    given = [record for record in records if record.kind == "published"]
    found, left_out = recommended(ours)
    known = {record.id for record in given}
    alike = [record for record in comparable(beside, ours) if record.id not in known]
    return Report(records=ours, published=[*given, *alike], notes=notes, recommendations=found, left_out=left_out)


def comparable(published: Sequence[Record], ours: Sequence[Record]) -> list[Record]:
    """The figures whose metric and size of model ``ours`` have too."""
    ran = [record for record in ours if record.status == "ok"]
    there = {(metric, size_name(record.model)) for record in ran for metric in metrics_of(record)}
    return [record for record in published if (record.workload, size_name(record.model)) in there]


def metrics_of(record: Record) -> tuple[str, ...]:
    """The published metrics that a record tells too; peaks of memory were published of fine-tuning."""
    if record.training:
        return "train_throughput", "epoch_time", "vram_peak"
    return ("decode",) if record.workload.startswith("decode") else ()
