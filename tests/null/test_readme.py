"""The README's first screen: its figures are those of the records beside it, and its commands exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tritmark.reports.readme import rewritten, table
from tritmark.results.store import read

ROOT = Path(__file__).parents[2]
PUBLISHED = ROOT / "results/published/published.csv"
MEASURED = sorted(path.parent for path in (ROOT / "results/measured").glob("*/records.jsonl"))


def test_the_tables_are_what_the_records_and_the_published_figures_say() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert rewritten(text, PUBLISHED, map(read, MEASURED)) == text


def test_failed_records_give_no_row() -> None:
    assert table([]).count("\n") == table([[]]).count("\n") == 2


def test_a_readme_without_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="needs the lines"):
        rewritten("no table here", PUBLISHED, [])


def test_every_command_that_the_readme_names_exists() -> None:
    from tritmark.bench.cli import NAMES

    named = set(re.findall(r"tritmark ([a-z]+)", (ROOT / "README.md").read_text(encoding="utf-8")))
    assert named <= set(NAMES)
