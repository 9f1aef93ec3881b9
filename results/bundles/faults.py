"""Faults: what a check of a bundle or a record says, one line each."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Something that does not hold. ``check``: members, signature, schema, manifest, arithmetic or replay."""

    check: str
    field: str
    says: str
    record_id: str | None = None  # None: of the archive

    def to_json(self) -> dict[str, Any]:
        return {"fault": asdict(self)}

    def __str__(self) -> str:
        return f"{self.record_id or 'archive'}  {self.field}: {self.says}"


@dataclass(frozen=True, kw_only=True)
class Note:
    """Something that could not be decided, or that a person should know; no fault. ``settled``: it speaks for the
    record or is beside the point; else somebody should look.
    """

    check: str
    says: str
    record_id: str | None = None
    settled: bool = False

    def to_json(self) -> dict[str, Any]:
        return {"note": asdict(self)}

    def __str__(self) -> str:
        return f"{self.record_id}  {self.says}" if self.record_id else self.says
