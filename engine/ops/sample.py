"""Choosing the next token on the GPU: greedy, or seeded top-k / top-p / temperature, exact and without a round trip.

Thresholds are found by radix selection over integer counts and masses (order-free sums); the draw is an exponential
race:
the token with the largest e^(l/T) / -ln(u), u a hash of (token, step, seed), which is a draw from the softmax.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import PlanError
from ..graph import Node, Value
from ..plan import Cost
from ..steps import StepRow
from . import exact
from .op import Array, Emitter, Shape
from .uniform import uniform_draws

THREADS = 256


@dataclass(frozen=True)
class Sampling:
    """``temperature`` 0 is greedy; ``top_k`` 0 and ``top_p`` 1 keep every token."""

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.temperature <= 100 or 0 < self.temperature < 0.01:
            raise PlanError(f"temperature {self.temperature} is outside 0.01..100 (0 for greedy)")
        if self.top_k < 0 or not 0 < self.top_p <= 1:
            raise PlanError(f"top-k {self.top_k} must be 0 or more and top-p {self.top_p} in (0, 1]")
        if not 0 <= self.seed < 1 << 32:
            raise PlanError(f"seed {self.seed} is outside 0..2^32-1")


@dataclass(frozen=True)
class Sample:
    """(logits (1, V), tokens (context)) -> writes the chosen id at the position after the step's last token."""

    sampling: Sampling

    def shapes(self, inputs: tuple[Value, ...]) -> tuple[Shape, ...]:
        return ()

    def reference(self, step: StepRow, inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        logits, tokens = inputs
        tokens[step.position + step.count] = choose(logits[0], self.sampling, step.draw)
        return ()

    def lower(self, node: Node, emit: Emitter) -> None:
        logits, tokens = node.inputs
        vocab = logits.shape[1]
        sampling = self.sampling
        buffers = {"logits": logits, "tokens": tokens}
        if sampling.temperature == 0:
            gpu = emit.caps.kind != "cpu"
            threads = min(1024, emit.caps.limit("maxComputeInvocationsPerWorkgroup")) if gpu else THREADS
            constants = {"VOCAB": vocab, "WG": threads, "AHEAD": 8 if gpu else 1}
            emit.dispatch(
                "argmax", constants, buffers, (1, 1, 1), node.label, Cost(bytes=vocab * 4, operations=vocab)
            )
            return
        draw = {
            "VOCAB": vocab,
            "WG": THREADS,
            "TOP_K": sampling.top_k,
            "TOP_P": top_p_parts(sampling),
            "SEED": sampling.seed,
            "INVERSE_TEMPERATURE": 1.0 / sampling.temperature,
        }
        emit.dispatch(
            "sample", draw, buffers, (1, 1, 1), node.label, Cost(bytes=vocab * 12, operations=vocab * 120)
        )


def top_p_parts(sampling: Sampling) -> int:
    """top-p in 65536ths, at least one."""
    return max(1, round(sampling.top_p * 65536))


def choose(logits: Array, sampling: Sampling, draw: int) -> int:
    """The id that kernels/argmax.wgsl or sample.wgsl picks from ``logits`` (V)."""
    if sampling.temperature == 0:
        return int(np.argmax(logits))
    scaled = (logits - logits.max()) * exact.f32(1.0 / sampling.temperature)
    rates = np.where(scaled < -60, exact.f32(0), exact.exponential(scaled))
    keys = _keys(logits)
    least = 0
    if 0 < sampling.top_k < len(logits):
        least = int(np.sort(keys)[-sampling.top_k])
    if top_p_parts(sampling) < 65536:
        masses = (rates * exact.f32(16777216)).astype(np.uint64)
        least = max(least, _mass_threshold(keys, np.where(keys >= least, masses, np.uint64(0)), top_p_parts(sampling)))
    race = rates * exact.reciprocal(-exact.logarithm(uniform_draws(len(logits), draw, sampling.seed)))
    return int(np.argmax(np.where(keys >= least, race, exact.f32(-1))))


def _keys(x: Array) -> Array:
    """Order-preserving integers of floats."""
    bits = x.view(np.uint32)
    return np.where(bits >> 31 == 1, ~bits, bits | np.uint32(1 << 31))


def _mass_threshold(keys: Array, masses: Array, parts: int) -> int:
    """Largest key such that the keys from it on hold parts/65536 of the mass, masses summed per radix bin as the kernel
    does.
    """
    prefix, wanted = 0, 0
    for shift in (24, 16, 8, 0):
        same = np.full(keys.shape, True) if shift == 24 else (keys >> (shift + 8)) == (prefix >> (shift + 8))
        bins = (keys[same] >> shift) & 255
        low = np.bincount(bins, weights=masses[same] & 0xFFF, minlength=256).astype(np.int64)
        high = np.bincount(bins, weights=masses[same] >> 12, minlength=256).astype(np.int64)
        amounts = high + (low >> 12)
        if shift == 24:
            total = int(amounts.sum())
            wanted = (total >> 16) * parts + (((total & 0xFFFF) * parts) >> 16)
        digit = 255
        while digit > 0 and amounts[digit] < wanted:
            wanted -= int(amounts[digit])
            digit -= 1
        prefix |= digit << shift
    return prefix
