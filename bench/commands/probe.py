"""`tritmark probe`: what one device is and, with a model, about how fast that would be on it."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .machine import described, first_adapter, measured
from .output import TIMEOUT_S, AsJson, Device, Timeout, emit, listed

if TYPE_CHECKING:
    from tritmark.bench.case import Case
    from tritmark.results.record import Record

BUDGET_S = 30.0


def probe(
    device: Device = "host",
    model: Annotated[
        str | None, typer.Option(help="Tell how fast this model would be: its first layers are measured, not all.")
    ] = None,
    format: Annotated[list[str] | None, typer.Option(help="Formats; by default both.")] = None,
    workload: Annotated[
        list[str] | None, typer.Option(help="Workloads; by default decode:32, prefill:128, lora:r8,c128,s1.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Results folder for the predicted records.")] = None,
    budget_s: Annotated[
        float, typer.Option("--budget", help="Seconds; what does not fit is left out.", min=1)
    ] = BUDGET_S,
    timeout_s: Timeout = TIMEOUT_S,
    as_json: AsJson = False,
) -> None:
    """What one device is, and whether it computes correctly.

    Limits, exactness, bandwidth and launch cost; with --model a prediction of its speed in half a minute."""
    from tritmark.devices.registry import open_device

    if model is not None:
        _predict(device, _cases(device, model, listed(format), workload), out, budget_s, timeout_s, as_json)
        return
    target = open_device(device, timeout_s=timeout_s)
    caps = first_adapter(target.adapters(), device)
    entry = {"device": target.name, **caps, **measured(target)}
    emit(entry) if as_json else print(described(entry))
    if not entry["usable"]:
        raise typer.Exit(1)


def _cases(device: str, model: str, formats: list[str], workloads: list[str] | None) -> list[Case]:
    from tritmark.bench.case import expand, overridden
    from tritmark.bench.probing import WORKLOADS
    from tritmark.bench.workload import listed_workloads

    axes = {"model": [model], "format": formats, "workload": listed_workloads(workloads) or list(WORKLOADS)}
    return expand(overridden({}, {**axes, "device": [device]}, {}))


def _predict(
    device: str, cases: list[Case], out: Path | None, budget_s: float, timeout_s: float, as_json: bool
) -> None:
    from contextlib import nullcontext

    from tritmark.bench import campaign, probing
    from tritmark.bench.verify import verify
    from tritmark.devices.base import DeviceError
    from tritmark.devices.registry import open_device
    from tritmark.results.store import Store

    campaign.check(cases)
    target = open_device(device, timeout_s=timeout_s)
    verdict = verify(target)
    if verdict.reason is not None:
        raise DeviceError(verdict.reason)
    kept = 0
    with Store(out) if out else nullcontext() as store:
        for record in probing.probe(target, verdict, cases, lambda case, stage: None, budget_s):
            kept += 1
            if store is not None:
                store.append(record)
            emit(record.to_json()) if as_json else print(_line(record), flush=True)
    left = [str(case) for case in cases[kept:]]
    result: dict[str, Any] = {"probed": kept, "left_out": left, "out": str(out) if out else None}
    emit(result) if as_json else print(_end(result, budget_s))


def _line(record: Record) -> str:
    from tritmark.reports import stats

    rates = stats.prefill_tps(record) or stats.decode_tps(record) or stats.train_tps(record)
    rate = f"about {statistics.median(rates):,.1f} tok/s ({min(rates):,.1f} to {max(rates):,.1f})" if rates else "-"
    return f"{record.model} {record.format:6} {record.workload:16} {rate}"


def _end(result: dict[str, Any], budget_s: float) -> str:
    lines = ["Predicted from the first layers, not measured: tritmark run measures the whole model."]
    if result["left_out"]:
        lines.append(f"left out after {budget_s:g} s: {', '.join(result['left_out'])}")
    if result["out"]:
        lines.append(f"records: {result['out']}   (weigh them: tritmark recommend --results {result['out']})")
    return "\n".join(lines)
