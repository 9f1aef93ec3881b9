"""The arrows between the five packages, read from the import statements of every file.

bench -> engine, devices, results; devices -> engine.plan; reports -> results; engine and results -> nothing of ours.
The exception: bench/commands, which show what reports compute.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("bench", "devices", "engine", "reports", "results")
ALLOWED = {  # package -> prefixes it may import
    "bench": ("tritmark.bench", "tritmark.engine", "tritmark.devices", "tritmark.results"),
    "devices": ("tritmark.devices", "tritmark.engine.plan"),
    "engine": ("tritmark.engine",),
    "reports": ("tritmark.reports", "tritmark.results"),
    "results": ("tritmark.results",),
}
FILES = [path.relative_to(ROOT).as_posix() for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
# The commands show what reports compute.
EXCEPTIONS = {file: ("tritmark.reports",) for file in FILES if file.startswith("bench/commands/")}


def imported(source: str, file: str) -> Iterator[str]:
    """Full names of the modules, or of names inside them, that ``source`` imports anywhere; relative ones resolved."""
    package = ["tritmark", *Path(file).parent.parts]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            prefix = ".".join([*base, node.module] if node.module else base)
            yield from (f"{prefix}.{alias.name}" for alias in node.names)


def imports_of(file: str) -> Iterator[str]:
    return imported(Path(ROOT, file).read_text(), file)


def within(name: str, prefixes: tuple[str, ...]) -> bool:
    return any(name == prefix or name.startswith(prefix + ".") for prefix in prefixes)


@pytest.mark.parametrize("file", FILES)
def test_file_imports_only_what_its_layer_may(file: str) -> None:
    allowed = (*ALLOWED[file.split("/")[0]], *EXCEPTIONS.get(file, ()))
    ours = {name for name in imports_of(file) if name.split(".")[0] in {"tritmark", *FOLDERS}}
    forbidden = sorted(name for name in ours if not within(name, allowed))
    assert not forbidden, f"{file} imports {', '.join(forbidden)}; allowed are {', '.join(allowed)}"


def test_plan_imports_only_the_standard_library_and_errors() -> None:
    names = list(imports_of("engine/plan.py"))
    outside = [name for name in names if name.split(".")[0] not in {*sys.stdlib_module_names, "tritmark"}]
    ours = [name for name in names if name.startswith("tritmark.")]
    assert not outside
    assert all(within(name, ("tritmark.engine.errors",)) for name in ours), ours


def test_errors_import_nothing() -> None:
    assert set(imports_of("engine/errors.py")) <= {"__future__.annotations"}


def test_relative_imports_are_resolved() -> None:
    source = "from . import plan\nfrom ..results.store import append\nimport json\n"
    names = ["tritmark.bench.plan", "tritmark.results.store.append", "json"]
    assert list(imported(source, "bench/run.py")) == names
    assert list(imported("from .plan import Plan", "engine/__init__.py")) == ["tritmark.engine.plan.Plan"]
