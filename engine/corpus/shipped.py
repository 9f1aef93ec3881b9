"""The files that ship with the project, so that no result depends on which Python happens to run, and their digests."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

from ..errors import DataError
from ..tokenizers import Tokenizer, load_tokenizer

FOLDER = Path(__file__).resolve().parent
TOKENIZER = FOLDER / "tokenizer.json"
INSTRUCTIONS = FOLDER / "instructions.jsonl"
INSTRUCTIONS_HELDOUT = FOLDER / "instructions-heldout.jsonl"
MODEL = FOLDER / "python.gguf"
RECORD = FOLDER / "shipped.json"  # file -> its SHA-256 and what was counted when it was made


def tokenizer_metadata() -> dict[str, Any]:
    """GGUF's keys of the shipped tokenizer: 2,048 tokens of byte-level BPE, learnt from the training part."""
    return dict(json.loads(checked(TOKENIZER).read_bytes())["metadata"])


@cache
def shipped_tokenizer() -> Tokenizer:
    return load_tokenizer(tokenizer_metadata())


def checked(path: Path) -> Path:
    """``path`` of a shipped file; DataError where it is not what was recorded."""
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}; install tritmark again") from None
    if found != record().get(path.name, {}).get("sha256"):
        raise DataError(f"{path} was changed: its digest is not the one in {RECORD.name}; install tritmark again")
    return path


def record() -> dict[str, dict[str, Any]]:
    """What ``RECORD`` holds."""
    return dict(json.loads(RECORD.read_bytes())) if RECORD.exists() else {}


def write(path: Path, text: str, **counted: Any) -> None:
    """Replace a shipped file and its record; for the scripts that make them."""
    data = text.encode()
    path.write_bytes(data)
    known = {**record(), path.name: {"sha256": hashlib.sha256(data).hexdigest(), **counted}}
    RECORD.write_text(json.dumps(dict(sorted(known.items())), indent=2) + "\n", encoding="utf-8")
