"""The shape of the repository: sizes, names, a README per package, and a wheel that holds every file the code reads."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("bench", "devices", "engine", "reports", "results")
CODE = {".py", ".wgsl", ".js"}
DATA = {".wgsl", ".js", ".html", ".toml", ".json", ".jinja"}
MAX_FILE_LINES = 400
MAX_KERNEL_LINES = 120
MAX_FUNCTION_LINES = 60
ENTRY_POINT = re.compile(r"@compute\b[^{]*?\bfn\s+(\w+)", re.DOTALL)


def files(*suffixes: str, under: tuple[str, ...] = FOLDERS) -> list[str]:
    paths = (path for folder in under for path in sorted((ROOT / folder).rglob("*")))
    return [path.relative_to(ROOT).as_posix() for path in paths if path.is_file() and path.suffix in suffixes]


def packaged() -> list[str]:
    """What a wheel holds; of JSON lines and text only what ships with the engine, not the records of measurements."""
    return [*files(*DATA, ".py"), *files(".jsonl", ".txt", under=("engine",))]


def line_count(file: str) -> int:
    return len((ROOT / file).read_text().splitlines())


def functions(file: str) -> Iterator[tuple[str, int]]:
    """Name and lines of every function of a file, decorators not counted."""
    for node in ast.walk(ast.parse((ROOT / file).read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1


@pytest.mark.parametrize("package", FOLDERS)
def test_package_has_a_readme_with_decisions(package: str) -> None:
    readme = ROOT / package / "README.md"
    assert readme.is_file(), f"{package}/README.md is missing"
    assert "Decisions" in readme.read_text()


def test_no_file_is_too_long() -> None:
    long = {f: line_count(f) for f in files(*CODE, under=(*FOLDERS, "tests")) if line_count(f) > MAX_FILE_LINES}
    assert not long, f"above {MAX_FILE_LINES} lines: {long}"


def test_no_function_is_too_long() -> None:
    sources = files(".py", under=(*FOLDERS, "tests"))
    long = [f"{f}:{name} ({lines})" for f in sources for name, lines in functions(f) if lines > MAX_FUNCTION_LINES]
    assert not long, f"above {MAX_FUNCTION_LINES} lines: {long}"


def test_no_file_has_a_name_that_says_nothing() -> None:
    vague = {"utils", "util", "common", "helpers", "helper", "misc"}
    assert not [f for f in files(*CODE, under=(*FOLDERS, "tests")) if Path(f).stem in vague]


@pytest.mark.parametrize("kernel", files(".wgsl"))
def test_kernel_is_short_and_has_one_entry_point_main(kernel: str) -> None:
    """A file under lib/ is included by kernels and so has no entry point of its own."""
    expected = [] if "/lib/" in kernel else ["main"]
    assert line_count(kernel) <= MAX_KERNEL_LINES
    assert ENTRY_POINT.findall((ROOT / kernel).read_text()) == expected


def test_every_folder_with_files_is_listed_as_a_package() -> None:
    listed = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    found = {"tritmark." + ".".join(Path(f).parent.parts) for f in files(*DATA, ".py")}
    assert not found - listed, "add these to [tool.setuptools] packages in pyproject.toml"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Names in a wheel built from a copy of the tree, so that no leftover of an earlier build can slip in."""
    copy = tmp_path_factory.mktemp("tree")
    for file in ("pyproject.toml", "README.md", "LICENSE", *packaged()):
        (copy / file).parent.mkdir(parents=True, exist_ok=True)
        (copy / file).write_bytes((ROOT / file).read_bytes())
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", "dist", "."]
    built = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    with zipfile.ZipFile(next((copy / "dist").glob("*.whl"))) as archive:
        return set(archive.namelist())


def test_wheel_holds_every_module_kernel_and_data_file(wheel: set[str]) -> None:
    missing = [file for file in packaged() if f"tritmark/{file}" not in wheel]
    assert not missing


def test_wheel_puts_nothing_but_tritmark_into_site_packages(wheel: set[str]) -> None:
    tops = {name.split("/")[0] for name in wheel}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"tritmark"}
