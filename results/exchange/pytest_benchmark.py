"""pytest-benchmark's JSON as records, and records as such a file, for dashboards that read it.

A benchmark is a function that was timed; its ``data`` are seconds, one a round. Rates are not part of the format: a
dashboard compares times. The fields and the definitions of ``stats`` are those of pytest_benchmark/stats.py, 5.3.
"""

from __future__ import annotations

import statistics
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

from ..record import Record, RecordError
from .foreign import DEVICE, ID, UNNAMED, agree, field, imported, moment, numbers, part

TOOL = "pytest-benchmark"
VERSION = "5.3.1"  # whose format this is
AXES = ("model", "format", "workload", "device")
OBSERVED = ("runner", "player", "adapter", "driver", "prompt_tokens", "generated_tokens", "training", "model_sha256",
            "plan_hash", "digest", "exact", "timing", "session", "os")  # fmt: skip
LONGEST_S = 1e6  # of a round; what is longer was no seconds


def is_report(value: Any) -> bool:
    """Whether a value of JSON is a file of pytest-benchmark."""
    return isinstance(value, dict) and "benchmarks" in value


def records_of(report: Mapping[str, Any]) -> list[Record]:
    """A record a benchmark; RecordError names the benchmark and the field that is wrong."""
    records = []
    for number, benchmark in enumerate(field(report, "benchmarks", list), 1):
        if not isinstance(benchmark, dict):
            raise RecordError(f"benchmark {number} should be an object, not {str(benchmark)[:40]!r}")
        try:
            records.append(_record(report, benchmark))
        except RecordError as error:
            raise RecordError(f"benchmark {number} ({str(benchmark.get('fullname'))[:60]}): {error}") from error
    return records


def report_of(records: Sequence[Record]) -> dict[str, Any]:
    """A file of the measured records among ``records``: those with samples that nothing is wrong with."""
    measured = [record for record in records if is_benchmark(record)]
    revision = _shared([(record.versions or {}).get("revision") for record in measured])
    system = [*(_shared([record.os for record in measured]).split() or [""]), "", ""]
    python = _shared([(record.versions or {}).get("python") for record in measured])
    return {
        "machine_info": {
            "node": "", "processor": _shared([record.adapter for record in measured]), "machine": system[2],
            "python_version": python, "release": system[1], "system": system[0], "cpu": {},
        },
        "commit_info": {
            "id": revision.removesuffix("+") or "unknown", "time": None, "author_time": None,
            "dirty": revision.endswith("+"), "project": "tritmark", "branch": "(unknown)",
        },
        "benchmarks": [_benchmark(record) for record in measured],
        "datetime": max((record.started_at for record in measured), default=""),
        "version": VERSION,
    }  # fmt: skip


def is_benchmark(record: Record) -> bool:
    """Whether a record has times that a benchmark can be made of."""
    return record.kind == "measured" and record.status == "ok" and bool(record.samples_ns)


def statistics_of(data: Sequence[float]) -> dict[str, Any]:
    """What pytest-benchmark says of rounds that took ``data`` seconds."""
    ordered, mean = sorted(data), statistics.mean(data)
    deviation = statistics.stdev(data) if len(data) > 1 else 0
    q1, q3 = _quartiles(ordered)
    low, high = q1 - 1.5 * (q3 - q1), q3 + 1.5 * (q3 - q1)
    beyond_deviation = sum(value < mean - deviation or value > mean + deviation for value in data)
    beyond_fences = sum(value < low or value > high for value in data)
    return {
        "min": ordered[0], "max": ordered[-1], "mean": mean, "stddev": deviation, "rounds": len(data),
        "median": statistics.median(data), "iqr": q3 - q1, "q1": q1, "q3": q3, "iqr_outliers": beyond_fences,
        "stddev_outliers": beyond_deviation, "outliers": f"{beyond_deviation};{beyond_fences}",
        "ld15iqr": ordered[bisect_left(ordered, low)], "hd15iqr": ordered[bisect_right(ordered, high) - 1],
        "ops": len(data) / sum(data), "total": sum(data),
    }  # fmt: skip


