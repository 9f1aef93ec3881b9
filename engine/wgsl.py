"""Renders a kernel: constants prelude, ``#include``, ``#if``, ``#for``, automatic binding numbers. The shader is its
own signature.

A kernel is one file of ``kernels/`` with one entry point ``main``. Constants become WGSL ``const`` lines, because a
function-scope array may not be sized by an ``override``. Flags decide ``#if NAME`` / ``#else`` / ``#endif``. The lines
between ``#for t in TILES`` and ``#end`` are written TILES times: register tiles stay in registers only where no loop
indexes them.
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from .errors import PlanError

KERNELS = Path(__file__).parent / "kernels"
_INCLUDE = re.compile(r'^#include "([^"]+)"$')
_CONDITION = re.compile(r"^#(if|else|endif)(?: (!?)([A-Z0-9_]+))?$")
_REPEAT = re.compile(r"#for (\w+) in (\w+)")
_BINDING = re.compile(r"@binding\((auto|\d+)\) var<(uniform|storage, read|storage, read_write)> (\w+)")
_ACCESS = {"uniform": "uniform", "storage, read": "read", "storage, read_write": "read_write"}

Constant = int | float | bool


@dataclass(frozen=True)
class Parameter:
    """One ``@binding`` of a kernel: its number, name and access ("uniform", "read", "read_write")."""

    number: int
    name: str
    access: str


@dataclass(frozen=True)
class Module:
    """Rendered WGSL, its SHA-256 and its parameters (binding 0, the step row, left out)."""

    text: str
    hash: str
    parameters: tuple[Parameter, ...]


def render(kernel: str, constants: Mapping[str, Constant], includes: Mapping[str, str] | None = None) -> Module:
    """The module of ``kernels/<kernel>.wgsl``.

    ``constants``: bools are flags for ``#if``; ints become u32 and floats f32 constants. ``includes`` replaces the name
    in ``#include "<name>"`` (``{"unpack": "lib/unpack_tq1_0.wgsl"}``). Raises PlanError for unknown names in the
    shader.
    """
    return _render(kernel, tuple(sorted(constants.items())), tuple(sorted((includes or {}).items())))


@cache
def _render(kernel: str, constants: tuple[tuple[str, Constant], ...], includes: tuple[tuple[str, str], ...]) -> Module:
    flags = {name: value for name, value in constants if isinstance(value, bool)}
    prelude = [_constant(name, value) for name, value in constants if not isinstance(value, bool)]
    body = list(_expand(f"{kernel}.wgsl", flags, dict(includes), set()))
    text, parameters = _number("\n".join([*prelude, *_repeated(body, dict(constants))]) + "\n")
    return Module(text, hashlib.sha256(text.encode()).hexdigest(), parameters)


def _constant(name: str, value: Constant) -> str:
    if isinstance(value, int):
        return f"const {name}: u32 = {value}u;"
    nearest = struct.unpack("f", struct.pack("f", value))[0]  # rounded once: ten digits of a double may round elsewhere
    return f"const {name}: f32 = {nearest:.9e}f;"


def _expand(path: str, flags: Mapping[str, bool], includes: Mapping[str, str], seen: set[str]) -> Iterator[str]:
    """Lines of ``path`` with includes expanded once each and conditions resolved."""
    if path in seen:
        return
    seen.add(path)
    keep = [True]
    for number, line in enumerate(_source(path), 1):
        where = f"{path}:{number}"
        if line.startswith("#include") and all(keep):
            name = _match(_INCLUDE, line, where).group(1)
            yield from _expand(includes.get(name, name), flags, includes, seen)
        elif line.startswith(("#if", "#else", "#endif")):
            _condition(keep, _match(_CONDITION, line, where), flags, where)
        elif all(keep) and line.strip() and not line.lstrip().startswith("//"):
            yield line.split("  // ")[0].rstrip()
    if len(keep) != 1:
        raise PlanError(f"{path}: #if without #endif")


def _repeated(lines: list[str], constants: Mapping[str, Constant]) -> Iterator[str]:
    """Write the lines of each ``#for NAME in COUNT`` ... ``#end`` COUNT times, NAME replaced by 0u, 1u, ..."""
    at = 0
    while at < len(lines):
        line = lines[at].strip()
        at += 1
        if not line.startswith("#"):
            yield lines[at - 1]
            continue
        head = _REPEAT.fullmatch(line)
        if head is None or not isinstance(constants.get(head[2]), int):
            raise PlanError(f"cannot read {line!r}")
        end = _end_of(lines, at)
        body = list(_repeated(lines[at:end], constants))
        for i in range(int(constants[head[2]])):
            yield from (re.sub(rf"\b{head[1]}\b", f"{i}u", each) for each in body)
        at = end + 1


def _end_of(lines: list[str], start: int) -> int:
    """Index of the ``#end`` that closes a ``#for`` whose body begins at ``start``."""
    depth = 1
    for index in range(start, len(lines)):
        depth += lines[index].strip().startswith("#for ") - (lines[index].strip() == "#end")
        if depth == 0:
            return index
    raise PlanError(f"{lines[start - 1].strip()!r} has no #end")


def _condition(keep: list[bool], match: re.Match[str], flags: Mapping[str, bool], where: str) -> None:
    word, negated, name = match.groups()
    if word == "if":
        if name not in flags:
            raise PlanError(f"{where}: the flag {name} is not set by the op that renders this kernel")
        keep.append(flags[name] != bool(negated))
    elif len(keep) == 1:
        raise PlanError(f"{where}: #{word} without #if")
    elif word == "else":
        keep[-1] = not keep[-1]
    else:
        keep.pop()


def _match(pattern: re.Pattern[str], line: str, where: str) -> re.Match[str]:
    match = pattern.match(line.rstrip())
    if not match:
        raise PlanError(f"{where}: cannot read {line.strip()!r}")
    return match


@cache
def _source(path: str) -> tuple[str, ...]:
    file = KERNELS / path
    if not file.is_file():
        raise PlanError(f"kernels/{path} does not exist; kernels and includes are files of engine/kernels")
    return tuple(file.read_text().splitlines())


def _number(text: str) -> tuple[str, tuple[Parameter, ...]]:
    """Replace each ``@binding(auto)`` by the next free number, in order of appearance."""
    parameters: list[Parameter] = []

    def assign(match: re.Match[str]) -> str:
        if match.group(1) != "auto":
            return match.group(0)
        parameters.append(Parameter(len(parameters) + 1, match.group(3), _ACCESS[match.group(2)]))
        return match.group(0).replace("auto", str(len(parameters)), 1)

    return _BINDING.sub(assign, text), tuple(parameters)
