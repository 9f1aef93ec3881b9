"""The step table of inference: a row for each chunk of the prompt and for each generated token.

A benchmark knows its future: whatever varies by step is a column computed here; players index, they never compute. The
columns are the members of ``struct Step`` in kernels/lib/step.wgsl, in its order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .plan import Step

COLUMNS = ("zero", "position", "count", "kv_chunks", "draw")
KV_CHUNK = 128  # positions that one attention partial covers; part of the definition of the result


@dataclass(frozen=True)
class StepRow:
    """Position of the step's first token, its number of tokens, and the sampler's counter."""

    program: str
    position: int
    count: int
    draw: int

    @property
    def kv_length(self) -> int:
        """Positions that the step's last token attends to."""
        return self.position + self.count

    def to_step(self) -> Step:
        kv_chunks = -(-self.kv_length // KV_CHUNK)
        return Step(program=self.program, values=(0, self.position, self.count, kv_chunks, self.draw))


def prefill_rows(tokens: int, chunk: int, last: str = "prefill_last") -> Iterator[StepRow]:
    """Rows that run ``tokens`` prompt tokens in chunks; the last one runs ``last``, which samples a token."""
    for position in range(0, tokens, chunk):
        count = min(chunk, tokens - position)
        yield StepRow("prefill" if position + count < tokens else last, position, count, 0)


def decode_rows(first: int, tokens: int) -> Iterator[StepRow]:
    """``tokens`` rows of one token each; row i embeds the token at position ``first + i`` and samples the next."""
    for i in range(tokens):
        yield StepRow("decode", first + i, 1, i + 1)
