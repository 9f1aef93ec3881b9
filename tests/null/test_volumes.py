"""Volumes: how a run is cut, and that cutting it changes no bit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from training_runs import CAPS, course, random_batches, spot

from tritmark.engine.formats.blank import BlankModel
from tritmark.engine.models.config import Config
from tritmark.engine.pretraining import compile_pretraining
from tritmark.engine.training import Optimiser
from tritmark.engine.volumes import LEARNING, volumes

CONFIG = Config("bitnet", 64, 96, 1, 4, 2, 70, 64, 1e-5, 10000.0, 1.0, "silu", True)
BATCHES = random_batches(6, 16, 70, held_out=1)
STEPS = course([[3, 1], [0], [2, 4], [1, 3]], evaluated=(0, 2, 4))
ROWS = tuple(STEPS.rows(BATCHES, Optimiser()))
STATE = ("parameters", "moments.1", "moments.2", "losses", "norms", "held_out")


@settings(max_examples=40)
@given(most=st.integers(1, 200), size=st.just(BATCHES.size))
def test_volumes_follow_one_another_and_each_holds_what_it_reads(most: int, size: int) -> None:
    found = volumes(ROWS, size, most)
    assert [at for volume in found for at in volume.rows] == list(range(len(ROWS)))
    for volume in found:
        held = volume.batches(BATCHES)
        for at, row in zip(volume.rows, volume.played(ROWS, size), strict=True):
            if row.program in LEARNING:
                here, there = (at // size for at in (row.position, ROWS[at].position))
                assert (held.tokens[here] == BATCHES.tokens[there]).all()
            assert replace(row, position=ROWS[at].position) == ROWS[at]
    assert len(found) == 1 or all(len(volume.indices) * size <= max(most, 3 * size) for volume in found)


def test_a_run_that_fits_is_one_volume_with_all_its_data() -> None:
    [whole] = volumes(ROWS, BATCHES.size, 6 * BATCHES.size)
    assert whole.indices == tuple(range(6)) and whole.played(ROWS, BATCHES.size) == ROWS


@pytest.mark.parametrize("most", [1, 3 * 16, 4 * 16])
def test_a_run_in_volumes_gives_the_bits_of_a_run_in_one(most: int) -> None:
    def play(volume: Any, state: dict[str, Any] | None) -> dict[str, Any]:
        made = compile_pretraining(CONFIG, BATCHES, STEPS, CAPS, volume=volume)
        played = spot(made, BlankModel(), "tq2_0")
        for name, array in (state or {}).items():
            played.array(name)[...] = array
        played.reference.play(made.rows)
        return {name: played.array(name).copy() for name in STATE}

    whole, state = play(None, None), None
    cut = volumes(ROWS, BATCHES.size, most)
    assert len(cut) > 1
    for volume in cut:
        state = play(volume, state)
    assert state is not None and all(np.array_equal(whole[name], state[name]) for name in STATE)
