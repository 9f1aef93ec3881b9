"""From what is known to what to ship: regret, ties, limits, switch points and what to measure next."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest
from choice_records import both

from tritmark.reports.choice import next_measurement, regret, switch_points
from tritmark.reports.choice.advice import Question, recommend, recommend_measured
from tritmark.reports.choice.feasibility import Limits, broken, parse_limits
from tritmark.reports.choice.hardware import Place
from tritmark.reports.choice.knowledge import Evidence, Known
from tritmark.reports.choice.mixes import NAMED, parse_mix
from tritmark.reports.choice.pairs import paired
from tritmark.reports.choice.recommendation import OPTIONS, PHASES, Recommendation

CHAT = {"prefill": 512.0, "decode": 128.0}
PHONE = Place(engine="tritmark", hardware="phone-adreno", body="p", column="p")


@dataclass(frozen=True, kw_only=True)
class Bytes:
    download_bytes: int | None = None
    peak_bytes: int | None = None
    refused: str | None = None


SIZES = {
    "tq1_0": Bytes(download_bytes=300_000_000, peak_bytes=400 << 20),
    "tq2_0": Bytes(download_bytes=360_000_000, peak_bytes=500 << 20),
    "tq1_0>tq2_0": Bytes(download_bytes=300_000_000, peak_bytes=500 << 20),
}


def known(phase: str, one: float, two: float, sd: float = 0.001) -> Known:
    """Rates of TQ1_0 and TQ2_0, with the standard deviation of their log-ratio."""
    return Known(phase=phase, basis="measured", grade="measured", middle=math.log(one * two) / 2, middle_sd=sd / 2,
                 ratio=math.log(one / two), ratio_sd=sd)  # fmt: skip


def asked(mix: dict[str, float], sizes: dict[str, Bytes] = SIZES, **limits: float) -> Recommendation:
    """Of a made phone: prefill 1,000 and 1,100 tok/s, decode 90 and 60."""
    records = both(1000.0, 1100.0, phase="prefill", tokens=512) + both(90.0, 60.0)
    evidence = Evidence(paired(records))
    place = evidence.pairs[0].place
    question = Question(place=place, device="made", model="synthetic:1B", weights=0.93e9, mix=mix, sizes=sizes,
                        limits=Limits(**limits))  # fmt: skip
    return recommend(evidence, question)


def test_the_faster_format_for_the_mix_is_shipped() -> None:
    answer, prompt = asked({"decode": 128.0}), asked({"prefill": 512.0})
    assert answer.chosen == "tq1_0" and prompt.chosen == "tq1_0>tq2_0"
    assert answer.basis == prompt.basis == "measured" and not answer.tie
    by_name = {option.name: option for option in answer.options}
    assert by_name["tq2_0"].regret == pytest.approx(1 - 60 / 90, abs=0.01) and by_name["tq1_0"].p_best == 1.0
    assert by_name["tq1_0"].rates["decode"].tps == pytest.approx(90.0)
    assert answer.record_ids == by_name["tq1_0"].rates["decode"].record_ids and len(answer.record_ids) == 2


def test_repacking_at_load_has_the_speed_of_one_format_and_the_download_of_the_other() -> None:
    one, two, repacked = asked({"prefill": 512.0}).options
    assert repacked.rates == two.rates and repacked.seconds == two.seconds and repacked.regret == two.regret
    assert (repacked.download_bytes, repacked.peak_bytes) == (one.download_bytes, two.peak_bytes)


@pytest.mark.parametrize(("memory_bound", "chosen"), [(True, "tq1_0"), (False, "tq1_0>tq2_0")])
def test_a_tie_goes_to_fewer_bytes_where_memory_bounds_the_work(memory_bound: bool, chosen: str) -> None:
    downloads = {name: size.download_bytes for name, size in SIZES.items()}
    regrets = {"tq1_0": 0.012, "tq2_0": 0.0, "tq1_0>tq2_0": 0.0}
    assert regret.choose(regrets, True, memory_bound, downloads) == chosen
    assert regret.choose(regrets, False, memory_bound, downloads) == "tq1_0>tq2_0"


def test_decoding_is_memory_bound_and_a_long_prompt_is_not() -> None:
    rates = [known("prefill", 1000.0, 1000.0), known("decode", 100.0, 100.0)]
    assert regret.is_memory_bound(rates, CHAT) and not regret.is_memory_bound(
        rates, {"prefill": 4096.0, "decode": 10.0}
    )


@pytest.mark.parametrize(
    ("limits", "refused", "chosen", "why"),
    [
        ({"memory_mib": 450.0}, {"tq2_0", "tq1_0>tq2_0"}, "tq1_0", "needs 500 MiB, the limit is 450 MiB"),
        ({"download_mb": 330.0}, {"tq2_0"}, "tq1_0", "downloads 360 MB, the limit is 330 MB"),
        ({"tps": 70.0}, {"tq2_0", "tq1_0>tq2_0"}, "tq1_0", "decodes 60 tok/s, the limit is 70 tok/s"),
        ({"ttft_s": 0.48}, {"tq1_0"}, "tq1_0>tq2_0", "first token after 0.512 s, the limit is 0.48 s"),
        ({"memory_mib": 100.0}, set(OPTIONS), None, "needs 400 MiB, the limit is 100 MiB"),
    ],
)
def test_a_broken_limit_is_shown_with_its_reason(
    limits: dict[str, float], refused: set[str], chosen: str | None, why: str
) -> None:
    found = asked(CHAT, **limits)
    assert {option.name for option in found.options if not option.feasible} == refused and found.chosen == chosen
    assert why in {option.reason for option in found.options} and why in found.sentence
    assert all(option.regret is None and option.p_best == 0.0 for option in found.options if not option.feasible)


def test_an_epoch_has_a_limit_and_a_plan_that_does_not_compile_is_no_option() -> None:
    rates = {"train": known("train", 100.0, 100.0).rate("tq1_0")}
    assert broken(None, rates, {"train": 720_000.0}, Limits(epoch_h=1.5)) == "an epoch takes 2 h, the limit is 1.5 h"
    sizes = {**SIZES, "tq2_0": Bytes(refused="head needs 140 MB")}
    found = asked({"prefill": 512.0}, sizes)
    assert found.options[1].reason == "head needs 140 MB" and found.chosen == "tq1_0>tq2_0"


def test_regret_grows_with_doubt() -> None:
    found = [regret.lost(regret.draw([known("decode", 110.0, 100.0, sd)], CHAT), OPTIONS) for sd in (0.001, 0.3, 0.6)]
    losses = [share["tq1_0"].mean() for share in found]
    assert losses[0] == pytest.approx(0, abs=1e-6) and losses[0] < losses[1] < losses[2]
    draws = regret.draw([known("decode", 110.0, 100.0, 0.3)], CHAT)
    chance = 0.5 * (1 + math.erf(math.log(1.1) / 0.3 / math.sqrt(2)))
    assert regret.chances(draws, OPTIONS)["tq1_0"] == pytest.approx(chance, abs=0.03)


def test_the_switch_by_mix_is_where_both_take_the_same_time() -> None:
    rates = [known("prefill", 1000.0, 1100.0), known("decode", 90.0, 60.0)]
    share, above = switch_points.by_mix(rates) or (0.0, "")
    assert above == "tq1_0"
    for nudge, faster in ((0.8, "tq2_0"), (1.25, "tq1_0")):
        mix = {"prefill": 1 - share * nudge, "decode": share * nudge}
        assert (switch_points.difference(rates, mix) > 0) == (faster == "tq1_0")
    assert switch_points.difference(rates, {"prefill": 1 - share, "decode": share}) == pytest.approx(0, abs=1e-9)
    assert switch_points.by_mix([known("prefill", 1.1, 1.0), known("decode", 1.2, 1.0)]) is None


def test_the_switch_by_size_is_where_the_prediction_crosses() -> None:
    records = [record for size, ratio in (("125M", 0.7), ("350M", 0.8), ("7B", 1.2), ("13B", 1.3))
               for record in both(100.0 * ratio, 100.0, model=f"synthetic:{size}")]  # fmt: skip
    evidence = Evidence(paired(records))
    place, mix = evidence.pairs[0].place, {"decode": 1.0}
    ((weights, name),) = switch_points.by_size(evidence.sizes(place, ["decode"], switch_points.ladder()), mix)
    assert name == "tq1_0" and 0.35e9 < weights < 6.5e9
    (_, below), (_, above) = evidence.sizes(place, ["decode"], [weights / 1.1, weights * 1.1])
    assert switch_points.difference(below, mix) < 0 < switch_points.difference(above, mix)


def test_a_lead_within_three_percent_is_no_switch() -> None:
    ladder = [
        (size, [known("decode", ratio, 1.0)]) for size, ratio in ((1e9, 1.2), (2e9, 0.99), (4e9, 1.2), (8e9, 0.5))
    ]
    ((weights, name),) = switch_points.by_size(ladder, {"decode": 1.0})
    assert name == "tq2_0" and 4e9 < weights < 8e9


def test_between_both_peaks_tq1_0_alone_fits() -> None:
    assert switch_points.by_memory(SIZES) == (400 << 20, 500 << 20)
    least, enough = switch_points.by_memory(SIZES) or (0, 0)
    inside, above = (asked({"prefill": 512.0}, memory_mib=size / (1 << 20)) for size in (enough - (1 << 20), enough))
    assert inside.chosen == "tq1_0" and above.chosen == "tq1_0>tq2_0" and least < enough


def test_the_next_measurement_is_of_the_phase_that_is_in_doubt() -> None:
    rates = [known("prefill", 1000.0, 1010.0, 0.4), known("decode", 100.0, 150.0, 0.01)]
    draws = regret.draw(rates, {"prefill": 5000.0, "decode": 20.0})
    offers = next_measurement.candidates(["prefill", "decode"], "android", "synthetic:1B", probed=True)
    candidate, value = next_measurement.best(draws, OPTIONS, offers) or pytest.fail("nothing was offered")
    assert candidate.command == (
        "tritmark run --device android --model synthetic:1B --workload prefill:512 --format tq1_0,tq2_0"
    )
    now = min(share.mean() for share in regret.lost(draws, OPTIONS).values())
    assert 0.5 * now < value <= now


def test_nothing_is_to_be_measured_where_the_answer_is_sure() -> None:
    assert asked({"decode": 128.0}).next_measurement is None


def test_a_device_that_nobody_measured_is_told_to_be_probed() -> None:
    question = Question(
        place=PHONE, device="p", model="synthetic:1B", weights=0.93e9, mix=CHAT, command_device="android"
    )
    found = recommend(Evidence([]), question)
    assert found.basis == "predicted" and "Probe needed" in found.sentence
    assert found.next_measurement and found.next_measurement.startswith("tritmark probe --device android --model")


def test_every_machine_and_model_with_a_pair_is_recommended_for_what_it_measured() -> None:
    records = (
        both(90.0, 60.0)
        + both(1000.0, 1100.0, phase="prefill", tokens=512)
        + both(1000.0, 900.0, phase="prefill", tokens=64)
    )
    records += both(5.0, 9.0, model="synthetic:7B") + both(70.0, 60.0, phase="train", tokens=1909, adapter="Made Mali")
    found = recommend_measured([*records, *both(1.0, 2.0, model="x.gguf", adapter="lone")[:1]])
    assert [(each.device, each.model, each.mix) for each in found] == [
        ("Made Adreno 1", "synthetic:1B", {"prefill": 512.0, "decode": 128.0}),
        ("Made Adreno 1", "synthetic:7B", {"decode": 128.0}),
        ("Made Mali", "synthetic:1B", {"train": 1909.0}),
    ]
    assert [each.chosen for each in found] == ["tq1_0", "tq1_0>tq2_0", "tq1_0"]
    assert recommend_measured([]) == [] and recommend_measured(records[:1]) == []


def test_mixes_are_named_or_told_in_tokens() -> None:
    assert parse_mix("prefill:512,decode:128,train:0") == CHAT and parse_mix("chat") == NAMED["chat"]
    assert {phase for mix in NAMED.values() for phase in mix} == set(PHASES)
    for wrong in ("talk", "prefill:", "decode:-1", "decode:1,decode:2", "decode:0", ""):
        with pytest.raises(ValueError, match="use chat, rag, finetune, pretrain, or tokens"):
            parse_mix(wrong)


def test_limits_are_numbers_that_the_mix_can_touch() -> None:
    assert parse_limits(["ttft=2", "memory:900"], CHAT) == Limits(ttft_s=2.0, memory_mib=900.0)
    for wrong in ("ttft", "speed=3", "memory=-1", "tps=nan", "download=inf"):
        with pytest.raises(ValueError, match="use ttft=SECONDS"):
            parse_limits([wrong], CHAT)
    with pytest.raises(ValueError, match="needs train tokens"):
        parse_limits(["epoch=2"], CHAT)
