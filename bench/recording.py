"""Recording: the fields of a record that do not depend on who measured, and the record of a case."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from tritmark.devices.base import Device
from tritmark.results.record import SCHEMA, Record

from . import provenance
from .case import Case
from .verify import Verdict


def context_of(device: Device | None, rested: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What holds for all cases that start now. ``device`` None: it could not be reached. ``rested``: the wait before
    them, None where there was none to make.
    """
    conditions: dict[str, Any] = {"before": device.conditions() if device else {}}
    return {
        "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "conditions": conditions if rested is None else {"rest": dict(rested), **conditions},
        "versions": provenance.versions(),
        "os": provenance.operating_system(),
    }


def verdict_json(verdict: Verdict) -> dict[str, Any]:
    """What a device said of itself before its first case."""
    caps, gauge = verdict.caps, asdict(verdict.gauge) if verdict.gauge else None
    if caps is None:
        return {"exact": verdict.exact}
    lists = {"features": list(caps.features), "language_features": list(caps.language_features)}
    told = {**vars(caps), **lists, "limits": dict(caps.limits)}
    return {"exact": verdict.exact, "adapter": caps.adapter, "driver": caps.driver, "caps": told, "gauge": gauge}


def record_of(
    case: Case, context: Mapping[str, Any], *, reason: str | None, fallback: bool = False, **observed: Any
) -> Record:
    """The record of a case; ``reason`` is why it failed, ``fallback`` says that it ran elsewhere than it was asked to.
    What was observed comes before what holds for all.
    """
    fields: dict[str, Any] = {
        "schema": SCHEMA,
        "id": uuid.uuid4().hex,
        "kind": "measured",
        "status": "ok" if reason is None else "fallback" if fallback else "failed",
        "reason": reason,
        "case": case.axes(),
        "case_key": case.key,
        "model": case.model,
        "format": case.format,
        "workload": case.workload,
        "device": case.device,
        "session": case.session,
    }
    return Record(**{**fields, **context, **observed})
