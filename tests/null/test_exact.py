"""The elementary functions that kernels and reference share are close to the true ones and follow their rules."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tritmark.engine.ops import exact

SAMPLES = 200_000


def spread(low: float, high: float) -> np.ndarray:
    """Numbers of all sizes between 2^low and 2^high."""
    return np.exp2(np.random.default_rng(1).uniform(low, high, SAMPLES)).astype(np.float32)


def worst_ulp(found: np.ndarray, true: np.ndarray) -> float:
    """Largest distance from the float64 truth, in units of the truth's last f32 place."""
    return float((np.abs(found - true) / np.spacing(np.abs(true).astype(np.float32))).max())


@pytest.mark.parametrize(
    ("function", "truth", "arguments", "ulp"),
    [
        (exact.reciprocal, lambda x: 1 / x, spread(-125, 125), 2),
        (exact.inverse_sqrt, lambda x: 1 / np.sqrt(x), spread(-120, 120), 4),
        (exact.exponential, np.exp, np.linspace(-60, 60, SAMPLES, dtype=np.float32), 2),
        (exact.logarithm, np.log, spread(-120, 120), 2),
    ],
)
def test_functions_are_within_a_few_ulp(function: Callable[..., np.ndarray], truth: Callable[..., np.ndarray],
                                        arguments: np.ndarray, ulp: float) -> None:  # fmt: skip
    assert worst_ulp(function(arguments), truth(arguments.astype(np.float64))) <= ulp


def test_the_logarithm_is_accurate_near_one() -> None:
    x = np.linspace(0.9, 1.1, SAMPLES, dtype=np.float32)
    assert np.abs(exact.logarithm(x) - np.log(x.astype(np.float64))).max() < 2**-26


def test_the_exponential_is_clamped() -> None:
    x = np.array([-1e30, -61, -60, 60, 61, 1e30], np.float32)
    found = exact.exponential(x)
    assert found[0] == found[1] == found[2] > 0 and found[3] == found[4] == found[5] < np.inf
    assert exact.exponential(np.zeros(1, np.float32))[0] == 1


def test_nearest_rounds_ties_to_even() -> None:
    halves = (np.arange(-1000, 1000) / np.float32(2)).astype(np.float32)
    assert (exact.nearest(halves) == np.rint(halves)).all()


@given(st.lists(st.floats(-1e9, 1e9, width=32), min_size=1, max_size=50))
def test_halves_are_what_numpy_gives_except_at_the_ends(values: list[float]) -> None:
    """Below the smallest normal fp16 zero, beyond the largest the largest."""
    x = np.array(values, np.float32)
    with np.errstate(over="ignore"):
        expected = np.clip(x, -65504, 65504).astype(np.float16)
    expected = np.where(np.abs(x) < 2**-14, np.copysign(np.float16(0), x).astype(np.float16), expected)
    assert exact.to_half(x).tobytes() == expected.tobytes()


def test_sums_have_one_order() -> None:
    quad = np.array([1e8, 1.0, -1e8, 1.0], np.float32)
    assert exact.sum4(quad) == np.float32(0)  # (1e8 + 1) + (-1e8 + 1), each rounded
    assert exact.in_order(quad, axis=0) == np.float32(1)  # ((1e8 + 1) - 1e8) + 1
    rows = np.random.default_rng(2).normal(size=(5, 3)).astype(np.float32)
    assert (exact.in_order(rows, axis=1) == (rows[:, 0] + rows[:, 1]) + rows[:, 2]).all()
