"""Prints the digests of synthetic presets on this machine's GPU: what digests.json commits.

usage: python -m tritmark.engine.preset_digests synthetic:125M [synthetic:1B ...]

Each preset runs in both formats; a line of JSON tells its digest, or that the formats disagree (exit 1).
"""

from __future__ import annotations

import json
import sys

from .conformance import PRESET_TOKENS, preset_key
from .formats.model import open_model
from .inference import compile_logits, parse_format
from .models.source import Source
from .players.gpu import Gpu, open_gpu
from .players.wgpu_player import load


def digest(gpu: Gpu, spec: str, format: str) -> str:
    """SHA-256 of the logits of the preset's tokens."""
    model = open_model(spec)
    plan = compile_logits(model, PRESET_TOKENS, parse_format(format), gpu.caps).plan
    session = load(gpu, plan, Source(model, format))
    try:
        return session.play().digests["logits"]
    finally:
        session.close()


def main(specs: list[str]) -> int:
    gpu = open_gpu()
    agreed = True
    for spec in specs:
        found = {format: digest(gpu, spec, format) for format in ("tq1_0", "tq2_0")}
        same = len(set(found.values())) == 1
        agreed &= same
        print(json.dumps({preset_key(spec): {"logits": found["tq2_0"]} if same else found}), flush=True)
    return 0 if agreed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
