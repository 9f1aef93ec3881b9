"""Prediction: against a made world whose truth is known, and against the published table, each device left out."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from choice_records import both

from tritmark.reports.audit.graded import published_records
from tritmark.reports.choice import evaluation
from tritmark.reports.choice.calibration import Estimate, stretch
from tritmark.reports.choice.evaluation import Score, by_column, by_group
from tritmark.reports.choice.hardware import CLASSES, Place
from tritmark.reports.choice.knowledge import Evidence
from tritmark.reports.choice.pairs import Pair, paired
from tritmark.reports.choice.prediction import Observation, Point, Predictor, roofline_log_ratio

PUBLISHED = Path(__file__).resolve().parents[2] / "results" / "published" / "published.csv"
TRUTH = {"desktop-nvidia": 0.25, "phone-adreno": -0.5, "desktop-cpu": 0.5, "desktop-intel": -0.25, "software": -0.15}
SIZES = ("125M", "350M", "1B", "2.7B", "7B")


@cache
def cells() -> list[Pair]:
    return evaluation.table(paired(published_records(PUBLISHED)))


@cache
def scores(sound: bool, whole_groups: bool) -> dict[str, Score]:
    chosen = evaluation.sound(cells()) if sound else cells()
    return {row.rule: row for row in evaluation.evaluate(chosen, by_group if whole_groups else by_column)}


def score(rule: str, *, sound: bool = False, whole_groups: bool = False) -> Score:
    return scores(sound, whole_groups)[rule]


@pytest.mark.parametrize(
    ("rule", "right", "cells", "mean", "worst"),
    [
        ("always TQ2_0", 23, 76, 0.441, 0.830),
        ("always TQ1_0", 53, 76, 0.082, 0.524),
        ("bytes alone", 53, 76, 0.082, 0.524),
        ("same class", 67, 76, 0.027, 0.469),
        ("the probe pair alone", 61, 66, 0.012, 0.469),
    ],
)
def test_the_harness_gives_the_known_scores_of_plain_rules(
    rule: str, right: int, cells: int, mean: float, worst: float
) -> None:
    found = score(rule)
    assert (found.right, found.cells) == (right, cells)
    assert (found.mean_regret, found.max_regret) == pytest.approx((mean, worst), abs=5e-4)


def test_one_probe_pair_leaves_at_most_one_and_a_half_percent_of_regret() -> None:
    found = score("ours, one probe pair")
    assert found.mean_regret <= 0.015 and found.mean_regret < score("the probe pair alone").mean_regret


def test_without_a_probe_it_is_better_than_the_same_class() -> None:
    for sound in (False, True):
        assert score("ours, no probe", sound=sound).mean_regret < score("same class", sound=sound).mean_regret
    assert score("ours, no probe").mean_regret < 0.027


def test_intervals_of_80_percent_cover_75_to_90_of_the_cells_left_out() -> None:
    for rule in ("ours, no probe", "ours, one probe pair"):
        for sound in (False, True):
            found = score(rule, sound=sound)
            assert found.coverage_80 is not None and 0.75 <= found.coverage_80 <= 0.90
            assert found.coverage_95 is not None and found.coverage_95 >= 0.95


def test_without_the_suspect_cells_a_probe_still_helps_more_than_alone() -> None:
    assert score("ours, one probe pair", sound=True).mean_regret < score("the probe pair alone", sound=True).mean_regret


def test_whole_groups_left_out_are_predicted_badly_and_known_to_be() -> None:
    found = score("ours, no probe", whole_groups=True)
    assert found.mean_regret > 0.03  # nothing like them was seen, so there is no claim to be right
    assert found.coverage_80 is not None and found.coverage_80 >= 0.75
    assert score("ours, one probe pair", whole_groups=True).mean_regret <= 0.015


def test_what_is_left_out_never_reaches_its_prediction(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[set[str], set[str], int]] = []

    def spy(
        rest: Sequence[Pair], probes: Sequence[Pair], asked: Sequence[Pair], unit: evaluation.Unit
    ) -> list[Estimate]:
        seen.append(({unit(pair.place) for pair in rest}, {unit(pair.place) for pair in asked}, len(probes)))
        assert not {pair.record_ids for pair in asked} & {pair.record_ids for pair in [*rest, *probes]}
        return [Estimate(1.0, 0.0, 0.0, 0.0)] * len(asked)

    monkeypatch.setattr(evaluation, "RULES", (("spy", spy, False), ("spy", spy, True)))
    evaluation.evaluate(cells(), by_column)
    assert len(seen) == 20 and all(not rest & asked and len(asked) == 1 for rest, asked, _ in seen)
    assert [probes for *_, probes in seen] == [0] * 10 + [1] * 10
    asked = [pair for pair in cells() if pair.machine == "pixel-9 gpu"]
    rest = [pair for pair in cells() if pair.machine != "pixel-9 gpu"]
    other = [replace(pair, log_ratio=9.0, tps=(1.0, 1e-4)) for pair in asked]
    assert evaluation.ours(rest, [], asked, by_column) == evaluation.ours(rest, [], other, by_column)


def world(seed: int) -> list[Pair]:
    """Five families of three devices at five sizes, whose true ratios are known."""
    random = np.random.default_rng(seed)
    (model,) = paired(both(1.0, 1.0))
    found = []
    for hardware, truth in TRUTH.items():
        for number in range(3):
            name = f"{hardware} {number}"
            of_device, slope = random.normal(0, 0.1), random.normal(0, 0.1)
            place = Place(engine="tritmark", hardware=hardware, body=name, column=name)
            for size, weights in zip(SIZES, (0.1e9, 0.3e9, 0.93e9, 2.7e9, 7e9), strict=True):
                z = math.log(weights / 1e9) / math.log(13)
                ratio = truth + of_device + slope * z + random.normal(0, 0.03)
                found.append(
                    replace(model, place=place, machine=name, model=size, weights=round(weights), log_ratio=ratio,
                            tps=(math.exp(ratio / 2), math.exp(-ratio / 2)), records=())
                )  # fmt: skip
    return found


def test_in_a_made_world_the_choice_is_nearly_free_and_intervals_keep_their_promise() -> None:
    rows = [row for seed in range(4) for row in evaluation.evaluate(world(seed), by_column)]
    ours = [row for row in rows if row.rule == "ours, no probe"]
    assert statistics.mean(row.mean_regret for row in ours) < 0.01
    assert 0.75 <= statistics.mean(row.coverage_80 or 0 for row in ours) <= 0.92
    plain = [row for row in rows if row.rule == "always TQ1_0"]
    assert statistics.mean(row.mean_regret for row in plain) > 0.1


def test_a_roofline_is_the_bytes_where_arithmetic_is_free_and_the_unpacking_where_it_is_dear() -> None:
    free = replace(CLASSES["desktop-nvidia"], balance=1e6)
    dear = replace(CLASSES["desktop-nvidia"], balance=1e-3)
    assert roofline_log_ratio(free) == pytest.approx(math.log(2.0625 / 1.6875), rel=1e-6)
    assert roofline_log_ratio(dear) == pytest.approx(math.log(1 / 3), rel=1e-6)


def test_a_group_with_little_evidence_is_pulled_towards_its_neighbours() -> None:
    near = Place(engine="tritmark", hardware="phone-mali", body="a", column="a")
    far = Place(engine="tritmark", hardware="desktop-nvidia", body="b", column="b")
    seen = Predictor([Observation(Point(near, 1e9), -0.6)], lambda point: 0.0)
    akin = replace(near, body="c", column="c")
    (own, other, foreign), sd = seen.at([Point(near, 1e9), Point(akin, 1e9), Point(far, 1e9)])
    assert -0.6 < own < other < foreign < 0 and sd[0] < sd[1] < sd[2]


def test_evidence_of_less_weight_moves_a_prediction_less() -> None:
    place = Place(engine="tritmark", hardware="phone-mali", body="a", column="a")
    point = Point(place, 1e9)
    means = [
        Predictor([Observation(point, 1.0, weight)], lambda point: 0.0).at([point])[0][0] for weight in (1, 0.5, 0.25)
    ]
    assert means[0] > means[1] > means[2] > 0


def test_too_few_groups_for_a_promise_give_the_wide_interval_of_students_t() -> None:
    place = Place(engine="tritmark", hardware="phone-mali", body="a", column="a")
    alone = stretch(
        Predictor([Observation(Point(place, 1e9), 0.0)], lambda point: 0.0), lambda each: each.point.place.body
    )
    assert (alone.at_80, alone.at_95) == pytest.approx((1.638, 3.182), abs=1e-3) and alone.groups == 1


def test_an_unknown_vendor_gets_a_wide_interval_and_no_support() -> None:
    evidence = Evidence(paired(both(80.0, 100.0) + both(160.0, 200.0, model="synthetic:350M")))
    known_place = evidence.pairs[0].place
    new = Place(engine="tritmark", hardware="unknown", body="x", column="x")
    asked = [evidence.known(place, "synthetic:7B", 6e9, "decode", 128) for place in (known_place, new)]
    assert [each.basis for each in asked] == ["probe", "predicted"]
    assert [each.supported for each in asked] == [True, False] and asked[1].ratio_sd > 2 * asked[0].ratio_sd


def test_the_speed_of_a_size_between_two_measured_ones_lies_between_theirs() -> None:
    small = both(900.0, 1000.0, model="synthetic:1B", gauge={"copy_bytes_per_s": 4e12, "dispatch_ns": 1.0})
    large = both(270.0, 300.0, model="synthetic:7B")  # of the same device, by a run that gauged nothing
    evidence = Evidence(paired(small + large))
    for pair in evidence.pairs:
        found = evidence.known(pair.place, "synthetic:2.7B", 2.6e9, "decode", 128)
        assert 280 < math.exp(found.middle) < 950 and found.ratio == pytest.approx(math.log(0.9), abs=0.05)


def test_a_probe_pair_of_this_device_updates_the_prediction() -> None:
    others = [pair for pair in world(1) if pair.place.hardware == "phone-adreno"]
    place = Place(engine="tritmark", hardware="phone-adreno", body="new", column="new")
    probe = replace(others[0], place=place, log_ratio=0.4, weights=300_000_000, model="350M")
    before, after = (Evidence(pairs).known(place, "1B", 0.93e9, "decode", 128) for pairs in (others, [*others, probe]))
    assert before.ratio < -0.2 and after.ratio > 0.1 and after.ratio_sd < before.ratio_sd
    assert (before.basis, after.basis) == ("predicted", "probe")
