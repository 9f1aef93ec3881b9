"""Ten optimiser steps have the losses that PyTorch gave for the same model, data and settings, to 1e-5."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from torch_cases import CASES, FULL
from training_runs import spot

from tritmark.engine.formats.blank import BlankModel

GOLDEN = json.loads((Path(__file__).parent / "training" / "torch.json").read_text())
LOSSES = GOLDEN["losses"]


def test_every_case_was_computed_with_torch() -> None:
    for cases, found in ((CASES, LOSSES), (FULL, GOLDEN["full"])):
        assert found.keys() == cases.keys() and all(len(found[name]) == case.steps for name, case in cases.items())


@pytest.mark.parametrize("name", CASES)
def test_losses_are_those_of_torch(name: str) -> None:
    case = CASES[name]
    compiled = case.compiled()
    run = spot(compiled, case.model(), "tq2_0")
    run.reference.play(compiled.rows)
    assert np.abs(run.array("losses") / np.array(LOSSES[name]) - 1).max() < 1e-5
    assert LOSSES[name][-1] < LOSSES[name][0]


@pytest.mark.parametrize("name", FULL)
def test_losses_of_full_training_are_those_of_torch(name: str) -> None:
    case = FULL[name]
    compiled = case.compiled()
    run = spot(compiled, BlankModel(), "tq2_0")
    run.reference.play(compiled.rows)
    assert np.abs(run.array("losses") / np.array(GOLDEN["full"][name]) - 1).max() < 1e-5
    assert GOLDEN["full"][name][-1] < GOLDEN["full"][name][0]
