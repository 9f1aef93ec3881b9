"""Seeded uniform numbers that depend on nothing but their counters: NumPy twin of kernels/lib/uniform.wgsl; and the op
that fills a parameter with them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from ..graph import Node, Value
from ..plan import Cost
from ..steps import StepRow
from . import exact
from .fill import CHUNK, grid_of
from .op import Array, Emitter, Shape


def uniform_draws(count: int, draw: int, seed: int) -> Array:
    """u in (0, 1) for each id: pcg3d of (id, draw, seed) (Jarzynski and Olano, JCGT 9(3), 2020), 23 bits."""
    x, y, z = (
        v * np.uint32(1664525) + np.uint32(1013904223)
        for v in (np.arange(count, dtype=np.uint32), np.full(count, draw, np.uint32), np.full(count, seed, np.uint32))
    )
    x = x + y * z
    y = y + z * x
    z = z + x * y
    x, y, z = (v ^ (v >> np.uint32(16)) for v in (x, y, z))
    x = x + y * z
    return ((x >> np.uint32(9)).astype(np.float32) + exact.f32(0.5)) * exact.f32(1.1920928955078125e-7)


def stream_seed(seed: int, name: str) -> int:
    """The seed of the stream ``name``: streams of one seed are independent of one another."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:4], "little")


@dataclass(frozen=True)
class Uniform:
    """Fills its output with numbers uniform in (-bound, bound) of the stream ``seed``."""

    seed: int
    bound: float

    def shapes(self, inputs: tuple[Value, ...]) -> tuple[Shape, ...]:
        return ()

    def reference(self, step: StepRow, inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        x = inputs[0]
        draws = uniform_draws(x.size, 0, self.seed) * exact.f32(2) - exact.f32(1)
        x[...] = (draws * exact.f32(self.bound)).reshape(x.shape)
        return ()

    def lower(self, node: Node, emit: Emitter) -> None:
        x = node.inputs[0]
        grid = grid_of(x.elements)
        emit.dispatch(
            "uniform",
            {"ELEMENTS": x.elements, "CHUNK": CHUNK, "WIDTH": grid[0], "SEED": self.seed, "BOUND": self.bound},
            {"x": x},
            grid,
            node.label,
            Cost(bytes=x.bytes, operations=20 * x.elements),
        )
