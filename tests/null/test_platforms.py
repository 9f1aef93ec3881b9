"""The table of other platforms: complete, and every claim with its source and day."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest
from command_runs import last, tritmark

from tritmark.reports.choice import platforms
from tritmark.results.record import RecordError

ROOT = Path(__file__).resolve().parents[2]
CELLS = platforms.read()


def test_every_platform_has_every_capability_once() -> None:
    names = {cell.platform for cell in CELLS}
    assert {"Apple MLX", "Gemini Nano", "Qualcomm AI Hub", "Samsung Galaxy AI", "llama.cpp", "bitnet.cpp"} < names
    found = [(cell.platform, cell.capability) for cell in CELLS]
    assert sorted(found) == sorted((name, each) for name in names for each in platforms.CAPABILITIES)


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: f"{cell.platform} {cell.capability}")
def test_a_cell_has_a_source_and_a_day_or_says_unknown(cell: platforms.Ability) -> None:
    assert date(2026, 1, 1) <= date.fromisoformat(cell.looked_up)
    if cell.value == platforms.UNKNOWN:
        assert not cell.source and not cell.detail
    elif cell.platform == "Tritmark":
        assert (ROOT / cell.source).is_file()
    else:
        assert cell.source.startswith("https://") and cell.value


def test_the_blocks_are_readable_at_80_columns_and_number_their_sources() -> None:
    text = platforms.text(CELLS)
    blocks, sources = text.rsplit("Sources, looked up", 1)
    assert max(map(len, blocks.splitlines())) <= 80
    for source in {cell.source for cell in CELLS if cell.source}:
        assert sources.count(f"] {source}\n") + sources.endswith(f"] {source}") == 1
    assert "  web               unknown\n" in blocks


def test_markdown_links_every_known_value() -> None:
    table = platforms.markdown(CELLS)
    rows = [line for line in table.splitlines() if line.startswith("| ")]
    assert len(rows) == 1 + len({cell.platform for cell in CELLS})
    assert table.count("](") == sum(bool(cell.source) for cell in CELLS)


def test_the_command_selects_by_name_and_counts_what_is_unknown() -> None:
    lines = tritmark("platforms", "bitnet", "--json").stdout.splitlines()
    assert len(lines) == 11 and json.loads(lines[0])["platform"] == "bitnet.cpp"
    assert last(tritmark("platforms", "bitnet", "--json")) == {"cells": 10, "unknown": 3}
    assert "known are Tritmark" in tritmark("platforms", "nonesuch", status=2).stderr


def test_another_table_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("platform,value\nx,yes\n")
    with pytest.raises(RecordError, match="columns"):
        platforms.read(path)
