"""`tritmark devices` and `tritmark doctor`: what there is to compute on, and what could spoil the numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from .output import TIMEOUT_S, AsJson, Timeout, emit, sized

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tritmark.devices.registry import Sighting

MARKS = {"ok": "ok  ", "warn": "warn", "fail": "FAIL"}


def devices(
    quick: Annotated[bool, typer.Option("--quick", help="Only list; measure and probe nothing.")] = False,
    timeout_s: Timeout = TIMEOUT_S,
    as_json: AsJson = False,
) -> None:
    """List adapters, browsers and phones.

    Adapters come with limits, features, bandwidth and exactness; phones that are not ready with what to do."""
    from tritmark.devices.host import Host
    from tritmark.devices.registry import kinds, provider

    ready: list[str] = []
    for caps in Host(timeout_s=timeout_s).adapters():
        device = Host(caps["adapter"], timeout_s=timeout_s)
        entry = {"device": device.name, "state": "ready", **caps, **({} if quick else measured(device))}
        ready.append(device.name)
        emit(entry) if as_json else print(described(entry))
    for seen in (seen for kind in kinds() if kind != "host" for seen in provider(kind).sightings()):
        ready += [seen.device] if seen.state == "ready" else []
        emit(vars(seen)) if as_json else print(_sighted(seen))
    if as_json:
        emit({"devices": ready})
    elif not ready:
        print("no device; see tritmark doctor")
    if not ready:
        raise typer.Exit(1)


def doctor(as_json: AsJson = False) -> None:
    """What would spoil the numbers: drivers, memory, power, load."""
    from tritmark.bench.doctor import examine

    findings = examine()
    for finding in findings:
        if as_json:
            emit(vars(finding))
        else:
            remedy = f"\n      {finding.remedy}" if finding.remedy else ""
            print(f"{MARKS[finding.status]}  {finding.name}: {finding.detail}{remedy}")
    failed = [finding.name for finding in findings if finding.status == "fail"]
    if as_json:
        emit({"ok": not failed, "failed": failed})
    if failed:
        raise typer.Exit(1)


def measured(device: Any) -> dict[str, Any]:
    """Exactness, bandwidth and launch cost of a device, or why they are not known."""
    from dataclasses import asdict

    from tritmark.bench.gauge import gauge
    from tritmark.bench.verify import verify
    from tritmark.devices.base import DeviceError

    verdict = verify(device)
    entry = {"exact": verdict.exact, "usable": verdict.reason is None, "reason": verdict.reason}
    if verdict.gauge:
        return {**entry, **asdict(verdict.gauge)}
    try:
        with device.session() as session:
            return {**entry, **asdict(gauge(session))}
    except DeviceError as error:
        return {**entry, "copy_bytes_per_s": None, "dispatch_ns": None, "unmeasured": str(error)}


def first_adapter(adapters: Sequence[Mapping[str, Any]], device: str) -> Mapping[str, Any]:
    """The adapter that ``device`` takes; DeviceError where it has none."""
    from tritmark.devices.base import DeviceError

    if not adapters:
        raise DeviceError(f"{device} has no adapter; see tritmark doctor")
    return adapters[0]


def _sighted(seen: Sighting) -> str:
    state = seen.detail if seen.state == "ready" else ": ".join(filter(None, (seen.state, seen.detail)))
    remedy = f"\n  {seen.remedy}" if seen.remedy else ""
    return f"{seen.device}\n  {state}{remedy}"


def _adapter(entry: Mapping[str, Any]) -> str:
    """The adapter's name where the device's own does not tell it."""
    return "" if entry["adapter"] in entry["device"] else f"{entry['adapter']}: "


def described(entry: Mapping[str, Any]) -> str:
    """What `devices` prints of an adapter."""
    limits = entry["limits"]
    buffer, binding = sized(limits["maxBufferSize"]), sized(limits["maxStorageBufferBindingSize"])
    lines = [
        f"{entry['device']}",
        f"  {_adapter(entry)}{entry['backend']}, {entry['kind']}, {entry['driver']}",
        f"  features: {', '.join([*entry['features'], *entry['language_features']]) or 'none'}",
        f"  largest buffer {buffer}, largest binding {binding}, "
        f"{limits['maxStorageBuffersPerShaderStage']} storage buffers a kernel",
    ]
    if "exact" in entry:
        lines.append(f"  exactness probe and golden check: {entry['reason'] or 'passed'}")
    if entry.get("copy_bytes_per_s"):
        rate, cost = entry["copy_bytes_per_s"] / 1e9, entry["dispatch_ns"] / 1e3
        lines.append(f"  copy {rate:,.1f} GB/s, a dependent dispatch {cost:.1f} us")
    elif entry.get("unmeasured"):
        lines.append(f"  bandwidth: {entry['unmeasured']}")
    return "\n".join(lines)
