"""Statistics of samples, and the metrics of a record. Pure functions; nothing is read, printed or stored here."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tritmark.results.record import Record

OURS = "tritmark"

NORMAL_95 = 1.959964  # two-sided, as all of these
# Student's t, two-sided 95 %, by degrees of freedom (any table of it).
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
OUTLYING = 3.5
LEAST_FOR_OUTLIERS = 5


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


def t_95(freedom: float) -> float:
    """Student's t, two-sided 95 %; a fraction of a degree of freedom is dropped, which widens.

    Beyond the table the expansion around the normal quantile z, Abramowitz and Stegun 26.7.5, right to 0.001.
    """
    whole, z = max(1, int(freedom)), NORMAL_95
    if whole <= len(T_95):
        return T_95[whole - 1]
    return z + (z**3 + z) / (4 * whole) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * whole**2)


def outliers(values: Sequence[float]) -> tuple[int, ...]:
    """Places of the values beyond 3.5 scaled MADs of the median, Iglewicz and Hoaglin's rule; of fewer than five none.

    Where more than half of the values are one, the mean deviation from the median takes the MAD's place. They are
    named, never dropped.
    """
    if len(values) < LEAST_FOR_OUTLIERS:
        return ()
    middle = statistics.median(values)
    apart = [abs(value - middle) for value in values]
    scale = 1.4826 * statistics.median(apart) or 1.2533 * statistics.mean(apart)
    return tuple(at for at, distance in enumerate(apart) if distance > OUTLYING * scale)


def mean_interval_95(values: Sequence[float]) -> tuple[float, float]:
    """95 % confidence interval of the mean by Student's t; a single sample tells nothing: (-inf, inf)."""
    if len(values) < 2:
        return -math.inf, math.inf
    half = t_95(len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))
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


@dataclass(frozen=True, kw_only=True)
class Spread:
    """How a long series, as of the times between tokens, is spread."""

    count: int
    median: float
    mad: float
    p50: float
    p90: float
    p99: float
    outliers: tuple[int, ...]  # places in the series


def spread(series: Sequence[float]) -> Spread | None:
    """None where the series is empty."""
    if not series:
        return None
    p50, p90, p99 = (percentile(series, percent) for percent in (50, 90, 99))
    return Spread(
        count=len(series),
        median=statistics.median(series),
        mad=mad(series),
        p50=p50,
        p90=p90,
        p99=p99,
        outliers=outliers(series),
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
    return [gap for series in token_series(record) for gap in series]


def token_series(record: Record) -> list[list[float]]:
    """The gaps between tokens, ns, a list a repetition."""
    return [[float(after - before) for before, after in pairwise((0, *times))] for times in record.token_ns]


def token_spreads(record: Record) -> list[Spread]:
    """The spread of each repetition's gaps between tokens, ns."""
    return [found for series in token_series(record) if (found := spread(series))]


def median_ns(times: Mapping[str, Sequence[int]] | None, how: str) -> float | None:
    """Median of ``times[how]``, None where nothing was observed."""
    values = (times or {}).get(how)
    return statistics.median(values) if values else None


def encode_per_dispatch_ns(record: Record) -> float | None:
    """The player's own time to encode and submit a dispatch, median over repetitions; None where it tells none."""
    if not record.encode_ns or not record.dispatches:
        return None
    return statistics.median(record.encode_ns) / record.dispatches


def overhead(record: Record) -> float | None:
    """The part of a decode run in which the GPU computes nothing: what the player and the driver cost it.

    A software GPU computes while it is being asked, and has none that could be told apart.
    """
    if not record.busy_ns or not record.samples_ns or (record.caps or {}).get("kind") == "cpu":
        return None
    return max(0.0, 1 - statistics.median(record.busy_ns) / statistics.median(record.samples_ns))


def peak_process_bytes(record: Record) -> int | None:
    """The most resident bytes seen of the player's process."""
    return max((size for _, size in record.process_memory), default=None)
