"""What the standard library says about itself: one entry for each documented module, class and function.

Modules are read as text and parsed, never imported. Only the `builtins` are asked for their docstrings, because they
are written in C and are present in every Python that runs.
"""

from __future__ import annotations

import ast
import builtins
import sysconfig
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from inspect import cleandoc
from pathlib import Path
from types import BuiltinFunctionType, MethodDescriptorType

# Tests and their data, an editor's internals, tables of codes, and copies of what stands elsewhere.
SKIPPED = {"test", "tests", "idlelib", "lib2to3", "turtledemo", "encodings", "pydoc_data", "ntpath", "__phello__",
           "sitecustomize", "usercustomize"}  # fmt: skip
RENAMED = {"posixpath": "os.path"}  # the name that programs use
_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Entry:
    """``kind``: module, class, function or property. ``arguments``: "(a, *p)" of a function, "" of anything else."""

    name: str
    kind: str
    arguments: str
    doc: str

    @property
    def heading(self) -> str:
        return f"{self.kind} {self.name}{self.arguments}"


def library_folder() -> Path:
    """Where this Python keeps its standard library."""
    return Path(sysconfig.get_paths()["stdlib"])


def read_entries(folder: Path) -> Iterator[Entry]:
    """Every docstring under ``folder``, by module name; of two with one name the first."""
    names = {}
    for path in folder.rglob("*.py"):
        parts = path.relative_to(folder).with_suffix("").parts
        if not SKIPPED.intersection(parts) and all(part.isidentifier() for part in parts):  # "site-packages" is none
            names[".".join(parts).removesuffix(".__init__")] = path
    seen: set[str] = set()
    for name in sorted(names):
        for entry in _module(RENAMED.get(name, name), names[name]):
            if entry.name not in seen:
                seen.add(entry.name)
                yield entry


def builtin_entries() -> Iterator[Entry]:
    """The functions and types that need no import, and the types' public methods."""
    for name, value in sorted(vars(builtins).items()):
        if not isinstance(value, type | BuiltinFunctionType) or value.__module__ != "builtins":
            continue
        if name != value.__name__ or name.startswith("_"):
            continue  # a second name, such as IOError
        kind = "class" if isinstance(value, type) else "function"
        yield Entry(name, kind, "" if kind == "class" else _signature(value), cleandoc(value.__doc__ or ""))
        if isinstance(value, type):
            for method, member in sorted(vars(value).items()):
                if isinstance(member, MethodDescriptorType) and not method.startswith("_"):
                    doc = cleandoc(member.__doc__ or "")
                    yield Entry(f"{name}.{method}", "function", _signature(member), doc)


def _signature(value: object) -> str:
    """As C writes it, without what only says how arguments are passed; "" where it writes none."""
    text = getattr(value, "__text_signature__", None) or ""
    arguments = [argument.strip() for argument in text.removeprefix("(").removesuffix(")").split(",")]
    return f"({', '.join(a for a in arguments if a and a != '/' and not a.startswith('$'))})" if text else ""


def _module(name: str, path: Path) -> Iterator[Entry]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes in old docstrings
            tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return  # a template or a fixture, not a module
    doc = ast.get_docstring(tree)
    if doc:
        yield Entry(name, "module", "", doc)
    yield from _definitions(tree, name, in_class=False)


def _definitions(node: ast.AST, prefix: str, in_class: bool) -> Iterator[Entry]:
    """What is defined in ``node``, also under ``if`` and ``try``, but not inside functions."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, _Function | ast.ClassDef):
            yield from _definition(child, f"{prefix}.{child.name}", in_class)
        elif isinstance(child, ast.stmt | ast.ExceptHandler):
            yield from _definitions(child, prefix, in_class)


def _definition(node: _Function | ast.ClassDef, name: str, in_class: bool) -> Iterator[Entry]:
    doc = ast.get_docstring(node)
    if isinstance(node, ast.ClassDef):
        if doc:
            yield Entry(name, "class", "", doc)
        yield from _definitions(node, name, in_class=True)
    elif doc:
        marks = {mark.id for mark in node.decorator_list if isinstance(mark, ast.Name)}
        kind, arguments = ("property", "") if "property" in marks else ("function", _arguments(node, in_class))
        yield Entry(name, kind, arguments, doc)


def _arguments(node: _Function, in_class: bool) -> str:
    """As a caller sees them: without annotations, and without the instance or class of a method."""
    given = node.args
    every = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
    for argument in every:
        if argument is not None:
            argument.annotation = None
    first = given.posonlyargs or given.args
    if in_class and first and first[0].arg in ("self", "cls"):
        del first[0]
    return f"({ast.unparse(given)})"
