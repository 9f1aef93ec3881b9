"""What `tritmark plan` predicts, without any device."""

from __future__ import annotations

from dataclasses import replace

import pytest
from imagined_device import CAPS

from tritmark.bench.case import Case
from tritmark.bench.forecast import forecast


def case(workload: str, format: str = "tq2_0") -> Case:
    return Case(model="synthetic:tiny", format=format, workload=workload, device="host")


@pytest.mark.parametrize("workload", ["prefill:8", "decode:4", "decode:4@8"])
def test_buffers_by_role_sum_to_the_peak(workload: str) -> None:
    found = forecast(case(workload), CAPS, 1 << 30, None)
    assert found["fits"] and found["reason"] is None and found["roofline_tps"] is None
    assert sum(found["buffers"].values()) == found["peak_gpu_bytes"] > 0
    assert found["bytes_per_token"] > 0 and found["operations_per_token"] > 0 and found["dispatches"] > 0


def test_the_roofline_is_bandwidth_over_traffic() -> None:
    found = forecast(case("decode:4"), CAPS, None, 1e9)
    assert found["roofline_tps"] == pytest.approx(1e9 / found["bytes_per_token"])


def test_tq1_0_needs_fewer_bytes_than_tq2_0() -> None:
    small, large = (forecast(case("decode:4", fmt), CAPS, None, None) for fmt in ("tq1_0", "tq2_0"))
    assert small["buffers"]["weight"] < large["buffers"]["weight"]
    assert small["bytes_per_token"] < large["bytes_per_token"]


def test_what_exceeds_free_memory_does_not_fit_and_says_by_how_much() -> None:
    found = forecast(case("decode:4"), CAPS, 1 << 10, None)
    assert not found["fits"] and "MiB free" in found["reason"] and found["peak_gpu_bytes"] > 1 << 10


def test_what_exceeds_a_limit_of_the_device_does_not_fit() -> None:
    tight = replace(CAPS, limits={**CAPS.limits, "maxBufferSize": 1 << 12})
    found = forecast(case("decode:4"), tight, None, None)
    assert not found["fits"] and "allows" in found["reason"] and found["buffers"] == {}


def test_a_prompt_beyond_the_context_does_not_fit() -> None:
    assert not forecast(case("prefill:1000000"), CAPS, None, None)["fits"]
