"""Statistics against NumPy and against hand-made records."""

from __future__ import annotations

import math
import statistics
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tritmark.reports import stats
from tritmark.results.record import SCHEMA, Record

VALUES = st.lists(st.floats(0, 1e9), min_size=1, max_size=40)


@given(VALUES, st.floats(0, 100))
def test_percentile_is_numpys(values: list[float], percent: float) -> None:
    assert stats.percentile(values, percent) == pytest.approx(float(np.percentile(values, percent)), rel=1e-9, abs=1e-6)


@given(VALUES)
def test_mad_is_the_median_distance_from_the_median(values: list[float]) -> None:
    expected = float(np.median(np.abs(np.array(values) - np.median(values))))
    assert stats.mad(values) == pytest.approx(expected, rel=1e-9, abs=1e-6)


def test_the_interval_of_a_known_sample() -> None:
    low, high = stats.mean_interval_95([10.0, 12.0, 14.0])  # t(2) = 4.303, sd = 2
    assert (low, high) == pytest.approx((12 - 4.303 * 2 / math.sqrt(3), 12 + 4.303 * 2 / math.sqrt(3)))
    assert stats.mean_interval_95([1.0]) == (-math.inf, math.inf)


def test_the_interval_covers_the_mean_in_95_of_100_histories() -> None:
    samples = np.random.default_rng(7).normal(5.0, 2.0, (2000, 5))
    inside = [low <= 5.0 <= high for low, high in map(stats.mean_interval_95, samples.tolist())]
    assert 0.93 < statistics.mean(inside) < 0.97


def record(**fields: object) -> Record:
    texts = dict.fromkeys(("id", "started_at", "case_key", "model", "format", "device"), "x")
    base = {"schema": SCHEMA, "kind": "measured", "status": "ok", "reason": None, "case": {}, **texts}
    return Record(**{**base, **fields})  # type: ignore[arg-type]


def test_decode_rate_counts_the_tokens_after_the_first() -> None:
    decode = record(workload="decode:11", generated_tokens=11, samples_ns=(1_000_000_000, 2_000_000_000))
    assert stats.decode_tps(decode) == [10.0, 5.0] and stats.prefill_tps(decode) == []


def test_prefill_rate_counts_the_prompt() -> None:
    prefill = record(workload="prefill:512", prompt_tokens=512, generated_tokens=1, samples_ns=(2_000_000_000,))
    assert stats.prefill_tps(prefill) == [256.0] and stats.decode_tps(prefill) == []


def test_gaps_between_tokens_join_all_repetitions_and_never_cross_them() -> None:
    assert stats.inter_token_ns(record(workload="decode:3", token_ns=((5, 9), (6, 7)))) == [5, 4, 6, 1]


def test_overhead_is_the_part_of_a_decode_run_in_which_the_gpu_computes_nothing() -> None:
    decode = record(workload="decode:3", busy_ns=(90, 95, 80), samples_ns=(100, 101, 99), caps={"kind": "discrete"})
    assert stats.overhead(decode) == pytest.approx(0.1)
    assert stats.overhead(record(workload="decode:3", busy_ns=(9,), samples_ns=(8,))) == 0
    assert stats.overhead(replace(decode, busy_ns=())) is None
    assert stats.overhead(replace(decode, caps={"kind": "cpu"})) is None


def test_nothing_observed_gives_no_numbers() -> None:
    failed = record(workload="decode:3")
    assert stats.decode_tps(failed) == [] and stats.summary([]) is None
    assert stats.median_ns(failed.load_ns, "cold") is None and stats.peak_process_bytes(failed) is None
