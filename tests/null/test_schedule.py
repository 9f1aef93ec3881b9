"""Learning rates and weight decays of every step, against the golden tables and by hand."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from training_runs import GOLDEN

from tritmark.engine.errors import PlanError
from tritmark.engine.schedule import Schedule

TABLES = GOLDEN / "train_golden.json"
_NAME = re.compile(r"(\w+) total=(\d+) warmup=(\d+) lr0=(\S+) lr_min=(\S+)")


@pytest.mark.skipif(not TABLES.exists(), reason="no golden files beside checkout")
def test_rates_are_those_of_the_golden_tables() -> None:
    tables: dict[str, list[float]] = json.loads(TABLES.read_text())["lr_schedule"]
    assert len(tables) == 6
    for name, rates in tables.items():
        match = _NAME.fullmatch(name)
        assert match
        kind, total, warmup, rate, least = match.groups()
        schedule = Schedule(kind, float(rate), float(least), int(total), int(warmup))
        assert [schedule.rate_at(step) for step in range(1, int(total) + 1)] == pytest.approx(rates, rel=1e-9)


def test_rates_by_hand() -> None:
    warm = Schedule("linear", rate=1.0, rate_min=0.2, total=10, warmup=2)
    assert [warm.rate_at(step) for step in (1, 2, 6, 10)] == pytest.approx([0.5, 1.0, 0.6, 0.2])
    assert Schedule("cosine", rate=1.0, total=4).rate_at(2) == pytest.approx(0.5)
    assert Schedule("constant", rate=0.3, total=4).rate_at(4) == 0.3


def test_two_stages_fall_to_a_lower_line_in_the_middle_and_then_decay_nothing() -> None:
    stages = Schedule("two_stage", rate=1.2, total=8, decay=0.1, second_rate=0.8)
    rates = [stages.rate_at(step) for step in range(1, 9)]
    assert rates == pytest.approx([1.05, 0.9, 0.75, 0.6, 0.3, 0.2, 0.1, 0.0])
    assert [stages.decay_at(step) for step in range(1, 9)] == [0.1] * 4 + [0.0] * 4
    assert Schedule("linear", rate=1.2, total=8, decay=0.1).decay_at(8) == 0.1


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"kind": "sine"}, "'sine' is unknown"),
        ({"rate": 0.0}, "learning rates"),
        ({"rate_min": 1.0}, "learning rates"),
        ({"decay": -1.0}, "weight decay"),
        ({"rate": 1.0, "decay": 1.0}, "weight decay"),
        ({"total": 0}, "warm-up"),
        ({"warmup": 9, "total": 8}, "warm-up"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused(changed: dict[str, Any], says: str) -> None:
    with pytest.raises(PlanError, match=says):
        Schedule(**changed)
