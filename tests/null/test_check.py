"""`.ci/check.py`: suites that did not run, or died, count as failures."""

from __future__ import annotations

import importlib.util
from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def check() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check", ROOT / ".ci" / "check.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("source", "counts"),
    [
        ("def test_a(): pass\ndef test_b(): pass", {"passed": 2}),
        ("def test_a(): pass\ndef test_b(): assert 0", {"passed": 1, "failed": 1}),
        ("import pytest\ndef test_a(): pytest.skip('no GPU')", {"skipped": 1, "failed": 1}),
        ("import os\ndef test_a(): os._exit(134)", {"failed": 1}),
        ("", {"failed": 1}),
    ],
    ids=["passing", "failing", "only skipping", "dying", "empty"],
)
def test_suite_counts(check: ModuleType, tmp_path: Path, source: str, counts: dict[str, int]) -> None:
    (tmp_path / "test_sample.py").write_text(source)
    arguments = ["-c", "/dev/null", "--rootdir", str(tmp_path), str(tmp_path)]
    assert check.run_suite("sample", arguments) == Counter(counts)


@pytest.mark.parametrize(
    ("reason", "outcome"), [("needs a real phone: none there", "skipped"), ("needs Chromium", "failed")]
)
def test_a_stand_in_that_is_skipped_is_a_failure(check: ModuleType, tmp_path: Path, reason: str, outcome: str) -> None:
    source = f"import pytest\ndef test_a(): pass\ndef test_b(): pytest.skip({reason!r})"
    (tmp_path / "test_sample.py").write_text(source)
    counts = check.run_suite("devices", ["-c", "/dev/null", "--rootdir", str(tmp_path), str(tmp_path)])
    assert counts == Counter({"passed": 1, outcome: 1})


def test_gpu_is_required_while_suites_run(check: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "test_sample.py").write_text("import os\ndef test_a(): assert os.environ['REQUIRE_GPU'] == '1'")
    assert check.run_suite("sample", ["-c", "/dev/null", str(tmp_path)])["passed"] == 1
