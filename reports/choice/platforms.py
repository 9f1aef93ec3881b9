"""Platforms: what else could run a small model on a device, as far as public sources say it.

The table is platforms.csv, a row a cell: platform, capability, value, detail, source, looked_up. A value is "yes",
"partly", "no", a licence, or "unknown" where no source was found; all others name the source and the day on which it
said so. Sources of this project's own row are files of it.
"""

from __future__ import annotations

import csv
import textwrap
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tritmark.results.record import RecordError

TABLE = Path(__file__).with_name("platforms.csv")
COLUMNS = ("platform", "capability", "value", "detail", "source", "looked_up")
CAPABILITIES = {
    "ternary": "ternary weights", "custom_models": "your own model", "fine_tuning": "fine-tuning",
    "ios": "iOS", "android": "Android", "desktop": "desktop", "web": "web", "gpu": "GPU or NPU",
    "licence": "licence", "offline": "offline",
}  # fmt: skip
UNKNOWN = "unknown"
WIDTH = 80


@dataclass(frozen=True, kw_only=True)
class Ability:
    """One cell: what ``source`` said of a capability of a platform on the day ``looked_up`` (ISO 8601)."""

    platform: str
    capability: str  # of CAPABILITIES
    value: str
    detail: str
    source: str  # empty where the value is unknown
    looked_up: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def read(path: Path = TABLE) -> list[Ability]:
    """Every cell, platform by platform; RecordError for a file of another shape."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        if tuple(rows.fieldnames or ()) != COLUMNS:
            raise RecordError(f"{path}: columns {','.join(COLUMNS)} were expected")
        return [Ability(**row) for row in rows]


def text(cells: Sequence[Ability]) -> str:
    """A block a platform, for 80 columns; sources as numbers, listed at the end."""
    sources = _numbered(cells)
    blocks = []
    for platform in dict.fromkeys(cell.platform for cell in cells):
        own = [cell for cell in cells if cell.platform == platform]
        blocks.append("\n".join([platform, *(_line(cell, sources) for cell in own)]))
    days = sorted({cell.looked_up for cell in cells})
    told = [f"  [{number}] {source}" for source, number in sources.items()]
    return "\n\n".join([*blocks, "\n".join([f"Sources, looked up {' to '.join(days)}", *told])])


def _line(cell: Ability, sources: dict[str, int]) -> str:
    said = ": ".join(part for part in (cell.value, cell.detail) if part)
    mark = f" [{sources[cell.source]}]" if cell.source else ""
    name = f"  {CAPABILITIES[cell.capability]:<18}"
    return textwrap.fill(said + mark, WIDTH, initial_indent=name, subsequent_indent=" " * len(name))


def markdown(cells: Sequence[Ability]) -> str:
    """A table with a row a platform; every value links to its source, and every detail stands beneath."""
    platforms = list(dict.fromkeys(cell.platform for cell in cells))
    of = {(cell.platform, cell.capability): cell for cell in cells}
    lines = [f"| Platform | {' | '.join(CAPABILITIES.values())} |", "|---" * (1 + len(CAPABILITIES)) + "|"]
    for platform in platforms:
        lines.append(f"| {platform} | {' | '.join(_linked(of[platform, name]) for name in CAPABILITIES)} |")
    details = [f"- {c.platform}, {CAPABILITIES[c.capability]}: {c.detail}" for c in cells if c.detail]
    return "\n".join([*lines, "", *details])


def _linked(cell: Ability) -> str:
    return f"[{cell.value}]({cell.source})" if cell.source else cell.value


def _numbered(cells: Sequence[Ability]) -> dict[str, int]:
    found = dict.fromkeys(cell.source for cell in cells if cell.source)
    return {source: number for number, source in enumerate(found, 1)}
