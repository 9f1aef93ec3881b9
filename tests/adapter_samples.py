"""Adapter files with random numbers for made models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tritmark.engine.formats.adapter import write_adapter
from tritmark.engine.formats.model import Model

LAYER = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")


def random_adapter(
    path: Path, base: Model, names: Sequence[str] | None = None, *, rank: int = 3, seed: int = 1, b: float = 0.1
) -> Path:
    """An adapter of the tensors ``names`` (without ".weight"; by default the seven projections of layer 0).

    ``b``: the size of B's entries.
    """
    random = np.random.default_rng(seed)
    tensors = {}
    for name in [f"blk.0.{part}" for part in LAYER] if names is None else names:
        rows, cols = base.tensors[f"{name}.weight"].shape
        tensors[f"{name}.weight.lora_a"] = random.normal(0, cols**-0.5, (rank, cols)).astype(np.float32)
        tensors[f"{name}.weight.lora_b"] = (random.normal(0, 1, (rows, rank)) * b).astype(np.float32)
    return write_adapter(path, base, 2.0 * rank, tensors, {})
