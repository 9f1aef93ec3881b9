"""The step table: a row for each chunk of a prompt, each generated token, each micro-batch and optimiser step.

A benchmark knows its future: whatever varies by step is a column computed here; players index, they never compute. The
columns are the members of ``struct Step`` in kernels/lib/step.wgsl, in its order.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from .plan import Step

COLUMNS = ("zero", "position", "count", "kv_chunks", "draw", "share", "rate", "keep", "unbias1", "unbias2")
KV_CHUNK = 128  # positions that one attention partial covers; part of the definition of the result


@dataclass(frozen=True)
class StepRow:
    """What a step takes from the host.

    Position of its first token, its number of tokens, and the counter of its random draws. Training adds what a token's
    loss counts (1 / supervised tokens of the optimiser step), and of AdamW the learning rate, what decay keeps of a
    weight (1 - rate * decay), and the bias corrections 1 / (1 - beta^t) of both moments.
    """

    program: str
    position: int
    count: int
    draw: int
    share: float = 0.0
    rate: float = 0.0
    keep: float = 1.0
    unbias1: float = 1.0
    unbias2: float = 1.0

    @property
    def kv_length(self) -> int:
        """Positions that the step's last token attends to."""
        return self.position + self.count

    def to_step(self) -> Step:
        kv_chunks = -(-self.kv_length // KV_CHUNK)
        floats = (self.share, self.rate, self.keep, self.unbias1, self.unbias2)
        bits = struct.unpack("<5I", struct.pack("<5f", *floats))
        return Step(program=self.program, values=(0, self.position, self.count, kv_chunks, self.draw, *bits))


def prefill_rows(tokens: int, chunk: int, last: str = "prefill_last") -> Iterator[StepRow]:
    """Rows that run ``tokens`` prompt tokens in chunks; the last one runs ``last``, which samples a token."""
    for position in range(0, tokens, chunk):
        count = min(chunk, tokens - position)
        yield StepRow("prefill" if position + count < tokens else last, position, count, 0)


def decode_rows(first: int, tokens: int) -> Iterator[StepRow]:
    """``tokens`` rows of one token each; row i embeds the token at position ``first + i`` and samples the next."""
    for i in range(tokens):
        yield StepRow("decode", first + i, 1, i + 1)
