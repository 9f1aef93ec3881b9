"""Record: one case of a benchmark matrix and what was observed, as one line of JSON.

A record holds what was read off clocks and devices, never a number computed from it: medians and rates are made on
reading (`tritmark.reports`). This module knows the record's fields, their validation and how older schemas become this
one; it must not know engines, devices or presentation, and it imports only the standard library.
"""

from __future__ import annotations

import hashlib
import json
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

SCHEMA = 4
KINDS = ("measured", "predicted", "published")
STATUSES = ("ok", "failed", "fallback")  # fallback: another processor than the one asked for did the work
GRADES = (
    "measured",  # by this project, with every sample
    "imported",  # from another tool's file of results
    "published",  # a figure that somebody printed
    "suspect",  # a printed figure that contradicts another one, or itself
    "not independent",  # made from other figures
    "impossible",  # against arithmetic
    "predicted",
)


class RecordError(Exception):
    """A record or a results folder cannot be read or written; the message is one line and says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One case. Times are nanoseconds on the device's monotonic clock, sizes are bytes.

    ``samples_ns`` holds one sample a repetition, of the workload's own timed region: for ``prefill``, submission to
    the first sampled token in the caller's hands; for ``decode``, submission of the steps after the first token to the
    last token; for ``lora``, submission of ``training["steps"]`` optimiser steps to the end of the last. ``None`` and
    empty tuples mean "not observed", as in a failed record.
    """

    schema: int
    id: str
    kind: str  # of KINDS
    status: str  # of STATUSES
    reason: str | None
    started_at: str  # ISO 8601, UTC
    case: Mapping[str, Any]  # every axis and option, as given
    case_key: str
    model: str
    format: str
    workload: str
    device: str
    grade: str = "measured"  # of GRADES: what the numbers are worth as evidence
    grade_reasons: tuple[str, ...] = ()
    session: int = 1  # which of the case's fresh processes, each after a rest
    figure: Mapping[str, Any] | None = None  # of kind "published": metric, value, unit, source, table, line, note
    shape: Mapping[str, int] | None = None  # of the model: layers, hidden, ternary_weights, ...
    model_sha256: str | None = None
    plan_hash: str | None = None
    shader_hash: str | None = None
    runner: str | None = None  # None: ours; else another engine and its build: "llama.cpp b7336 (57d4c98)"
    player: str | None = None
    adapter: str | None = None
    driver: str | None = None
    caps: Mapping[str, Any] | None = None  # all that the device said of itself, limits included
    exact: bool | None = None  # did the exactness probe pass on this device
    digest: str | None = None  # of everything the plan's probes read back, equal in every repetition
    prompt_tokens: int | None = None  # processed by one prefill
    generated_tokens: int | None = None  # the first sampled token and those decoded after it
    training: Mapping[str, Any] | None = None  # of fine-tuning: steps and tokens of a sample and of an epoch, losses
    timing: str | None = None  # of samples_ns: "wall" | "step" | "dispatch"
    schedule: str | None = None  # "interleaved": all arms open at once; "reopened": one; "own process": no arms
    turns: tuple[int, ...] = ()  # when each repetition had its turn among those of its group
    warmup_ns: tuple[int, ...] = ()  # samples taken and set aside before the first repetition
    samples_ns: tuple[int, ...] = ()
    ttft_ns: tuple[int, ...] = ()  # one a repetition: submission of the prompt to the first sampled token
    token_ns: tuple[tuple[int, ...], ...] = ()  # per repetition: when each decoded token was complete, since submission
    token_timing: str | None = None  # of token_ns: "step" (GPU timestamps) or "wall" (a play a step)
    busy_ns: tuple[int, ...] = ()  # one a repetition: GPU time of its decode steps, where there are timestamps
    encode_ns: tuple[int, ...] = ()  # one a sample: the player's own work in it, encoding and submitting
    dispatches: int | None = None  # launches in the timed region of one sample
    kernels: tuple[Mapping[str, Any], ...] = ()  # profile of one step: label, count, time_ns, bytes, operations
    gauge: Mapping[str, float] | None = None  # of the device: copy_bytes_per_s, dispatch_ns
    load_ns: Mapping[str, tuple[int, ...]] | None = None  # "cold" and "warm": weights from file to GPU
    compile_ns: Mapping[str, tuple[int, ...]] | None = None  # "cold" and "warm": all pipelines
    ledger: Mapping[str, int] | None = None  # live GPU buffers by role
    ledger_peak_bytes: int | None = None
    predicted_peak_bytes: int | None = None  # what the plan announced before anything ran
    process_memory: tuple[tuple[int, int], ...] = ()  # (ns since the child started, resident bytes)
    telemetry: Mapping[str, Any] | None = None  # "samples": [[ns since the start, {name: value}]], "methods"
    conditions: Mapping[str, Any] | None = None  # of the machine "before" and "after"; "rest": the wait for it to cool
    versions: Mapping[str, str] | None = None
    os: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain lists, dicts, strings and numbers."""
        return {field.name: _plain(getattr(self, field.name)) for field in fields(self)}

    @classmethod
    def from_json(cls, data: Any) -> Record:
        """The record that ``data`` describes, upgraded to this schema; RecordError names the field that is wrong."""
        data = upgraded(data)
        hints = _hints()
        for name in data:
            if name not in hints:
                raise RecordError(f"record has the unknown field {name!r}; was the file edited by hand?")
        required = [name for name in hints if name not in data and name in _REQUIRED]
        if required:
            raise RecordError(f"record lacks the field {required[0]!r}; was the file edited by hand?")
        record = cls(**{name: _checked(hints[name], value, name) for name, value in data.items()})
        for name, known in (("kind", KINDS), ("status", STATUSES), ("grade", GRADES)):
            if getattr(record, name) not in known:
                raise RecordError(f"record has the {name} {getattr(record, name)!r}; known are {', '.join(known)}")
        return record


_REQUIRED = frozenset(
    (
        "schema",
        "id",
        "kind",
        "status",
        "reason",
        "started_at",
        "case",
        "case_key",
        "model",
        "format",
        "workload",
        "device",
    )
)


def upgrade_1_to_2(data: dict[str, Any]) -> dict[str, Any]:
    """Schema 1 knew one runner and watched neither the device from outside nor the player's own work."""
    return {**data, "runner": None, "telemetry": None, "encode_ns": [], "dispatches": None}


