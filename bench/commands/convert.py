"""`tritmark convert`: whatever holds a BitNet model to a GGUF file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .output import AsJson, emit, sized


def convert(
    source: Annotated[
        str, typer.Argument(help="A checkpoint folder, OWNER/NAME on Hugging Face, a .gguf, synthetic:125M.")
    ],
    out: Annotated[Path, typer.Argument(help="The .gguf file to write.")],
    format: Annotated[str, typer.Option(help="Type of the ternary tensors: tq1_0 or tq2_0.")] = "tq2_0",
    as_json: AsJson = False,
) -> None:
    """Write a model as GGUF in TQ1_0 or TQ2_0, without loss."""
    from tritmark.engine.formats.convert import convert as write
    from tritmark.engine.formats.model import open_model

    written = write(source, out, format)
    size, sha256 = written.stat().st_size, open_model(str(written)).sha256
    if as_json:
        emit({"path": str(written), "format": format, "bytes": size, "sha256": sha256})
    else:
        print(f"wrote {written} ({sized(size)}, {format}, SHA-256 {sha256})")
