"""Ten optimiser steps have the losses that PyTorch gave for the same model, data and settings, to 1e-5."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from torch_cases import CASES
from training_runs import spot

LOSSES = json.loads((Path(__file__).parent / "training" / "torch.json").read_text())["losses"]


def test_every_case_was_computed_with_torch() -> None:
    assert LOSSES.keys() == CASES.keys() and all(len(losses) == CASES[name].steps for name, losses in LOSSES.items())


@pytest.mark.parametrize("name", CASES)
def test_losses_are_those_of_torch(name: str) -> None:
    case = CASES[name]
    compiled = case.compiled()
    run = spot(compiled, case.model(), "tq2_0")
    run.reference.play(compiled.rows)
    assert np.abs(run.array("losses") / np.array(LOSSES[name]) - 1).max() < 1e-5
    assert LOSSES[name][-1] < LOSSES[name][0]