def upgrade_2_to_3(data: dict[str, Any]) -> dict[str, Any]:
    """Schema 2 knew inference alone."""
    return {**data, "training": None}


def upgrade_3_to_4(data: dict[str, Any]) -> dict[str, Any]:
    """Schema 3 held measurements alone, one session of each case."""
    graded = {"grade": "measured", "grade_reasons": [], "session": 1, "figure": None}
    return {**data, **graded, "shape": None, "kernels": [], "gauge": None}


# n -> function from schema n to schema n + 1
UPGRADES: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {
    1: upgrade_1_to_2,
    2: upgrade_2_to_3,
    3: upgrade_3_to_4,
}


def upgraded(data: Any) -> dict[str, Any]:
    """``data`` brought to this schema step by step; RecordError if it is no record, or newer than this program."""
    if not isinstance(data, dict) or type(data.get("schema")) is not int:
        raise RecordError("not a record: a JSON object with an integer field 'schema' was expected")
    if data["schema"] > SCHEMA:
        raise RecordError(f"record has schema {data['schema']}, this tritmark reads up to {SCHEMA}; upgrade tritmark")
    while data["schema"] < SCHEMA:
        step = UPGRADES.get(data["schema"])
        if step is None:
            raise RecordError(f"record has schema {data['schema']}, which no version of tritmark wrote")
        data = {**step(data), "schema": data["schema"] + 1}
    return dict(data)


def case_key(case: Mapping[str, Any]) -> str:
    """16 hex digits that name a case: SHA-256 of its canonical JSON."""
    return hashlib.sha256(json.dumps(case, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:16]


@cache
def _hints() -> dict[str, Any]:
    return get_type_hints(Record)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def _checked(hint: Any, value: Any, where: str) -> Any:
    """``value`` as the type ``hint`` asks (lists become tuples), else RecordError naming ``where``."""
    if type(value) is hint or hint is Any:  # not isinstance: True is no int here
        return value
    origin, arguments = _parts(hint)
    if origin in (Union, types.UnionType):
        if value is None:
            return None
        return _checked(next(option for option in arguments if option is not type(None)), value, where)
    if origin is tuple and isinstance(value, list):
        if arguments[-1] is Ellipsis:
            if (series := _series(arguments[0], value)) is not None:
                return series
            return tuple(_checked(arguments[0], item, f"{where}[{at}]") for at, item in enumerate(value))
        if len(arguments) == len(value):
            items = enumerate(zip(arguments, value, strict=True))
            return tuple(_checked(each, item, f"{where}[{at}]") for at, (each, item) in items)
    elif origin is Mapping and isinstance(value, dict):
        if arguments[1] is Any:
            return dict(value)  # most of a record's values; naming the place of each takes long
        return {key: _checked(arguments[1], item, f"{where}.{key}") for key, item in value.items()}
    raise RecordError(f"record field {where} should be {_name(hint)}, not {json.dumps(value)[:40]}")


@cache
def _parts(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    return get_origin(hint), get_args(hint)


def _series(hint: Any, value: list[Any]) -> tuple[Any, ...] | None:
    """A series of numbers or of rows of them, checked a column at a time: they are most of a record. None where its
    items have to be looked at one by one.
    """
    kinds, columns = set(map(type, value)), get_args(hint)
    if kinds <= {hint}:
        return tuple(value)
    if kinds != {list} or set(map(len, value)) != {len(columns)}:
        return None
    rows = zip(columns, zip(*value, strict=True), strict=True)
    return tuple(map(tuple, value)) if all(set(map(type, column)) == {kind} for kind, column in rows) else None


def _name(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) and not get_args(hint) else str(hint).replace("collections.abc.", "")
