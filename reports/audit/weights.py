"""Bytes that a ternary model cannot do without, and the most by which two formats of it can differ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from .cells import Cell
from .findings import Finding

BITS = {"TQ1_0": 1.6875, "TQ2_0": 2.0625}  # a weight, scales included: blocks of 256 in 54 and 66 bytes
VOCABULARY = 32_000
METRIC = "vram_peak"
TOLERANCE = 0.03  # what allocators and rounding may add to a ratio


class Shape(NamedTuple):
    embedding: int
    feed_forward: int
    layers: int


SHAPES = {  # of the published dummy models, by their names
    "125M": Shape(768, 3072, 11), "350M": Shape(1024, 3072, 24), "1B": Shape(2048, 3584, 24),
    "1.5B": Shape(1536, 9216, 28), "2.7B": Shape(3072, 7680, 24), "3.8B": Shape(3840, 8192, 24),
    "7B": Shape(4096, 12032, 32), "13B": Shape(5120, 13824, 40),
}  # fmt: skip


def least_mib(model: str, format: str) -> tuple[float, float]:
    """MiB of the ternary weights, and of one F16 embedding that serves as head too."""
    e, f, layers = SHAPES[model]
    return layers * (4 * e * e + 3 * e * f) * BITS[format] / 8 / 2**20, VOCABULARY * e * 2 / 2**20


def below_its_own_weights(cells: Sequence[Cell]) -> Iterator[Finding]:
    """Peaks that would not hold the model alone."""
    for cell in cells:
        if cell.ok and cell.metric == METRIC and cell.unit == "MiB" and cell.model in SHAPES and cell.format in BITS:
            ternary, embedding = least_mib(cell.model, cell.format)
            if cell.value < ternary + embedding:
                text = (f"{cell.model} {cell.format}: a peak of {cell.value:,.0f} MiB is less than {ternary:,.0f} MiB"
                        f" of ternary weights and {embedding:,.0f} MiB of F16 embedding")  # fmt: skip
                yield Finding("byte bound", "impossible", text, [cell])


def apart_by_more_than_weights(cells: Sequence[Cell]) -> Iterator[Finding]:
    """Peaks of two formats of one model whose ratio is not between 1 and that of their bits."""
    most = BITS["TQ2_0"] / BITS["TQ1_0"]
    peaks = {(cell.source, cell.table, *cell.case): cell for cell in cells if cell.ok and cell.metric == METRIC}
    for (source, table, model, format, *place), small in peaks.items():
        large = peaks.get((source, table, model, "TQ2_0", *place))
        if format != "TQ1_0" or large is None:
            continue
        ratio = large.value / small.value
        if not 1 - TOLERANCE <= ratio <= most * (1 + TOLERANCE):
            text = f"{model}: TQ2_0 / TQ1_0 is {ratio:.2f}; the formats differ in nothing but weights, 1 to {most:.3f}"
            yield Finding("byte ratio", "suspect", text, [small, large])
