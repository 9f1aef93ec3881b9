"""Sessions: one value each, intervals over them, and when there are enough."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
import scipy.stats
from session_records import failed, made

from tritmark.reports import stats
from tritmark.reports.metrics import METRICS
from tritmark.reports.sessions import (
    BOOTSTRAP_SESSIONS,
    estimate,
    estimates,
    grouped,
    interval_95,
    needed,
    records_settled,
    settled,
    values,
)  # fmt: skip

BY_NAME = {metric.name: metric for metric in METRICS}


def test_a_session_is_one_value_the_median_of_its_repetitions() -> None:
    sessions = [made(minute=0), made(minute=9, session=2, slowdown=2.0)]  # repetitions of 79, 80 and 90 ms, 8 tokens
    assert values(sessions, BY_NAME["decode_tps"]) == [100.0, 50.0]
    assert values(sessions, BY_NAME["prefill_tps"]) == []


def test_every_metric_of_a_session_is_estimated_and_says_which_direction_is_better() -> None:
    found = estimates([made(minute=0), made(minute=9)])
    assert set(found) == {metric.name for metric in METRICS} - {"prefill_tps", "train_tps"}
    assert found["itl_p50_ns"].median == pytest.approx(10.5e6) and found["itl_p99_ns"].median == pytest.approx(12e6)
    assert found["peak_bytes"].interval_95 == pytest.approx((80 << 20, 80 << 20))
    assert {name for name, metric in BY_NAME.items() if metric.higher_is_better} == {
        "prefill_tps", "decode_tps", "train_tps"}  # fmt: skip


def test_a_single_session_has_no_interval_and_says_so() -> None:
    found = estimate([7.0])
    assert (found.median, found.mean, found.mad) == (7.0, 7.0, 0.0)
    assert found.interval_95 is None and found.method == "none: a single session"


def test_the_interval_of_few_sessions_is_students_t_of_the_logarithms() -> None:
    sessions = [90.0, 100.0, 110.0, 130.0]
    logs = np.log(sessions)
    low, high = scipy.stats.t.interval(0.95, 3, logs.mean(), scipy.stats.sem(logs))
    found = estimate(sessions)
    assert found.interval_95 == pytest.approx((math.exp(low), math.exp(high)), rel=1e-3)
    assert found.method == "t of logarithms" and found.median == 105.0 and found.mean == 107.5


def test_many_sessions_are_bootstrapped_and_give_the_same_interval_again() -> None:
    sessions = np.exp(np.random.default_rng(1).normal(3, 0.1, BOOTSTRAP_SESSIONS)).tolist()
    first, again = estimate(sessions), estimate(sessions)
    assert first == again and first.method == "BCa bootstrap of logarithms"
    logs = np.log(sessions)
    by_t = np.exp(scipy.stats.t.interval(0.95, len(logs) - 1, logs.mean(), scipy.stats.sem(logs)))
    assert first.interval_95 == pytest.approx(tuple(by_t), rel=0.01) and first.interval_95 != pytest.approx(tuple(by_t))
    assert interval_95([5.0] * BOOTSTRAP_SESSIONS) == pytest.approx((5.0, 5.0))


def test_students_t_is_right_beyond_its_table() -> None:
    for freedom in (1, 2, 19, 20, 21, 25, 60, 400):
        assert stats.t_95(freedom) == pytest.approx(scipy.stats.t.ppf(0.975, freedom), abs=6e-4)
    assert stats.t_95(4.9) == stats.t_95(4)


def test_what_failed_fell_back_was_published_or_stands_twice_is_no_session() -> None:
    one = made(minute=0)
    others = [failed(minute=1), failed(minute=2, status="fallback"), made(minute=3, kind="published"), one]
    assert grouped([one, *others]) == [[one]]


def test_sessions_are_of_one_machine_and_in_the_order_of_time() -> None:
    early, late = made(minute=1), made(minute=5)
    other_gpu, other_driver = made(minute=2, adapter="another"), made(minute=3, driver="2.0")
    assert grouped([late, other_gpu, early, other_driver]) == [[early, late], [other_gpu], [other_driver]]


def test_outliers_are_named_and_stay() -> None:
    found = estimate([100.0, 101.0, 99.0, 100.0, 60.0])
    assert found.outliers == (4,) and found.values[4] == 60.0 and found.mean == 92.0
    assert estimate([100.0, 101.0, 60.0]).outliers == ()  # of three nobody can tell which one is alone
    assert estimate([100.0] * 9 + [100.5]).outliers == (9,)  # the MAD is 0: the mean deviation stands in
    assert estimate([100.0] * 9).outliers == ()


def test_steady_sessions_are_rarely_called_outliers() -> None:
    sessions = np.random.default_rng(2).normal(100, 5, (400, 12)).tolist()
    assert 0 < statistics.mean(bool(estimate(each).outliers) for each in sessions) < 0.25


def test_sessions_end_once_the_interval_is_narrow_and_not_before_the_third() -> None:
    assert not settled([100.0, 100.1]) and settled([100.0, 100.1, 100.2])
    assert not settled([90.0, 100.0, 110.0]) and settled([90.0, 100.0, 110.0], half_width=0.3)
    assert not settled([100.0])


def test_the_number_of_sessions_needed_settles_them() -> None:
    count = needed([95.0, 100.0, 105.0])
    assert count is not None and 20 < count < 40
    sd = statistics.stdev(map(math.log, (95.0, 100.0, 105.0)))
    at = [math.sinh(stats.t_95(n - 1) * sd / math.sqrt(n)) for n in (count - 1, count)]
    assert at[1] < 0.02 <= at[0]
    assert needed([100.0, 100.1]) == 3 and needed([100.0]) is None and needed([1.0, 9.0], 1e-4) is None


def test_a_case_is_settled_by_its_rate_alone_on_every_machine() -> None:
    loads = [made(minute=n, slowdown={"load": 1.0 + n}) for n in range(3)]
    assert records_settled(loads, 0.02)
    assert not records_settled([*loads, made(minute=9, adapter="another")], 0.02)
    assert not records_settled(loads[:2], 0.02) and not records_settled([failed(minute=n) for n in range(5)], 0.02)
    assert not records_settled([made(minute=n, slowdown=1.0 + n / 10) for n in range(3)], 0.02)


def test_the_spread_of_every_series_of_tokens_is_known() -> None:
    gaps = [10] * 8 + [11, 50]
    times = tuple(int(sum(gaps[: n + 1])) for n in range(10))
    (spread,) = stats.token_spreads(made(minute=0, token_ns=(times,)))
    assert (spread.count, spread.median, spread.mad, spread.p50, spread.outliers) == (10, 10.0, 0.0, 10.0, (9,))
    assert spread.p90 == pytest.approx(14.9) and spread.p99 == pytest.approx(46.49)
    assert stats.spread([]) is None and stats.token_spreads(failed(minute=0)) == []
