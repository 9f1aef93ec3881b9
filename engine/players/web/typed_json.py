"""JSON that a page sent, read as the dataclass it should be: every field checked, so that a wrong one is one line.

Knows int, str, ``X | None``, ``tuple[X, ...]``, ``Mapping[str, X]`` and dataclasses of these; nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

T = TypeVar("T")

NOUNS = {int: "a whole number", str: "a text", list: "a list", dict: "an object"}


def read_as(kind: type[T], value: object, where: str) -> T:
    """``value``, decoded JSON, as a ``kind``; ValueError names the first field below ``where`` that does not fit."""
    result: T = _read(kind, value, where)
    return result


def _read(kind: Any, value: object, where: str) -> Any:
    if is_dataclass(kind):
        return _read_fields(kind, value, where)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is UnionType:
        return None if value is None else _read(arguments[0], value, where)
    if origin is tuple:
        return tuple(_read(arguments[0], each, f"{where}[{at}]") for at, each in enumerate(_a(list, value, where)))
    if origin is Mapping:
        return {name: _read(arguments[1], each, f"{where}.{name}") for name, each in _a(dict, value, where).items()}
    return _a(kind, value, where)


def _read_fields(kind: Any, value: object, where: str) -> Any:
    given, hints = _a(dict, value, where), get_type_hints(kind)
    needed = {field.name for field in fields(kind) if field.default is MISSING and field.default_factory is MISSING}
    for name in sorted(needed - set(given)):
        raise ValueError(f"{where}.{name} is missing")
    for name in sorted(set(given) - set(hints)):
        raise ValueError(f"{where}.{name[:80]} is unknown")
    return kind(**{name: _read(hints[name], each, f"{where}.{name}") for name, each in given.items()})


def _a(kind: type, value: object, where: str) -> Any:
    """``value`` if it is a ``kind``. A bool is no number, although Python thinks so."""
    if isinstance(value, kind) and not isinstance(value, bool):
        return value
    raise ValueError(f"{where} is {_shown(value)}, not {NOUNS[kind]}")


def _shown(value: object) -> str:
    return "null" if value is None else " ".join(repr(value)[:40].split())
