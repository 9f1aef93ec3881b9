"""`tritmark cost`: seconds, joules and money of a query here, and when a device beats a cloud that is paid by token."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .output import AsJson, emit, listed

if TYPE_CHECKING:
    from tritmark.reports.cost.prices import Prices

Axis = list[str] | None
Pair = str | None
PAIRS = {"cloud_price": ("cloud_in", "cloud_out"), "tokens_per_query": ("tokens_in", "tokens_out")}
SINGLE = {"device_price": "device", "electricity": "electricity", "queries_per_day": "queries_per_day"}
OPTIONAL = {"power": "power_w", "battery": "battery_wh"}
METAVARS = {
    "cloud_price": "IN,OUT (USD a million tokens)", "device_price": "USD", "electricity": "USD_PER_KWH",
    "tokens_per_query": "IN,OUT", "queries_per_day": "N",
}  # fmt: skip
ABOVE_ZERO = ("tokens_per_query", "queries_per_day", "power", "battery", "device_price")


def cost(
    results: Annotated[list[Path], typer.Argument(help="Results folders, or files of records.")],
    device: Annotated[str | None, typer.Option(help="Only devices with this in their name or adapter.")] = None,
    model: Annotated[Axis, typer.Option(help="Only these models.")] = None,
    format: Annotated[Axis, typer.Option(help="Only these formats.")] = None,
    cloud_price: Annotated[Pair, typer.Option(help="USD a million tokens: IN,OUT.")] = None,
    device_price: Annotated[float | None, typer.Option(help="USD that the device costs once.")] = None,
    electricity: Annotated[float | None, typer.Option(help="USD a kWh.")] = None,
    tokens_per_query: Annotated[Pair, typer.Option(help="Tokens of a query: IN,OUT.")] = None,
    queries_per_day: Annotated[float | None, typer.Option(help="How many queries a day.")] = None,
    power: Annotated[float | None, typer.Option(help="Watts drawn while answering, where no record tells.")] = None,
    battery: Annotated[float | None, typer.Option(help="Watt-hours of a charge.")] = None,
    prices: Annotated[
        Path | None, typer.Option(help="A TOML file: cloud_price = [0.1, 0.4], device_price = 800, ...")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """What a query costs on a device, and when that beats the cloud.

    Rates and battery readings come from records, prices from you; none has a default."""
    from tritmark.bench.case import CaseError
    from tritmark.reports.cost import cost as reckoning
    from tritmark.reports.cost import rendering
    from tritmark.results.exchange.joining import joined

    given = {"cloud_price": cloud_price, "device_price": device_price, "electricity": electricity, "power": power,
             "tokens_per_query": tokens_per_query, "queries_per_day": queries_per_day, "battery": battery}  # fmt: skip
    stated = _prices({**_read(prices), **{name: value for name, value in given.items() if value is not None}})
    records = reckoning.selected(joined(results).records, device, listed(model), listed(format))
    if not records:
        raise CaseError("no record is of that device, model and format; `tritmark show` lists what there is")
    found, lacking = reckoning.costs(records, stated)
    if as_json:
        for each in found:
            emit(each.to_json())
        emit({"costs": len(found), "left_out": lacking})
    else:
        print(rendering.text(found, lacking, stated))


def _read(path: Path | None) -> dict[str, Any]:
    from tritmark.bench.case import CaseError

    if path is None:
        return {}
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CaseError(f"cannot read the prices {path}: {error}") from error
    known = {**PAIRS, **SINGLE, **OPTIONAL}
    if unknown := [name for name in found if name not in known]:
        raise CaseError(f"{path}: unknown price {unknown[0]!r}; known: {', '.join(known)}")
    return found


def _prices(given: Mapping[str, Any]) -> Prices:
    from tritmark.bench.case import CaseError
    from tritmark.reports.cost.prices import Prices

    if missing := [name for name in METAVARS if name not in given]:
        wanted = ", ".join(f"--{name.replace('_', '-')} {METAVARS[name]}" for name in missing)
        raise CaseError(f"a cost needs prices, and none has a default; give {wanted}, or --prices FILE.toml")
    fields: dict[str, Any] = {}
    for name, places in PAIRS.items():
        fields |= dict(zip(places, _pair(name, given[name]), strict=True))
    fields |= {place: _number(name, given[name]) for name, place in {**SINGLE, **OPTIONAL}.items() if name in given}
    return Prices(**fields)


def _pair(name: str, value: Any) -> tuple[float, float] | tuple[int, int]:
    from tritmark.bench.case import CaseError

    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list) or len(parts) != 2:
        raise CaseError(f"--{name.replace('_', '-')} {value}: two numbers were expected, IN,OUT")
    first, second = (_number(name, part) for part in parts)
    return (int(first), int(second)) if name == "tokens_per_query" else (first, second)


def _number(name: str, value: Any) -> float:
    from tritmark.bench.case import CaseError

    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    least = 1 if name == "tokens_per_query" else 0
    if not math.isfinite(number) or number < least or (number == 0 and name in ABOVE_ZERO):
        what = "a number above 0" if name in ABOVE_ZERO else "a number of at least 0"
        raise CaseError(f"--{name.replace('_', '-')} {value}: {what} was expected")
    return number
