"""`tritmark tune`: the fastest shape of each kernel on a device, for every later run there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from .output import TIMEOUT_S, AsJson, Device, Timeout, emit, listed

if TYPE_CHECKING:
    from tritmark.bench.tuning import Tuned

BUDGET_S = 60.0
SHARE = 0.7  # of the time for shapes; the rest for what every kernel takes


def tune(
    device: Device = "host",
    model: Annotated[
        str, typer.Option(help="The model whose products are measured: its first layers.")
    ] = "synthetic:1B",
    format: Annotated[list[str] | None, typer.Option(help="Formats; by default both.")] = None,
    workload: Annotated[
        list[str] | None, typer.Option(help="Workloads; by default decode:128, prefill:512, lora:r8,c128.")
    ] = None,
    budget_s: Annotated[
        float, typer.Option("--budget", help="Seconds; what does not fit is left out.", min=1)
    ] = BUDGET_S,
    timeout_s: Timeout = TIMEOUT_S,
    as_json: AsJson = False,
) -> None:
    """Measure which shape of each kernel is fastest on this device; run uses them, and plan tells times.

    Results stay the same bit for bit, only faster. Kept by adapter and driver until a new driver comes."""
    import time

    from tritmark.bench import tuning
    from tritmark.bench.workload import listed_workloads
    from tritmark.devices.registry import open_device

    target, started = open_device(device, timeout_s=timeout_s), time.monotonic()
    formats = listed(format) or ["tq1_0", "tq2_0"]
    workloads = listed_workloads(workload) or list(tuning.WORKLOADS)
    count = 0
    for found in tuning.tune(target, model, formats, workloads, SHARE * budget_s):
        count += 1
        emit(
            {"product": found.product, "best": found.best, "gain": found.gain, "shapes_ns": dict(found.shapes_ns)}
        ) if as_json else print(_line(found), flush=True)
    left_s = budget_s - (time.monotonic() - started)
    kernels = tuning.measure_paces(target, model, formats, workloads, left_s)
    if as_json:
        emit({"products": count, "kernels": kernels})
    else:
        print(
            f"{count} products and {kernels} kernels measured; tritmark run compiles with these shapes on this device."
        )


def _line(found: Tuned) -> str:
    best_ns, gain = found.shapes_ns[found.best], found.gain
    what = f"{gain:.2f}x the default's speed" if found.best != found.default else "the default"
    return f"{found.product:32} {best_ns / 1e3:9.1f} us  {found.best:16} {what}, of {len(found.shapes_ns)} shapes"
