"""What a launch takes is told from launches of its kind: exactly, in between, and beyond."""

from __future__ import annotations

import pytest

from tritmark.bench.pace import Pace, launch_ns
from tritmark.engine.plan import Cost, Dispatch

SMALL, LARGE = Pace(100, 900, 5000.0), Pace(1000, 9000, 14000.0)


def launch(work: int) -> Dispatch:
    return Dispatch(module="m", bindings=(), grid=(1, 1, 1), label="x", cost=Cost(bytes=work, operations=0))


@pytest.mark.parametrize(
    ("work", "expected"),
    [(1000, 5000.0), (10000, 14000.0), (5500, 9500.0), (19000, 23000.0), (10, 5000.0)],
    ids=["as measured", "as measured, larger", "in between", "beyond the largest", "below the least"],
)
def test_work_decides_between_what_was_measured(work: int, expected: float) -> None:
    assert launch_ns(launch(work), [LARGE, SMALL]) == pytest.approx(expected)


def test_one_measurement_grows_in_proportion() -> None:
    assert launch_ns(launch(3000), [SMALL]) == pytest.approx(15000.0)
    assert launch_ns(launch(1), [SMALL]) == 5000.0


def test_noise_never_makes_more_work_faster() -> None:
    noisy = [Pace(0, 1000, 9000.0), Pace(0, 2000, 8000.0)]
    assert launch_ns(launch(5000), noisy) == 8000.0
