"""Paired evidence: what counts as a pair, what it says and how much it weighs."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from choice_records import both, rated

from tritmark.reports.audit.graded import published_records
from tritmark.reports.choice.hardware import CLASSES, class_of, place_of
from tritmark.reports.choice.pairs import named_weights, paired

PUBLISHED = Path(__file__).resolve().parents[2] / "results" / "published" / "published.csv"


def test_a_pair_is_the_log_ratio_of_both_rates() -> None:
    (pair,) = paired(both(90.0, 100.0))
    assert pair.tps == pytest.approx((90.0, 100.0))
    assert pair.log_ratio == pytest.approx(math.log(0.9), abs=1e-3)
    assert (pair.phase, pair.verdict, pair.weight) == ("decode", "tq2_0", 1.0)


@pytest.mark.parametrize(
    ("one", "two", "verdict"), [(102.0, 100.0, "tie"), (98.0, 100.0, "tie"), (104.0, 100.0, "tq1_0")]
)
def test_formats_within_three_percent_are_equal_in_practice(one: float, two: float, verdict: str) -> None:
    (pair,) = paired(both(one, two))
    assert pair.verdict == verdict


def test_sessions_give_the_error_where_there_are_several() -> None:
    sessions = [record for n, rate in enumerate((90.0, 92.0, 88.0), 1) for record in both(rate, 100.0, session=n)]
    (pair,) = paired(sessions)
    assert (pair.spread_of, pair.freedom) == ("sessions", 2)
    logs = [math.log(rate / 100) for rate in (90.0, 92.0, 88.0)]
    mean = sum(logs) / 3
    sd = math.sqrt(sum((each - mean) ** 2 for each in logs) / 2)
    assert pair.error == pytest.approx(sd / math.sqrt(3), rel=1e-6)


def test_a_single_session_says_that_its_error_is_over_repetitions() -> None:
    (pair,) = paired(both(90.0, 100.0))
    assert pair.spread_of == "repetitions" and 0 < pair.error < 0.02


def test_one_format_alone_is_no_pair_and_no_error() -> None:
    assert paired([rated(90.0, "tq1_0")]) == [] and paired([]) == []


def test_what_failed_fell_back_or_computed_something_else_is_no_pair() -> None:
    one, two = both(90.0, 100.0)
    for status in ("failed", "fallback"):
        assert paired([one, rated(100.0, "tq2_0", status=status)]) == []
    assert paired([one, rated(100.0, "tq2_0", digest="other")]) == []
    assert len(paired([one, two])) == 1


def test_other_machines_models_and_workloads_are_never_paired() -> None:
    for field in (
        {"adapter": "Made Mali"},
        {"model": "synthetic:7B"},
        {"tokens": 64},
        {"driver": "2"},
        {"player": "web"},
    ):
        assert paired([rated(90.0, "tq1_0"), rated(100.0, "tq2_0", **field)]) == []


def test_suspect_figures_have_no_weight_and_stay_to_be_shown() -> None:
    pairs = paired(published_records(PUBLISHED))
    weights = {(pair.machine, pair.model): pair.weight for pair in pairs if pair.phase == "decode"}
    assert weights["pixel-9 gpu", "1B"] == 0.5
    assert weights["rtx-4090 gpu", "1B"] == 0.0  # out of order of size
    assert all(weights[name, "1B"] == 0.0 for name in ("macbook-m3-pro gpu", "iphone-16 cpu", "iphone-16 gpu"))
    assert {pair.weight for pair in pairs if pair.phase == "train"} == {0.0}


def test_what_a_probe_composed_weighs_less_than_what_was_measured() -> None:
    (pair,) = paired(both(90.0, 100.0, kind="predicted", grade="predicted"))
    assert pair.weight == 0.25


def test_names_of_devices_tell_their_class() -> None:
    told = {"NVIDIA H200 580.159": "desktop-nvidia", "Adreno (TM) 830": "phone-adreno", "Mali-G715": "phone-mali",
            "llvmpipe (LLVM 15.0.6, 256 bits) Mesa": "software", "Apple M3 Pro": "apple", "iphone-16": "phone-apple",
            "AMD Ryzen 9": "desktop-cpu", "AMD Radeon RX 7800 XT": "desktop-amd", "Xyz 1": "unknown"}  # fmt: skip
    assert {name: class_of(name) for name in told} == told
    assert class_of("pixel-9", "cpu") == "phone-cpu" and set(told.values()) <= {*CLASSES, "unknown"}


def test_another_engine_on_the_same_device_is_another_place() -> None:
    ours, theirs = place_of(rated(1.0, "tq1_0")), place_of(rated(1.0, "tq1_0", runner="llama.cpp b7336"))
    assert (ours.engine, theirs.engine) == ("tritmark", "llama.cpp") and ours.levels[-1] != theirs.levels[-1]
    assert not ours.is_akin(theirs) and ours.levels[1] == theirs.levels[1]


def test_published_sizes_have_the_weights_of_their_shapes() -> None:
    assert (
        named_weights("1B") == named_weights("synthetic:1B?seed=2") == 931_135_488 and named_weights("my.gguf") is None
    )
