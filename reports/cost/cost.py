"""Cost: a query in seconds, joules and money, and when a device that is paid once beats a cloud that is paid by token.

A query is a prompt of ``tokens_in`` and an answer of ``tokens_out`` tokens, the first of which the prefill gives:

    seconds  = tokens_in / prefill rate + (tokens_out - 1) / decode rate
    joules   = watts of prefill * its seconds + watts of decode * its seconds
    queries  = price of the device / (cloud price of a query - electricity of a query)

Rates are measured, at the length nearest to that of the query; prices are stated.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tritmark.results.record import Record

from .. import sessions, stats
from ..metrics import RATES, Metric
from .energy import Power, mean_power
from .prices import Prices

DAY_S = 86_400.0
KWH_J = 3.6e6
PREFILL, DECODE = RATES[:2]
ALWAYS = ("the device is worth nothing afterwards and idles for free", "its answers are as good as the cloud's")
LENGTH = re.compile(r"(?:prefill|decode):(\d+)(?:@(\d+))?")


@dataclass(frozen=True, kw_only=True)
class Span:
    """A number with its spread."""

    value: float
    low: float
    high: float

    def scaled(self, by: float) -> Span:
        return Span(value=self.value * by, low=self.low * by, high=self.high * by)

    def __add__(self, other: Span) -> Span:
        """Both at their worst, both at their best: wider than chance, never narrower."""
        return Span(value=self.value + other.value, low=self.low + other.low, high=self.high + other.high)

    def __mul__(self, other: Span) -> Span:
        return Span(value=self.value * other.value, low=self.low * other.low, high=self.high * other.high)


@dataclass(frozen=True, kw_only=True)
class Rate:
    """Tokens a second of one phase. ``spread``: what low and high are; ``workload``: where it was measured."""

    tps: Span
    spread: str
    workload: str
    record_ids: tuple[str, ...]
    power: Power | str  # or why it is not known


@dataclass(frozen=True, kw_only=True)
class BreakEven:
    """``queries`` is None where the device never pays; ``reason`` says why, or what the numbers leave out."""

    queries: Span | None
    tokens: Span | None = None
    days: Span | None = None
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Of one model in one format on one device. ``assumed`` holds what is neither measured nor stated."""

    model: str
    format: str
    device: str
    engine: str
    prefill: Rate
    decode: Rate
    seconds: Span  # of a query
    joules: Span | None
    power: str  # "measured", "stated", or why it is not known
    electricity: Span | None  # USD of a query
    cloud: float  # USD of a query
    break_even: BreakEven
    queries_per_charge: Span | None
    assumed: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def costs(records: Sequence[Record], prices: Prices) -> tuple[list[Cost], list[str]]:
    """The cost of every model, format, device and engine with both phases, and one line for each that lacks one."""
    found: list[Cost] = []
    lacking: list[str] = []
    for key, groups in _arms(records).items():
        prefill = _nearest(groups, PREFILL, prices.tokens_in)
        decode = _nearest(groups, DECODE, prices.tokens_in)
        if prefill and decode:
            found.append(_cost(key, _rate(prefill, PREFILL, prices), _rate(decode, DECODE, prices), prices))
        elif prefill or decode:
            what = "no prefill" if decode else "no decode"
            lacking.append(f"{' '.join(key[:3])}: {what} among the records, so that a query has no time")
    return found, lacking


def _arms(records: Iterable[Record]) -> dict[tuple[str, str, str, str], list[list[Record]]]:
    """Sessions of cases by model, format, device and engine."""
    arms: dict[tuple[str, str, str, str], list[list[Record]]] = {}
    for group in sessions.grouped(list(records)):
        first = group[0]
        device = f"{first.adapter or first.device} ({first.device})"
        arms.setdefault((first.model, first.format, device, stats.runner(first)), []).append(group)
    return arms


def _nearest(groups: Sequence[list[Record]], metric: Metric, tokens: int) -> list[Record] | None:
    """Of the cases with this rate the one whose prompt, or whose context for decode, is nearest to ``tokens``."""

    def apart(group: list[Record]) -> float:
        length = LENGTH.match(group[0].workload)
        if not length:
            return math.inf
        context = length[1] if metric is PREFILL else (length[2] or 0)
        return abs(math.log1p(int(context)) - math.log1p(tokens))

    return min((group for group in groups if sessions.values(group, metric)), key=apart, default=None)


def _rate(group: list[Record], metric: Metric, prices: Prices) -> Rate:
    found = sessions.estimate(sessions.values(group, metric))
    if found.interval_95:
        low, high = (
            min(found.interval_95[0], found.median),
            max(found.interval_95[1], found.median),
        )  # it is of the mean
        spread = f"95 % interval over {len(found.values)} sessions"
    else:
        samples = stats.summary(metric.samples(group[0]))
        mad = samples.mad if samples else 0.0
        low, high = max(found.median - mad, found.median / 2), found.median + mad
        spread = f"MAD of {samples.count if samples else 0} repetitions in one session"
    stated = Power(watts=prices.power_w, mad=0.0, samples=0) if prices.power_w else None
    return Rate(tps=Span(value=found.median, low=low, high=high), spread=spread, workload=group[0].workload,
                record_ids=tuple(record.id for record in group), power=stated or mean_power(tuple(group)))  # fmt: skip


