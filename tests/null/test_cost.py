"""Costs by hand: seconds, joules, break-even and what is refused. Every record here is made, none measured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from command_runs import last, tritmark
from session_records import failed, made, written

from tritmark.reports.cost import rendering
from tritmark.reports.cost.cost import costs, selected
from tritmark.reports.cost.energy import Power, power
from tritmark.reports.cost.prices import Prices
from tritmark.results.record import Record

SECOND = 1_000_000_000
PRICES = Prices(cloud_in=1.0, cloud_out=4.0, device=600.0, electricity=0.36, tokens_in=200, tokens_out=101,
                queries_per_day=100, power_w=10.0)  # fmt: skip


def prefill(**fields: Any) -> Record:
    """400 tokens in 2 s: 200 tok/s, MAD 0 of three equal repetitions."""
    told = {
        "workload": "prefill:400",
        "prompt_tokens": 400,
        "samples_ns": (2 * SECOND,) * 3,
        "token_ns": (),
        "minute": 1,
    }
    return made(**{**told, **fields})


def decode(**fields: Any) -> Record:
    """8 tokens after the first in 0.4 s: 20 tok/s."""
    return made(**{"minute": 2, "samples_ns": (400_000_000,) * 3, **fields})


def discharging(amperes: float, volts: float = 4.0, **values: Any) -> dict[str, Any]:
    told = {"battery_microamperes": -amperes * 1e6, "battery_millivolts": volts * 1000, "plugged": False,
            "charging": False, **values}  # fmt: skip
    return {"samples": [[at * SECOND, told] for at in (0, 1, 2, 3)], "methods": {}}


def test_a_query_is_its_prompt_by_prefill_and_its_answer_after_the_first_token_by_decode() -> None:
    (cost,), lacking = costs([prefill(), decode()], PRICES)
    assert lacking == [] and cost.seconds.value == pytest.approx(200 / 200 + 100 / 20)
    assert cost.joules and cost.joules.value == pytest.approx(60) and cost.power == "stated"
    assert cost.prefill.record_ids == (prefill().id,) and cost.decode.record_ids == (decode().id,)
    assert cost.prefill.spread == "MAD of 3 repetitions in one session"


def test_break_even_is_the_device_over_what_a_query_saves() -> None:
    (cost,), _ = costs([prefill(), decode()], PRICES)
    cloud, electricity = (200 * 1.0 + 101 * 4.0) / 1e6, 60 * 0.36 / 3.6e6
    assert cost.cloud == pytest.approx(cloud)
    assert cost.electricity and cost.electricity.value == pytest.approx(electricity)
    found = cost.break_even
    assert found.queries and found.tokens and found.days
    assert found.queries.value == -(-600 // (cloud - electricity))
    assert found.tokens.value == found.queries.value * 301 and found.days.value == found.queries.value / 100


def test_the_spread_of_sessions_is_carried_to_seconds() -> None:
    records = [
        prefill(),
        *(decode(minute=m, session=m, samples_ns=(ms * 10**6,) * 3) for m, ms in ((2, 360), (3, 400), (4, 440))),
    ]
    (cost,), _ = costs(records, PRICES)
    assert cost.decode.spread == "95 % interval over 3 sessions" and len(cost.decode.record_ids) == 3
    assert cost.seconds.low < 1 + 100 / (20 / 0.93) and cost.seconds.high > 1 + 100 / (20 / 1.07)
    assert cost.seconds.low < cost.seconds.value < cost.seconds.high


def test_a_cloud_that_is_cheaper_than_electricity_is_never_beaten() -> None:
    (cost,), _ = costs([prefill(), decode()], replace(PRICES, electricity=36_000.0))
    assert cost.break_even.queries is None and str(cost.break_even.reason).startswith("never: the electricity")
    (free,), _ = costs([prefill(), decode()], replace(PRICES, cloud_in=0.0, cloud_out=0.0, power_w=None))
    assert free.break_even.reason == "never: the cloud is free"


def test_more_queries_than_a_day_holds_are_said_to_be_too_many() -> None:
    (cost,), _ = costs([prefill(), decode()], replace(PRICES, queries_per_day=20_000))
    assert cost.break_even.queries is None
    assert "33.3 hours; one device answers 14,400 a day" in str(cost.break_even.reason)


def test_without_a_power_the_break_even_is_a_lower_bound_and_joules_are_missing() -> None:
    (cost,), _ = costs([prefill(), decode()], replace(PRICES, power_w=None))
    assert cost.joules is None and cost.power == "no battery telemetry was recorded"
    assert cost.break_even.queries and cost.break_even.queries.value == -(-600 // cost.cloud)
    assert str(cost.break_even.reason).startswith("at least: electricity is left out")
    assert "Give --power" in rendering.text([cost], [], PRICES)


def test_power_is_current_times_voltage_over_the_run() -> None:
    found = power(prefill(telemetry=discharging(0.5)))
    assert isinstance(found, Power) and found.watts == pytest.approx(2.0) and found.mad == 0 and found.samples == 4
    (cost,), _ = costs(
        [prefill(telemetry=discharging(0.5)), decode(telemetry=discharging(1.0))],
        replace(PRICES, power_w=None, battery_wh=10.0),
    )
    assert cost.joules and cost.joules.value == pytest.approx(1 * 2.0 + 5 * 4.0) and cost.power == "measured"
    assert cost.queries_per_charge and cost.queries_per_charge.value == pytest.approx(36_000 / 22)


UNTOLD = {"battery_microamperes": 5e5, "battery_millivolts": 4000.0}


@pytest.mark.parametrize(
    ("telemetry", "says"),
    [
        (discharging(0.5, charging=True), "charging or on a cable"),
        (discharging(0.5, plugged=True), "charging or on a cable"),
        ({"samples": [[at, UNTOLD] for at in range(4)], "methods": {}}, "does not say whether"),
        ({"samples": [[0, {"charging": False}]], "methods": {}}, "read 0 times; 3 are needed"),
        (None, "no battery telemetry"),
    ],
)
def test_energy_is_never_taken_from_a_run_that_may_have_been_charging(telemetry: Any, says: str) -> None:
    found = power(prefill(telemetry=telemetry))
    assert isinstance(found, str) and says in found


def test_only_what_ran_and_was_measured_counts() -> None:
    slow = failed(minute=9, status="fallback", workload="prefill:400")
    _, lacking = costs([slow, decode()], PRICES)
    assert lacking == ["made:1B tq1_0 made GPU (host): no prefill among the records, so that a query has no time"]


def test_the_nearest_length_is_taken() -> None:
    short = prefill(workload="prefill:16", prompt_tokens=16, minute=5)
    (cost,), _ = costs([short, prefill(), decode()], PRICES)
    assert cost.prefill.workload == "prefill:400"


def test_selection_is_by_part_of_the_adapter() -> None:
    records = [prefill(), prefill(adapter="other", minute=7)]
    assert selected(records, "MADE", [], []) == records[:1] and selected(records, None, ["x"], []) == []


def test_text_marks_what_is_stated_and_what_is_measured_within_80_columns() -> None:
    found, lacking = costs([prefill(), decode()], replace(PRICES, battery_wh=15.0))
    text = rendering.text(found, lacking, replace(PRICES, battery_wh=15.0))
    assert max(map(len, text.splitlines())) <= 80
    for part in (
        "[stated]",
        "[stated power]",
        "[measured: made 1",
        "a charge        900 ± 0",
        "break-even      1 million queries = 302 million",
    ):
        assert part in text


class TestCommand:
    def arguments(self, folder: Path, **changed: str) -> list[str]:
        given = {"cloud-price": "1,4", "device-price": "600", "electricity": "0.36", "tokens-per-query": "200,101",
                 "queries-per-day": "100", "power": "10", **changed}  # fmt: skip
        return ["cost", str(folder), *(part for name, value in given.items() for part in (f"--{name}", value) if value)]

    def test_it_prints_one_object_a_device_and_the_prices_may_be_in_a_file(self, tmp_path: Path) -> None:
        folder = written(tmp_path / "made", prefill(), decode())
        assert last(tritmark(*self.arguments(folder), "--json")) == {"costs": 1, "left_out": []}
        file = tmp_path / "prices.toml"
        file.write_text("cloud_price = [1.0, 4.0]\ndevice_price = 600\nelectricity = 0.36\n"
                        "tokens_per_query = [200, 101]\nqueries_per_day = 100\npower = 10\n")  # fmt: skip
        by_file = tritmark("cost", folder, "--prices", file).stdout
        assert by_file == tritmark(*self.arguments(folder)).stdout and "break-even" in by_file

    @pytest.mark.parametrize(
        ("changed", "says"),
        [
            ({"cloud-price": "", "electricity": ""}, "none has a default; give --cloud-price IN,OUT"),
            ({"cloud-price": "1"}, "two numbers were expected"),
            ({"device-price": "0"}, "--device-price 0.0: a number above 0"),
            ({"tokens-per-query": "200,nan"}, "a number above 0"),
            ({"device": "nonesuch"}, "no record is of that device"),
            ({"prices": "/nowhere/prices.toml"}, "/nowhere/prices.toml"),
        ],
    )
    def test_wrong_usage_is_one_line(self, tmp_path: Path, changed: dict[str, str], says: str) -> None:
        folder = written(tmp_path / "made", prefill(), decode())
        ended = tritmark(*self.arguments(folder, **changed), status=2)
        assert says in ended.stderr and ended.stderr.count("\n") == 1
