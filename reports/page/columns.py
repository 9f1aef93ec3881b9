"""Columns: what the page's tables show of a record, as the few numbers that a session comes to.

The page's script puts sessions together and writes the numbers out, as `tables.row` does for one record.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tritmark.results.record import Record

from .. import stats, tables


@dataclass(frozen=True, kw_only=True)
class Column:
    """``kind``: "spread" is a median and its MAD, "list" numbers side by side, "whole" a whole number, "epoch" a number
    and whether it is extrapolated, "loss" the first and the last. ``read`` gives nothing where a record has none.
    """

    name: str
    kind: str
    read: Callable[[Record], Sequence[float]]

    @property
    def head(self) -> str:
        """Name and unit, a line each."""
        return tables.HEADS[self.name]


def _spread(samples: Callable[[Record], Sequence[float]]) -> Callable[[Record], Sequence[float]]:
    def read(record: Record) -> Sequence[float]:
        values = samples(record)
        return (statistics.median(values), stats.mad(values)) if values else ()

    return read


def _middle(values: Sequence[float]) -> Sequence[float]:
    return (statistics.median(values),) if values else ()


def _ttft_ms(record: Record) -> Sequence[float]:
    return [ns / 1e6 for ns in _middle(record.ttft_ns)]


def _itl_ms(record: Record) -> Sequence[float]:
    gaps = sorted(stats.inter_token_ns(record))
    return [stats.percentile(gaps, percent) / 1e6 for percent in (50, 90, 99)] if gaps else ()


def _epoch(record: Record) -> Sequence[float]:
    return stats.epoch_s(record) or ()


def _losses(record: Record) -> Sequence[float]:
    losses = (record.training or {}).get("losses")
    return (losses[0], losses[-1]) if losses else ()


def _cold_warm_s(times: Any) -> Sequence[float]:
    found = (stats.median_ns(times, how) for how in ("cold", "warm"))
    return [ns / 1e9 for ns in found if ns is not None]


def _mib(size: int | None) -> Sequence[float]:
    return () if size is None else (size / 2**20,)


COLUMNS = (
    Column(name="Prefill tok/s", kind="spread", read=_spread(stats.prefill_tps)),
    Column(name="Decode tok/s", kind="spread", read=_spread(stats.decode_tps)),
    Column(name="TTFT ms", kind="list", read=_ttft_ms),
    Column(name="ITL ms", kind="list", read=_itl_ms),
    Column(name="Train tok/s", kind="spread", read=_spread(stats.train_tps)),
    Column(name="Supervised tok/s", kind="list", read=lambda r: _middle(stats.train_tps(r, "supervised_tokens"))),
    Column(name="Step s", kind="spread", read=_spread(stats.step_s)),
    Column(name="Epoch s", kind="epoch", read=_epoch),
    Column(name="Loss", kind="loss", read=_losses),
    Column(name="Load s", kind="list", read=lambda r: _cold_warm_s(r.load_ns)),
    Column(name="Compile s", kind="list", read=lambda r: _cold_warm_s(r.compile_ns)),
    Column(name="GPU MiB", kind="whole", read=lambda r: _mib(r.ledger_peak_bytes)),
    Column(name="RSS MiB", kind="whole", read=lambda r: _mib(stats.peak_process_bytes(r))),
)


def values(record: Record) -> list[list[float | int] | int]:
    """Of every column, seven significant digits; 0 where the record has none. Nothing of rows that did not run."""
    if record.status != "ok":
        return []
    read = ([_short(value) for value in column.read(record)] for column in COLUMNS)
    return [found or 0 for found in read]


def _short(value: float) -> float | int:
    short = float(f"{value:.7g}")
    return int(short) if short.is_integer() else short
