"""The metrics that sessions are summarised and compared by: name with unit, which direction is better, how it is read.

A session's value is the median of its repetitions; of the gaps between tokens it is a percentile of all of them.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tritmark.results.record import Record

from . import stats


@dataclass(frozen=True, kw_only=True)
class Metric:
    """``samples`` gives a record's values, one a repetition where there are several; empty where it has none."""

    name: str
    title: str
    samples: Callable[[Record], Sequence[float]]
    higher_is_better: bool = False
    counted: bool = False  # not timed: the same in every session, so that any difference is one

    def value(self, record: Record) -> float | None:
        """Of a session; None where the record has no such number, or a clock too coarse for it."""
        samples = self.samples(record)
        middle = statistics.median(samples) if samples else 0.0
        return middle if middle > 0 else None

    @property
    def unit(self) -> str:
        return {"tps": "tok/s", "ns": "ms", "bytes": "MiB"}[self.name.rpartition("_")[2]]

    def shown_in_unit(self, value: float) -> float:
        """A value in `unit`."""
        return value / {"tok/s": 1, "ms": 1e6, "MiB": 2**20}[self.unit]


def _percentile_of_gaps(percent: int) -> Metric:
    def samples(record: Record) -> list[float]:
        gaps = stats.inter_token_ns(record)
        return [stats.percentile(gaps, percent)] if gaps else []

    return Metric(name=f"itl_p{percent}_ns", title=f"ITL p{percent}", samples=samples)


def _loading(what: str, how: str) -> Metric:
    def samples(record: Record) -> Sequence[float]:
        return (getattr(record, f"{what}_ns") or {}).get(how, ())

    return Metric(name=f"{what}_{how}_ns", title=f"{what} {how}", samples=samples)


def _known(value: int | None) -> list[float]:
    return [] if value is None else [float(value)]


METRICS = (
    Metric(name="prefill_tps", title="prefill", samples=stats.prefill_tps, higher_is_better=True),
    Metric(name="decode_tps", title="decode", samples=stats.decode_tps, higher_is_better=True),
    Metric(name="train_tps", title="training", samples=stats.train_tps, higher_is_better=True),
    Metric(name="ttft_ns", title="TTFT", samples=lambda record: record.ttft_ns),
    *(_percentile_of_gaps(percent) for percent in (50, 90, 99)),
    *(_loading(what, how) for what in ("load", "compile") for how in ("cold", "warm")),
    Metric(name="peak_bytes", title="GPU memory", samples=lambda r: _known(r.ledger_peak_bytes), counted=True),
    Metric(name="peak_process_bytes", title="RSS", samples=lambda r: _known(stats.peak_process_bytes(r))),
)
RATES = METRICS[:3]  # a case has one of them
