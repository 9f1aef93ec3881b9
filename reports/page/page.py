"""Page: a report as one HTML file that asks nobody for anything: styles, script, pictures and data are inside."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path

from jinja2 import Environment, StrictUndefined, Template

from tritmark.results.record import Record

from .. import kernels, tables
from ..choice.hardware import column_of
from ..comparison import rivals
from .choices import choices, link
from .drawings import drawings
from .island import Note, in_order, island
from .report import METRICS, Report

HERE = Path(__file__).resolve().parent
SCRIPTS = ("numbers", "records", "filters", "elements", "matrix", "published", "evidence", "page")


def html(report: Report) -> str:
    """The whole file. Equal reports make equal pages."""
    every = [*report.records, *report.published]
    drawn, classes = drawings(every)
    profiles, more = kernels.profiles(report.records)
    style, script = f"{_text('page.css')}\n{classes}\n", _script()
    return _template().render(
        report=report, choices=choices(report.recommendations, every), drawings=drawn, style=style, script=script,
        policy=policy(style, script), island=island(every, _notes(report)), definitions=_definitions(report),
        metrics=METRICS, icon=base64.b64encode(_text("icon.svg").encode()).decode(), counted=counted(report), link=link,
        profiles=profiles, more_profiles=more, kernel_heads=kernels.HEADS,
    )  # fmt: skip


def policy(style: str, script: str) -> str:
    """What the page may do: nothing but its own style, its own script and its own icon."""
    allowed = {
        "default-src": "'none'", "style-src": _digest(style), "script-src": _digest(script), "img-src": "data:",
        "base-uri": "'none'", "form-action": "'none'",
    }  # fmt: skip
    return "; ".join(f"{name} {value}" for name, value in allowed.items())


def counted(report: Report) -> str:
    """How much there is, in one line."""
    records = report.records
    days = sorted({record.started_at[:10] for record in records})
    parts = [
        _plural(len(records), "record"),
        _plural(len({column_of(record) for record in records}), "device"),
        _plural(len({record.model for record in records}), "model"),
    ]
    figures = [f"beside {_plural(len(report.published), 'published figure')}"] if report.published else []
    when = [" to ".join(dict.fromkeys((days[0], days[-1])))] if days else []
    return ", ".join([*(parts if records else []), *when, *figures]) or "no records"


def _plural(count: int, what: str) -> str:
    return f"{count:,} {what}" + ("s" if count != 1 else "")


def _notes(report: Report) -> list[Note]:
    """Which format is how much faster, and outputs that differ, each with the latest record of every format."""
    groups: dict[tuple[str, str, str], list[Record]] = {}
    for record in in_order(report.records):
        groups.setdefault((column_of(record), record.model, record.workload), []).append(record)
    found: list[Note] = []
    for (machine, model, _), members in groups.items():
        ids = list({record.format: record.id for record in members}.values())
        found += [(machine, model, said, ids) for said in rivals.sentences(members)]
    return found


def _definitions(report: Report) -> list[tuple[str, str]]:
    trains = any(record.training for record in report.records)
    others = (tables.OTHERS,) if any(record.runner for record in report.records) else ()
    return [*tables.INFERENCE, *(tables.LEARNING if trains else ()), *tables.DEFINITIONS, *others]


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _script() -> str:
    """The files one after the other, as one script."""
    return "\n".join(_text(f"script/{name}.js") for name in SCRIPTS)


def _template() -> Template:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(_text("page.html.jinja"))


@cache
def _text(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")