def _seconds(tokens: float, rate: Rate) -> Span:
    return Span(value=tokens / rate.tps.value, low=tokens / rate.tps.high, high=tokens / rate.tps.low)


def _joules(tokens: float, rate: Rate) -> Span | None:
    """None where the power is not known."""
    if isinstance(rate.power, str):
        return None
    watts, mad = rate.power.watts, rate.power.mad
    return _seconds(tokens, rate) * Span(value=watts, low=max(0.0, watts - mad), high=watts + mad)


def of_tokens(count: float, rate: Rate) -> tuple[Span, Span | None]:
    """Seconds and joules of ``count`` tokens of one phase."""
    return _seconds(count, rate), _joules(count, rate)


def _cost(key: tuple[str, str, str, str], prefill: Rate, decode: Rate, prices: Prices) -> Cost:
    decoded = max(0, prices.tokens_out - 1)
    parts = [of_tokens(prices.tokens_in, prefill), of_tokens(decoded, decode)]
    seconds = parts[0][0] + parts[1][0]
    joules = parts[0][1] + parts[1][1] if parts[0][1] and parts[1][1] else None
    reasons = [rate.power for rate in (prefill, decode) if isinstance(rate.power, str)]
    electricity = joules.scaled(prices.electricity / KWH_J) if joules else None
    charge = prices.battery_wh * KWH_J / 1000 if prices.battery_wh else None
    per_charge = _inverse(joules, charge) if joules and charge and joules.low > 0 else None
    model, fmt, device, engine = key
    return Cost(
        model=model, format=fmt, device=device, engine=engine, prefill=prefill, decode=decode, seconds=seconds,
        joules=joules, power=reasons[0] if reasons else "stated" if prices.power_w else "measured",
        electricity=electricity, cloud=prices.cloud_query, break_even=_break_even(seconds, electricity, prices),
        queries_per_charge=per_charge, assumed=_assumed(prefill, decode, joules is not None, prices),
    )  # fmt: skip


def _inverse(joules: Span, charge: float) -> Span:
    return Span(value=charge / joules.value, low=charge / joules.high, high=charge / joules.low)


def _break_even(seconds: Span, electricity: Span | None, prices: Prices) -> BreakEven:
    own = electricity or Span(value=0.0, low=0.0, high=0.0)
    if prices.cloud_query <= own.value:
        what = "the electricity of a query costs as much as the cloud, or more" if electricity else "the cloud is free"
        return BreakEven(queries=None, reason=f"never: {what}")
    if (busy_s := seconds.value * prices.queries_per_day) > DAY_S:
        says = (
            f"never at {prices.queries_per_day:,.0f} queries a day: those take {busy_s / 3600:,.1f} hours; "
            f"one device answers {DAY_S / seconds.value:,.0f} a day"
        )
        return BreakEven(queries=None, reason=says)
    low, value, high = (_queries(cost, prices) for cost in (own.low, own.value, own.high))
    queries = Span(value=value, low=low, high=high)
    reason = None if electricity else "at least: electricity is left out, for its power is not known"
    tokens = queries.scaled(prices.tokens_in + prices.tokens_out)
    return BreakEven(queries=queries, tokens=tokens, days=queries.scaled(1 / prices.queries_per_day), reason=reason)


def _queries(electricity: float, prices: Prices) -> float:
    """Whole queries until the device is paid, infinite where each costs more than the cloud's."""
    saved = prices.cloud_query - electricity
    return math.ceil(prices.device / saved) if saved > 0 else math.inf


def _assumed(prefill: Rate, decode: Rate, powered: bool, prices: Prices) -> tuple[str, ...]:
    """What the numbers take for granted."""
    query = f"{prices.tokens_in:,} + {prices.tokens_out:,} tokens"
    rates = f"the rates of {prefill.workload} and {decode.workload} hold for a query of {query}"
    if not powered:
        return (rates, *ALWAYS)
    if prices.power_w:
        return (rates, "the stated power is drawn while a query is answered", *ALWAYS)
    return (rates, "the power while a case was measured is that of a query", *ALWAYS)


def selected(records: Iterable[Record], device: str | None, model: Sequence[str], fmt: Sequence[str]) -> list[Record]:
    """Those on a device whose adapter or name contains ``device``, of models whose name contains one of ``model``, of
    these formats; None and empty: all.
    """

    def fits(record: Record) -> bool:
        names = f"{record.adapter or ''} {record.device}".lower()
        return (
            (device is None or device.lower() in names)
            and (not model or any(part.lower() in record.model.lower() for part in model))
            and (not fmt or record.format in fmt)
        )

    return [record for record in records if fits(record)]
