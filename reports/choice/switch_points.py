"""Switch points: where the answer turns, by the model's size, by memory and by the mix."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

from .feasibility import MEBIBYTE, Sized
from .knowledge import Known
from .pairs import EQUAL

SMALLEST, LARGEST, STEPS = 0.1e9, 15e9, 41  # ternary weights between which sizes are looked at
NAMES = {"tq1_0": "TQ1_0", "tq2_0": "TQ2_0"}


def seconds(known: Sequence[Known], mix: Mapping[str, float], sign: float) -> float:
    """For the mix, at the middle of what is known; ``sign``: 1 for TQ1_0, -1 for TQ2_0."""
    return sum(mix[each.phase] * math.exp(-each.middle - sign * each.ratio / 2) for each in known)


def difference(known: Sequence[Known], mix: Mapping[str, float]) -> float:
    """ln(seconds of TQ2_0 / seconds of TQ1_0): above 0 where TQ1_0 is faster."""
    return math.log(seconds(known, mix, -1) / seconds(known, mix, 1))


def by_size(sizes: Sequence[tuple[float, Sequence[Known]]], mix: Mapping[str, float]) -> list[tuple[float, str]]:
    """(ternary weights, the format that is faster above), smallest first; ``sizes``: (weights, knowledge), ascending.
    A format that leads by less than 3 % up to the next point has not become the better one.
    """
    runs: list[list[tuple[float, float]]] = []  # of sizes at which one format is faster: (weights, difference)
    for weights, known in sizes:
        apart = difference(known, mix)
        if not runs or (runs[-1][-1][1] > 0) != (apart > 0):
            runs.append([])
        runs[-1].append((weights, apart))
    leads = [run for run in runs if max(abs(apart) for _, apart in run) > EQUAL]
    found = []
    for small, large in pairwise(leads):
        (before, low), (after, high) = small[-1], large[0]
        if (low > 0) != (high > 0):
            found.append((before * (after / before) ** (low / (low - high)), "tq1_0" if high > 0 else "tq2_0"))
    return found


def by_memory(sizes: Mapping[str, Sized]) -> tuple[int, int] | None:
    """Bytes between which TQ1_0 alone fits; None where nothing tells."""
    one, two = (sizes[name].peak_bytes if name in sizes else None for name in ("tq1_0", "tq2_0"))
    return (one, two) if one and two and one < two else None


def by_mix(known: Sequence[Known]) -> tuple[float, str] | None:
    """The share of decoded tokens, of those decoded and prefilled, above which the format named is the faster one; None
    where both phases want the same, or one of them does not care.
    """
    phases = {each.phase: each for each in known}
    both = [phases[name] for name in ("prefill", "decode") if name in phases]
    if len(both) < 2 or min(abs(each.ratio) for each in both) <= EQUAL:
        return None
    prefill, decode = map(_saved, both)
    if (prefill > 0) == (decode > 0):
        return None
    return prefill / (prefill - decode), "tq1_0" if decode > 0 else "tq2_0"


def _saved(known: Known) -> float:
    """Seconds a token by which TQ1_0 is faster."""
    return math.exp(-known.middle + known.ratio / 2) - math.exp(-known.middle - known.ratio / 2)


def sentences(
    sizes: Sequence[tuple[float, Sequence[Known]]], known: Sequence[Known], mix: Mapping[str, float],
    bytes_of: Mapping[str, Sized],
) -> list[str]:  # fmt: skip
    """One for each switch point that there is."""
    turns = by_size(sizes, mix)
    said = [f"by size: {NAMES[name]} becomes the faster one above {billions(weights)}" for weights, name in turns]
    if memory := by_memory(bytes_of):
        least, enough = (f"{size / MEBIBYTE:,.0f}" for size in memory)
        said.append(f"by memory: TQ1_0 alone fits into {least} to {enough} MiB of GPU buffers")
    if turn := by_mix(known):
        share, name = turn
        said.append(f"by mix: {NAMES[name]} is faster where over {share:.1%} of prompt and answer is answer")
    return said


def ladder() -> list[float]:
    """Sizes between which switch points are looked for, evenly spaced in their logarithm."""
    return [SMALLEST * (LARGEST / SMALLEST) ** (step / (STEPS - 1)) for step in range(STEPS)]


def billions(weights: float) -> str:
    return f"{weights / 1e9:.2g}B weights" if weights >= 1e9 else f"{weights / 1e6:.0f}M weights"
