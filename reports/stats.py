"""Statistics of samples, and the metrics of a record. Pure functions; nothing is read, printed or stored here."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tritmark.results.record import Record

OURS = "tritmark"

# Student's t, two-sided 95 %, by degrees of freedom (any table of it); beyond the last the normal's 1.96 serves.
T_95 = (
    12.706,
    4.303,
    3.182,
    2.776,
    2.571,
    2.447,
    2.365,
    2.306,
    2.262,
    2.228,
    2.201,
    2.179,
    2.160,
    2.145,
    2.131,
    2.120,
    2.110,
    2.101,
    2.093,
    2.086,
)


def mad(values: Sequence[float]) -> float:
    """Median absolute deviation from the median, unscaled."""
    middle = statistics.median(values)
    return statistics.median([abs(value - middle) for value in values])


def percentile(values: Sequence[float], percent: float) -> float:
    """The value below which ``percent`` of the sorted samples lie, linear between neighbours (NumPy's default)."""
    ordered = sorted(values)
    rank = (len(ordered) - 1) * percent / 100
    low = math.floor(rank)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (rank - low)


def mean_interval_95(values: Sequence[float]) -> tuple[float, float]:
    """95 % confidence interval of the mean by Student's t; a single sample tells nothing: (-inf, inf)."""
    if len(values) < 2:
        return -math.inf, math.inf
    freedom = len(values) - 1
    t = T_95[freedom - 1] if freedom <= len(T_95) else 1.96
    half = t * statistics.stdev(values) / math.sqrt(len(values))
    return statistics.mean(values) - half, statistics.mean(values) + half


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What a list of samples comes to."""

    count: int
    median: float
    mad: float
    mean: float
    sd: float  # of the sample; 0 for a single one
    low_95: float
    high_95: float


def summary(values: Sequence[float]) -> Summary | None:
    """None where there are no samples."""
    if not values:
        return None
    low, high = mean_interval_95(values)
    return Summary(
        count=len(values),
        median=statistics.median(values),
        mad=mad(values),
        mean=statistics.mean(values),
        sd=statistics.stdev(values) if len(values) > 1 else 0.0,
        low_95=low,
        high_95=high,
    )


def runner(record: Record) -> str:
    """The engine that measured a record, with its build where it is another one than ours."""
    return record.runner or OURS


def prefill_tps(record: Record) -> list[float]:
    """Prompt tokens per second, one value a repetition; only of prefill workloads."""
    if not record.workload.startswith("prefill") or not record.prompt_tokens:
        return []
    return [record.prompt_tokens * 1e9 / ns for ns in record.samples_ns if ns]


def decode_tps(record: Record) -> list[float]:
    """(n - 1) / (t_last - t_first) tokens per second, one value a repetition; only of decode workloads."""
    if not record.workload.startswith("decode") or not record.generated_tokens:
        return []
    return [(record.generated_tokens - 1) * 1e9 / ns for ns in record.samples_ns if ns]


def train_tps(record: Record, what: str = "tokens") -> list[float]:
    """Tokens learnt from per second, one value a repetition; ``what``: "tokens" (no padding), "supervised_tokens" or
    "slots" (padding counted, as some published figures have it).
    """
    if not record.training:
        return []
    return [record.training[what] * 1e9 / ns for ns in record.samples_ns if ns]


def step_s(record: Record) -> list[float]:
    """Seconds of an optimiser step, one value a repetition."""
    return [ns / 1e9 / record.training["steps"] for ns in record.samples_ns] if record.training else []


def epoch_s(record: Record) -> tuple[float, bool] | None:
    """Seconds of an epoch by the median repetition, and whether these are extrapolated from fewer steps."""
    if not record.training or not record.samples_ns:
        return None
    steps, epoch = record.training["steps"], record.training["epoch_steps"]
    return statistics.median(step_s(record)) * epoch, steps < epoch


def inter_token_ns(record: Record) -> list[float]:
    """Every gap between tokens of every repetition; the first decoded token's gap counts from its submission."""
    return [float(after - before) for times in record.token_ns for before, after in pairwise((0, *times))]


def median_ns(times: Mapping[str, Sequence[int]] | None, how: str) -> float | None:
    """Median of ``times[how]``, None where nothing was observed."""
    values = (times or {}).get(how)
    return statistics.median(values) if values else None


def encode_per_dispatch_ns(record: Record) -> float | None:
    """The player's own time to encode and submit a dispatch, median over repetitions; None where it tells none."""
    if not record.encode_ns or not record.dispatches:
        return None
    return statistics.median(record.encode_ns) / record.dispatches


def peak_process_bytes(record: Record) -> int | None:
    """The most resident bytes seen of the player's process."""
    return max((size for _, size in record.process_memory), default=None)
