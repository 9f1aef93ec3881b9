"""The shape of a record as JSON Schema, generated from the class: for readers in other languages.

usage: python -m tritmark.results.schema     (rewrites record.schema.json beside this file)
"""

from __future__ import annotations

import json
import types
from collections.abc import Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

from .record import GRADES, KINDS, SCHEMA, STATUSES, Record

PATH = Path(__file__).with_name("record.schema.json")
NAMES = {str: "string", int: "integer", bool: "boolean", float: "number"}


def schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of one line of a results folder, written by this version."""
    properties = {name: _described(hint) for name, hint in get_type_hints(Record).items()}
    fixed = {"schema": {"const": SCHEMA}, "kind": {"enum": list(KINDS)}, "status": {"enum": list(STATUSES)},
             "grade": {"enum": list(GRADES)}}  # fmt: skip
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Tritmark record",
        "type": "object",
        "properties": properties | fixed,
        "required": [field.name for field in fields(Record) if field.default is MISSING],
        "additionalProperties": False,
    }


def text() -> str:
    """The file's content."""
    return json.dumps(schema(), indent=2) + "\n"


def _described(hint: Any) -> dict[str, Any]:
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any:
        return {}
    if origin in (Union, types.UnionType):
        return {"anyOf": [_described(each) for each in arguments]}
    if hint is type(None):
        return {"type": "null"}
    if origin is tuple and arguments[-1] is Ellipsis:
        return {"type": "array", "items": _described(arguments[0])}
    if origin is tuple:
        items = [_described(each) for each in arguments]
        return {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}
    if origin is Mapping:
        return {"type": "object", "additionalProperties": _described(arguments[1])}
    return {"type": NAMES[hint]}


if __name__ == "__main__":
    PATH.write_text(text(), encoding="utf-8")
