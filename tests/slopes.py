"""Slopes by finite differences in float64, which gradients are held against."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from engine_runs import Array

Data = Mapping[str, Array]
Formula = Callable[[Data], Array]


def slopes(formula: Formula, name: str, data: Data, by: float = 1e-5) -> Array:
    """Central differences of sum(dy * formula) by each element of ``name``; rows of "dy" beyond the result's count for
    nothing.
    """
    wide = {key: array.astype(np.float64) for key, array in data.items()}
    found = np.zeros(wide[name].shape)
    for at in np.ndindex(found.shape):
        losses = []
        for move in (by, -by):
            moved = wide[name].copy()
            moved[at] += move
            y = formula({**wide, name: moved})
            losses.append((y * wide["dy"][: len(y)]).sum())
        found[at] = (losses[0] - losses[1]) / (2 * by)
    return found
