"""Costs as text of 80 columns: what was stated, then a block for each model, format and device."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from .cost import KWH_J, Cost, Rate, Span, of_tokens
from .prices import Prices

WIDTH = 80
THOUSAND = 1000
YEAR_DAYS = 365.25


def text(costs: Sequence[Cost], lacking: Sequence[str], prices: Prices) -> str:
    """Everything, in the order of the records."""
    blocks = [_stated(prices), *(_block(cost, prices) for cost in costs)]
    if lacking:
        blocks.append("\n".join(["Left out", *(line for each in lacking for line in _wrapped(each, "  "))]))
    return "\n\n".join(blocks)


def _stated(prices: Prices) -> str:
    power = "not stated" if prices.power_w is None else f"{prices.power_w:g} W"
    battery = "not stated" if prices.battery_wh is None else f"{prices.battery_wh:g} Wh"
    rows = (
        ("cloud", f"{prices.cloud_in:g} USD a million tokens in, {prices.cloud_out:g} out"),
        ("device", f"{prices.device:,g} USD once"),
        ("electricity", f"{prices.electricity:g} USD a kWh"),
        ("a query", f"{prices.tokens_in:,} tokens in, {prices.tokens_out:,} out; "
                    f"{prices.queries_per_day:,g} a day"),
        ("power, battery", f"{power}, {battery}"),
    )  # fmt: skip
    return "\n".join(["Stated", *(f"  {name:<15} {value}" for name, value in rows)])


def _block(cost: Cost, prices: Prices) -> str:
    by = "" if cost.engine == "tritmark" else f" by {cost.engine}"
    lines = [f"{cost.model} {cost.format} on {cost.device}{by}", *_table(cost, prices), ""]
    lines += [f"  {'cloud':<15} {_money(cost.cloud)} a query  [stated]"]
    if cost.electricity:
        lines += [f"  {'electricity':<15} {_money(cost.electricity.value)} a query  [{cost.power} power]"]
    else:
        lines += _wrapped(f"not known: {cost.power}. Give --power WATTS.", f"  {'electricity':<15} ")
    lines += list(_break_even(cost))
    if cost.queries_per_charge:
        lines += [f"  {'a charge':<15} {_span(cost.queries_per_charge)} queries  [{cost.power} power, stated battery]"]
    lines += ["", *_evidence("prefill", cost.prefill), *_evidence("decode", cost.decode)]
    return "\n".join([*lines, *_wrapped("; ".join(cost.assumed), f"  {'assumed':<15} ")])


def _table(cost: Cost, prices: Prices) -> Iterator[str]:
    yield f"  {'':<22}{'seconds':>20}{'joules':>20}{'battery':>12}"
    rows = (("1,000 prompt tokens", *of_tokens(THOUSAND, cost.prefill)),
            ("1,000 generated tokens", *of_tokens(THOUSAND, cost.decode)),
            ("a query", cost.seconds, cost.joules))  # fmt: skip
    for name, seconds, joules in rows:
        share = f"{joules.value / (prices.battery_wh * KWH_J / 1000):.2%}" if joules and prices.battery_wh else "-"
        yield f"  {name:<22}{_span(seconds):>20}{_span(joules) if joules else '-':>20}{share:>12}"


def _break_even(cost: Cost) -> Iterator[str]:
    found, name = cost.break_even, f"  {'break-even':<15} "
    if found.queries is None or found.tokens is None or found.days is None:
        yield from _wrapped(found.reason or "never", name)
        return
    days = found.days.value
    years = f" ({days / YEAR_DAYS:,.1f} years)" if days > YEAR_DAYS else ""
    queries, low, high = (_count(each) for each in (found.queries.value, found.queries.low, found.queries.high))
    spread = "" if low == high else f"; between {low} and {high} queries"
    yield from _wrapped(
        f"{queries} queries = {_count(found.tokens.value)} tokens = {_count(days)} days{years}{spread}", name
    )
    if found.reason:
        yield from _wrapped(found.reason, " " * len(name))


def _evidence(phase: str, rate: Rate) -> Iterator[str]:
    """The rate, what its spread is, and the records behind it."""
    ids = ", ".join(record_id[:8] for record_id in rate.record_ids)
    yield from _wrapped(f"{_span(rate.tps)} tok/s of {rate.workload}, {rate.spread}  [measured: {ids}]",
                        f"  {phase:<15} ")  # fmt: skip


def _span(span: Span) -> str:
    """Value and half of its spread."""
    return f"{_number(span.value)} ± {_number((span.high - span.low) / 2)}"


def _number(value: float) -> str:
    """Three significant digits or whole numbers."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _count(value: float) -> str:
    for size, name in ((1e12, "trillion"), (1e9, "billion"), (1e6, "million")):
        if value >= size:
            return f"{value / size:.3g} {name}"
    return f"{value:,.1f}" if value < 100 else f"{value:,.0f}"


def _money(value: float) -> str:
    return f"{value:.3g} USD"


def _wrapped(words: str, first: str) -> list[str]:
    return textwrap.wrap(words, WIDTH, initial_indent=first, subsequent_indent=" " * len(first))
