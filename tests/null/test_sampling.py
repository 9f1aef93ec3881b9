"""Sampling draws from the softmax, within top-k and top-p, as its seed and step decide."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tritmark.engine.errors import PlanError
from tritmark.engine.ops.sample import Sampling, choose, uniform_draws

LOGITS = np.array([2.0, 1.5, 1.0, 0.5, 0.0, -1.0, -2.0, -30.0], np.float32)
# 99.99 % quantiles of chi-square for 1..7 degrees of freedom (Abramowitz and Stegun, table 26.8).
CHI_SQUARE = (15.14, 18.42, 21.11, 23.51, 25.74, 27.86, 29.88)
DRAWS = 20_000


def softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    weights = np.exp((logits.astype(np.float64) - logits.max()) / temperature)
    return weights / weights.sum()


def chosen(sampling: Sampling, draws: int = DRAWS, logits: np.ndarray = LOGITS) -> np.ndarray:
    """How often each id was drawn."""
    return np.bincount([choose(logits, sampling, draw) for draw in range(draws)], minlength=len(logits))


def chi_square(counts: np.ndarray, expected: np.ndarray) -> tuple[float, int]:
    """The statistic and its degrees of freedom; ids expected fewer than 5 times are left out."""
    used = expected >= 5
    return float(((counts - expected)[used] ** 2 / expected[used]).sum()), int(used.sum()) - 1


@pytest.mark.parametrize(("temperature", "seed"), [(1.0, 0), (0.7, 1), (1.6, 2**32 - 1)])
def test_draws_follow_the_softmax(temperature: float, seed: int) -> None:
    counts = chosen(Sampling(temperature, seed=seed))
    statistic, freedom = chi_square(counts, softmax(LOGITS, temperature) * DRAWS)
    assert statistic < CHI_SQUARE[freedom - 1]


def test_neighbouring_seeds_are_independent() -> None:
    """Joint draws of two seeds fill the product of their distributions."""
    logits = np.array([0.5, 0.0, 0.0], np.float32)
    pairs = np.zeros((3, 3))
    for draw in range(DRAWS // 2):
        pairs[choose(logits, Sampling(1.0, seed=1), draw), choose(logits, Sampling(1.0, seed=2), draw)] += 1
    expected = np.outer(softmax(logits), softmax(logits)) * (DRAWS // 2)
    assert ((pairs - expected) ** 2 / expected).sum() < 31.83  # 99.99 % at 8 degrees of freedom


def test_uniform_draws_are_uniform_and_never_zero_or_one() -> None:
    draws = uniform_draws(1 << 16, 3, 9)
    assert draws.min() > 0 and draws.max() < 1
    counts = np.histogram(draws, 8, (0, 1))[0]
    assert ((counts - 8192) ** 2 / 8192).sum() < CHI_SQUARE[6]


@pytest.mark.parametrize("k", [1, 2, 5])
def test_top_k_keeps_the_k_largest(k: int) -> None:
    kept = np.flatnonzero(chosen(Sampling(2.0, top_k=k), 2000))
    assert kept.tolist() == list(range(k))


@pytest.mark.parametrize("top_p", [1e-6, 0.3, 0.6, 0.9, 0.99])
def test_top_p_keeps_the_smallest_set_of_that_mass(top_p: float) -> None:
    kept = np.flatnonzero(chosen(Sampling(1.0, top_p=top_p), 4000))
    mass = np.cumsum(softmax(LOGITS))
    assert kept.tolist() == list(range(int(np.searchsorted(mass, top_p)) + 1))


def test_top_p_counts_the_mass_within_top_k() -> None:
    """The three largest of these have 0.51, 0.31 and 0.19 of their own mass."""
    assert np.flatnonzero(chosen(Sampling(1.0, top_k=3, top_p=0.75), 2000)).tolist() == [0, 1]
    assert np.flatnonzero(chosen(Sampling(1.0, top_k=3, top_p=0.85), 2000)).tolist() == [0, 1, 2]


def test_ties_at_the_threshold_all_stay() -> None:
    logits = np.array([1, 3, 1, 3, 1], np.float32)
    assert np.flatnonzero(chosen(Sampling(5.0, top_k=3), 2000, logits)).tolist() == [0, 1, 2, 3, 4]


@given(st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=40))
def test_greedy_takes_the_first_of_the_largest(values: list[float]) -> None:
    logits = np.array(values, np.float32)
    assert choose(logits, Sampling(), 0) == int(np.argmax(logits))
    if len(set(values)) == len(values):
        assert choose(logits, Sampling(1.0, top_k=1), 3) == int(np.argmax(logits))


@given(st.integers(0, 1000), st.integers(0, (1 << 32) - 1))
def test_a_draw_repeats(draw: int, seed: int) -> None:
    sampling = Sampling(1.2, top_k=6, top_p=0.95, seed=seed)
    assert choose(LOGITS, sampling, draw) == choose(LOGITS, sampling, draw)


@pytest.mark.parametrize(
    "settings",
    [{"temperature": -1}, {"temperature": 0.001}, {"temperature": 101}, {"temperature": float("nan")}, {"top_k": -1},
     {"top_p": 0}, {"top_p": 1.1}, {"top_p": float("nan")}, {"seed": -1}, {"seed": 1 << 32}],
)  # fmt: skip
def test_bad_settings_are_refused_in_one_line(settings: dict[str, Any]) -> None:
    with pytest.raises(PlanError) as caught:
        Sampling(**settings)
    assert "\n" not in str(caught.value)
