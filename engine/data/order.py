"""Orders that a seed gives, the same on every machine and with every NumPy: Philox's raw stream, sorted stably."""

from __future__ import annotations

import hashlib

import numpy as np


def permutation(count: int, seed: int, name: str) -> list[int]:
    """The numbers below ``count`` in an order of ``seed`` and ``name``."""
    key = int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:16], "little")
    return np.argsort(np.random.Philox(key=key).random_raw(count), kind="stable").tolist() if count else []


def epochs(count: int, seed: int, number: int) -> list[int]:
    """``number`` epochs over ``count`` micro-batches, each visited once an epoch, in an order of its own."""
    return [index for epoch in range(number) for index in permutation(count, seed, f"epoch {epoch}")]
