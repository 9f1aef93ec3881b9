"""Island: records as one JSON text inside the page, small enough for ten thousand.

What several records share (machine, model, hashes, versions) is a context and stands once; its values are places in a
table of texts. Series of single tokens, telemetry and limits stay in the records' files.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

from tritmark.results.json_text import written
from tritmark.results.record import Record

from ..choice.hardware import column_of
from ..choice.pairs import size_name
from ..pictures.selection import parameters
from ..tables import number
from ..throttle import throttle
from .columns import COLUMNS, values

CONTEXT = (
    "kind", "grade", "grade_reasons", "model", "format", "device", "adapter", "driver", "runner", "player", "os",
    "case_key", "model_sha256", "plan_hash", "shader_hash", "digest", "exact", "timing", "schedule",
    "prompt_tokens", "generated_tokens",
)  # fmt: skip
DERIVED = ("machine", "size", "workload", "versions", "figure", "epoch", "rest", "cell")
CELL = ("kind", "grade", "machine", "device", "driver", "model", "format", "workload")  # what sessions of a case share
RECORD = ("id", "context", "started_at", "session", "status", "reason", "warmups", "samples_ns", "throttled", "values")


Note = tuple[str, str, str, list[str]]  # machine, model, sentence, ids of the records that it is about


def island(records: Iterable[Record], notes: Sequence[Note] = ()) -> str:
    """JSON text that may stand inside a script element."""
    made = _Tables()
    rows = [made.row(record) for record in in_order(records)]
    told: dict[str, Any] = {
        "columns": [(column.name, column.head, column.kind) for column in COLUMNS],
        "contextFields": (*CONTEXT, *DERIVED), "recordFields": RECORD, "texts": made.texts, "contexts": made.contexts,
        "records": rows, "notes": notes,
    }  # fmt: skip
    return escaped(written(told))


def escaped(text: str) -> str:
    """JSON that no parser of HTML takes for the end of its element; `written` leaves only ASCII."""
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def in_order(records: Iterable[Record]) -> list[Record]:
    """As tables show them: machines in order of appearance, then models by size, workloads and formats."""
    found = list(records)
    places: dict[str, int] = {}
    for record in found:
        places.setdefault(column_of(record), len(places))
    return sorted(found, key=lambda record: (places[column_of(record)], *_place(record)))


def _place(record: Record) -> tuple[Any, ...]:
    name, _, argument = record.workload.partition(":")
    length = int(argument.partition("@")[0]) if argument.partition("@")[0].isdigit() else 0
    phase = {"prefill": 0, "decode": 1}.get(name, 2)
    return parameters(record.model), record.model, phase, length, record.workload, record.format, record.started_at


class _Tables:
    """What rows refer to by number."""

    def __init__(self) -> None:
        self.texts: list[Any] = []
        self.contexts: list[list[int]] = []
        self._texts: dict[Hashable, int] = {}
        self._contexts: dict[Hashable, int] = {}
        self._cells: dict[Hashable, int] = {}

    def row(self, record: Record) -> list[Any]:
        """The values of RECORD."""
        slowed = throttle(record) if record.status == "ok" else None
        return [
            record.id, self._context(record), record.started_at, record.session, self._text(record.status),
            self._text(record.reason), len(record.warmup_ns), record.samples_ns,
            number(100 * slowed.loss) if slowed and slowed.shown else 0, values(record),
        ]  # fmt: skip

    def _context(self, record: Record) -> int:
        derived = _derived(record)
        fields = {**{name: getattr(record, name) for name in CONTEXT}, **derived}
        key = (*(_hashable(value) for value in fields.values()),)
        if key not in self._contexts:
            self._contexts[key] = len(self.contexts)
            cell = self._cells.setdefault(tuple(fields[name] for name in CELL), len(self._cells))
            self.contexts.append([*(self._text(value) for value in fields.values()), cell])
        return self._contexts[key]

    def _text(self, value: Any) -> int:
        key = (type(value), _hashable(value))  # True is no 1 here
        if key not in self._texts:
            self._texts[key] = len(self.texts)
            self.texts.append(value)
        return self._texts[key]


def _derived(record: Record) -> dict[str, Any]:
    """The values of DERIVED but the cell's number."""
    options = (record.case.get("options") or {}).items()
    training = record.training or {}
    return {
        "machine": column_of(record), "size": size_name(record.model),
        "workload": record.workload + "".join(f" {name}={value}" for name, value in options),
        "versions": record.versions, "figure": record.figure,
        "epoch": [training["steps"], training["epoch_steps"]] if training else None,
        "rest": (record.conditions or {}).get("rest"),
    }  # fmt: skip


def _hashable(value: Any) -> Hashable:
    if isinstance(value, Mapping):
        return tuple((name, _hashable(item)) for name, item in value.items())
    return tuple(map(_hashable, value)) if isinstance(value, (list, tuple)) else value