def _quartiles(ordered: Sequence[float]) -> tuple[float, float]:
    """First and third quartile as pytest-benchmark has them: Tukey's for an even count, interpolated for an odd one."""
    count, (n, rest) = len(ordered), divmod(len(ordered), 4)
    if count == 1:
        return ordered[0], ordered[0]
    if count % 2 == 0:
        return statistics.median(ordered[: count // 2]), statistics.median(ordered[count // 2 :])
    if rest == 1:
        return 0.25 * ordered[n - 1] + 0.75 * ordered[n], 0.75 * ordered[3 * n] + 0.25 * ordered[3 * n + 1]
    return 0.75 * ordered[n] + 0.25 * ordered[n + 1], 0.25 * ordered[3 * n + 1] + 0.75 * ordered[3 * n + 2]


def _benchmark(record: Record) -> dict[str, Any]:
    data = [ns / 1e9 for ns in record.samples_ns]
    params = {"model": record.model, "format": record.format, "device": record.device, "session": record.session}
    where = [record.model, record.format, record.device, *([record.runner] if record.runner else ())]
    param = "-".join([*where, *([f"session{record.session}"] if record.session > 1 else ())])
    told = {name: getattr(record, name) for name in (*AXES, "started_at", *OBSERVED)}
    told |= {ID: record.id, "revision": (record.versions or {}).get("revision")}
    return {
        "group": record.workload,
        "name": f"{record.workload}[{param}]",
        "fullname": f"tritmark::{record.workload}[{param}]",
        "params": params,
        "param": param,
        "extra_info": {name: value for name, value in told.items() if value is not None},
        "options": {"disable_gc": False, "timer": record.timing or "wall", "min_rounds": len(data), "max_time": 0,
                    "min_time": 0, "warmup": bool(record.warmup_ns)},
        "stats": {**statistics_of(data), "data": data, "iterations": 1},
    }  # fmt: skip


def _record(report: Mapping[str, Any], benchmark: Mapping[str, Any]) -> Record:
    samples = _samples(part(benchmark, "stats"))
    name, extra = field(benchmark, "fullname", str), part(benchmark, "extra_info")
    machine, commit = part(report, "machine_info"), part(report, "commit_info")
    told = {**part(benchmark, "params"), **extra}
    axes = {axis: value for axis in AXES if isinstance(value := told.get(axis), str)}
    axes = {"model": UNNAMED, "format": UNNAMED, "workload": name, "device": DEVICE, **axes}
    processor = part(machine, "cpu").get("brand_raw") or machine.get("processor") or machine.get("node") or None
    observed = {"adapter": processor, "timing": "wall"}
    observed |= {key: value for key in OBSERVED if (value := extra.get(key)) is not None}
    versions = {"revision": str(commit.get("id", "unknown")), "python": str(machine.get("python_version", "unknown"))}
    case = {**axes, "benchmark": name, "adapter": observed["adapter"], "repetitions": len(samples), "options": {}}
    started = moment(extra, "started_at") if "started_at" in extra else moment(report, "datetime")
    whole = {"datetime": report.get("datetime"), "machine": machine, "commit": commit, **benchmark}
    record = imported(
        case,
        whole,
        tool=TOOL,
        started_at=started,
        samples_ns=samples,
        versions=versions,
        conditions={ID: extra[ID]} if ID in extra else None,
        **observed,
    )
    return Record.from_json(record.to_json())  # extra_info holds values of any type


def _samples(stats: Mapping[str, Any]) -> tuple[int, ...]:
    """Rounds in whole nanoseconds."""
    data = numbers(stats, "data")
    if not data:
        raise RecordError("has no data; save every round with --benchmark-json or --benchmark-save-data")
    if not all(1e-9 <= value <= LONGEST_S for value in data):
        raise RecordError(f"data should be seconds between 1e-9 and {LONGEST_S:g}; were they saved in another unit?")
    rounds, mean = field(stats, "rounds", int), field(stats, "mean", float)
    if not agree([len(data), statistics.mean(data)], [rounds, mean], relative=1e-6):
        raise RecordError(
            f"data and stats disagree: {len(data)} rounds of mean {statistics.mean(data):.4g}, "
            f"stats says {rounds} of {mean:.4g}; both should be seconds"
        )
    return tuple(round(value * 1e9) for value in data)


def _shared(values: Sequence[str | None]) -> str:
    """The value that all have, else nothing."""
    return (values[0] or "") if len(set(values)) == 1 else ""
