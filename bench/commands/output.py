"""What commands print: lines for people or, with ``--json``, one object a line whose last one is the result."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object a line; the last line is the result.")]
Device = Annotated[str, typer.Option(help="Where to run: host, host:PART_OF_ADAPTER_NAME, chromium, android, ios.")]
Timeout = Annotated[float, typer.Option("--timeout", help="Seconds that a single request to the player may take.")]
Activation = Annotated[str | None, typer.Option(help="Override the feed-forward activation: silu or relu2.")]
LORA = typer.Option("--lora", help="A LoRA adapter: A.gguf, or A.gguf=0.5 with a weight; may be repeated.")
Loras = Annotated[list[str] | None, LORA]

TIMEOUT_S = 600.0


def emit(value: Mapping[str, Any]) -> None:
    """One object on one line of standard output."""
    print(json.dumps(value, separators=(",", ":")), flush=True)


def warn(notes: Sequence[str]) -> None:
    """Lines that a person should know about, beside the result."""
    for note in notes:
        print(f"tritmark: {note}", file=sys.stderr)


def listed(texts: list[str] | None) -> list[str]:
    """Values of an option that may be repeated and may hold commas."""
    return [part.strip() for text in texts or [] for part in text.split(",") if part.strip()]


def sized(size: float, *, unit: str = "B") -> str:
    """Bytes (or another unit) with a binary prefix, three significant digits."""
    for prefix in ("", "Ki", "Mi", "Gi"):
        if size < 1024:
            return f"{size:.0f} {prefix}{unit}" if not prefix else f"{size:.3g} {prefix}{unit}"
        size /= 1024
    return f"{size:,.3g} Ti{unit}"
