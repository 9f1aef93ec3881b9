"""Throttling read from decode curves: imagined series that are steady, fall, creep, jump and are noisy."""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate

import numpy as np
import pytest

from tritmark.reports import tables
from tritmark.reports.throttle import Throttle, throttle
from tritmark.results.record import SCHEMA, Record

TOKENS, REPETITIONS, GAP_NS = 128, 3, 10e6


def record(gaps: Callable[[np.ndarray], np.ndarray], noise: float = 0.01, tokens: int = TOKENS) -> Record:
    """A decode whose gaps between tokens are ``gaps(number of the token in the whole series)`` times 10 ms."""
    random = np.random.default_rng(7)
    curves = []
    for repetition in range(REPETITIONS):
        at = np.arange(tokens) + repetition * tokens
        curve = GAP_NS * gaps(at) * random.normal(1, noise, tokens)
        curves.append(tuple(accumulate(int(gap) for gap in curve)))
    texts = dict.fromkeys(("id", "started_at", "case_key", "model", "format", "device"), "x")
    return Record(schema=SCHEMA, kind="measured", status="ok", reason=None, case={}, workload=f"decode:{tokens}",
                  token_ns=tuple(curves), **texts)  # fmt: skip


def found(gaps: Callable[[np.ndarray], np.ndarray], noise: float = 0.01) -> Throttle:
    seen = throttle(record(gaps, noise))
    assert seen
    return seen


def steady(at: np.ndarray) -> np.ndarray:
    return np.ones(len(at))


@pytest.mark.parametrize("noise", [0.0, 0.01, 0.05, 0.3])
def test_a_steady_series_is_not_throttled(noise: float) -> None:
    assert not found(steady, noise).shown


@pytest.mark.parametrize("start", [60, 128, 200, 280])
def test_a_fall_of_speed_is_seen_wherever_it_begins(start: int) -> None:
    seen = found(lambda at: np.where(at < start, 1.0, 1.25))
    assert seen.shown and seen.loss == pytest.approx(0.2, abs=0.02)


def test_a_slow_ramp_is_seen_with_most_of_its_loss() -> None:
    seen = found(lambda at: 1 + 0.3 * at / (TOKENS * REPETITIONS))
    assert seen.shown and 0.1 < seen.loss < 0.23


def test_a_speed_that_comes_back_is_no_loss_at_the_end() -> None:
    assert not found(lambda at: np.where((at > 100) & (at < 250), 1.5, 1.0)).shown


def test_what_a_growing_context_costs_is_taken_out() -> None:
    assert not found(lambda at: 1 + 0.005 * (at % TOKENS)).shown
    assert found(lambda at: (1 + 0.005 * (at % TOKENS)) * np.where(at < 200, 1, 1.3)).shown


def test_a_few_hiccups_are_no_throttling() -> None:
    assert not found(lambda at: np.where(at % 20 == 0, 6.0, 1.0)).shown


def test_a_loss_within_the_noise_is_not_shown() -> None:
    quiet, loud = (found(lambda at: np.where(at < 250, 1.0, 1.1), noise) for noise in (0.01, 0.5))
    assert quiet.shown and not loud.shown and loud.threshold > quiet.threshold == 0.05


def test_too_few_tokens_tell_nothing() -> None:
    assert throttle(record(steady, tokens=8)) is None and throttle(record(steady, tokens=1)) is None
    assert throttle(record(lambda at: np.zeros(len(at)))) is None


def test_the_row_is_marked_in_every_table() -> None:
    slowed = record(lambda at: np.where(at < 200, 1.0, 1.25))
    assert tables.row(slowed)["Status"] == "throttled -20 %" and tables.row(record(steady))["Status"] == "ok"
    assert "throttled -20 %" in tables.text([slowed], 140) and "throttled -20 %" in tables.markdown([slowed])
    assert max(map(len, tables.text([slowed], 80).splitlines())) <= 80
    derived = tables.derived(slowed)
    assert derived["throttled"] is True and derived["throttle_loss"] == pytest.approx(0.2, abs=0.02)
