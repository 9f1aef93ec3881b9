"""Every check of the repository, in one process after another; what `make test` and CI run.

Lint and types, then the test suites by what they need. Suites of many independent tests share two processes; what
measures has the machine alone. REQUIRE_GPU=1 turns a missing GPU from a skip into a failure, a suite of which nothing
passed counts as failed, and so does a skipped test of the software GPU, the players or the stand-in phones: what
silently did not run must not look fine.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("bench", "devices", "engine", "reports", "results", "tests")
SUITES = {  # name -> pytest arguments
    "null": ["tests/null", "tests/test_layers.py", "tests/test_structure.py", "-n", "2"],
    "devices": ["tests/devices", "-n", "2", "--dist", "loadfile"],  # a phone or a page serves the tests of a file
    "gpu": ["tests/gpu", "-n", "2", "--dist", "worksteal"],  # compiling shaders takes most of its time
    "players": ["tests/players", "-n", "2", "--dist", "loadfile"],
    "bench": ["tests/bench", "--benchmark-columns=min,median,stddev,rounds", "--benchmark-sort=name"],
}
MUST_RUN = ("gpu", "players", "devices")
EXCUSES = ("needs a real ", "no golden files")  # what skipped tests may lack there: hardware, files beside the checkout


def main() -> int:
    """Run all checks, print the counts as the last line, and return the exit status."""
    counts: Counter[str] = Counter()
    for name, command in {"ruff": [sys.executable, "-m", "ruff", "check", "."], "types": [".ci/types"]}.items():
        counts[check(name, command)] += 1
    for name, arguments in SUITES.items():
        counts += run_suite(name, arguments)
    print("\nlines: " + ", ".join(f"{name} {lines:,}" for name, lines in line_budget()))
    print(f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped")
    return 1 if counts["failed"] else 0


def check(name: str, command: list[str]) -> str:
    """Run one command; "passed" or "failed"."""
    heading(name)
    return "failed" if subprocess.run(command, cwd=ROOT).returncode else "passed"


def run_suite(name: str, arguments: list[str]) -> Counter[str]:
    """Run one pytest suite and count its tests by outcome; one failure more where nothing of it passed."""
    heading(f"tests: {name}")
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.xml")
        command = [sys.executable, "-m", "pytest", "-q", "-rfEs", "--durations=8", f"--junitxml={report}", *arguments]
        status = subprocess.run(command, cwd=ROOT, env={**os.environ, "REQUIRE_GPU": "1"}).returncode
        counts = outcomes(report, EXCUSES if name in MUST_RUN else ("",))
    if not counts["passed"]:
        print(f"no test of the suite {name} passed")
    if not counts["failed"] and (status or not counts["passed"]):
        counts["failed"] += 1
    print(f"{name}: {time.monotonic() - began:.0f} s")
    return counts


def outcomes(report: Path, excuses: tuple[str, ...]) -> Counter[str]:
    """Tests by outcome in a JUnit report; empty where pytest died before it wrote one.

    A skip whose reason starts with none of ``excuses`` is a failure.
    """
    counts: Counter[str] = Counter()
    if not report.exists():
        return counts
    for case in ElementTree.parse(report).iter("testcase"):
        kinds = {child.tag: child for child in case}
        if "failure" in kinds or "error" in kinds:
            counts["failed"] += 1
        elif "skipped" not in kinds:
            counts["passed"] += 1
        elif (reason := kinds["skipped"].get("message", "")).startswith(excuses):
            counts["skipped"] += 1
        else:
            print(f"{case.get('name')} was skipped and must run here: {reason}")
            counts["failed"] += 1
    return counts


def line_budget() -> Iterator[tuple[str, int]]:
    """Lines of Python, WGSL and JavaScript by top-level folder: for conversation, not a limit."""
    for folder in FOLDERS:
        files = [p for p in (ROOT / folder).rglob("*") if p.suffix in {".py", ".wgsl", ".js"}]
        yield folder, sum(len(p.read_text().splitlines()) for p in files)


def heading(text: str) -> None:
    print(f"\n== {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
