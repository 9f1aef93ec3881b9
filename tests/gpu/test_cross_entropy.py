"""The loss and its gradient give the bits of their references on the GPU, whatever the workgroup's size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from engine_runs import Array, read_value
from hypothesis import HealthCheck, Phase, settings
from hypothesis import given as examples
from hypothesis import strategies as st
from op_runs import OpRun, given, result

from tritmark.engine.graph import Graph
from tritmark.engine.ops.cross_entropy import UNSUPERVISED, CrossEntropy, LossTotal
from tritmark.engine.steps import StepRow

few = settings(max_examples=25, deadline=None, derandomize=True, phases=[Phase.explicit, Phase.generate],
               suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
M, POSITIONS, STEPS = 7, 20, 5
ROWS = [StepRow("op", 0, 1, 0, share=1.0), StepRow("op", 3, 6, 4, share=1 / 3), StepRow("op", 12, M, 2, share=1e-5),
        StepRow("op", 13, M, 9, share=0.1)]  # fmt: skip
VOCABULARIES = (5, 301, 1026)  # less than a workgroup, more, and several turns of it
LOGITS: dict[str, Callable[[np.random.Generator, int], Array]] = {
    "normal": lambda random, v: random.normal(0, 4, (M, v)),
    "ties": lambda random, v: random.integers(-2, 3, (M, v)),
    "equal": lambda random, v: np.full((M, v), random.normal()),
    "spread": lambda random, v: random.normal(0, 1e6, (M, v)),
    "edges": lambda random, v: random.choice([0, -39.9, -40.1, -59.9, -60, -60.1, -87], (M, v)),
    "peak": lambda random, v: 50 * (np.arange(v) == random.integers(v, size=(M, 1))),
    "huge": lambda random, v: random.choice([-3.4028234e38, 3.4028234e38, 0], (M, v)),
    "broken": lambda random, v: random.choice([0, 1, np.nan, np.inf, -np.inf], (M, v), p=[0.5, 0.497, *[1e-3] * 3]),
}


@pytest.fixture(scope="module")
def runs(gpu: Any) -> Any:
    """Makes each OpRun once, for a kind of device: ``runs(vocabulary, kind)``."""
    return cache(lambda vocabulary, kind: loss_run(replace(gpu, caps=replace(gpu.caps, kind=kind)), vocabulary))


def loss_run(gpu: Any, vocabulary: int) -> OpRun:
    graph, logits, losses = Graph("op", M), result("logits", M, vocabulary), result("losses", M)
    graph.add(CrossEntropy(), [logits, given("labels", POSITIONS, dtype="u32")], "loss", [losses, logits])
    graph.add(LossTotal(), [losses, result("log", STEPS)], "log")
    return OpRun(gpu, graph, ROWS)


def drawn_labels(random: np.random.Generator, vocabulary: int) -> Array:
    """A third of them not supervised, now and then one outside the vocabulary."""
    labels = random.integers(0, vocabulary, POSITIONS).astype(np.uint32)
    labels[random.random(POSITIONS) < 1 / 3] = UNSUPERVISED
    labels[random.random(POSITIONS) < 1 / 50] = vocabulary
    return labels


@few
@examples(vocabulary=st.sampled_from(VOCABULARIES), device=st.sampled_from(("cpu", "discrete")),
          kind=st.sampled_from(sorted(LOGITS)), step=st.integers(0, len(ROWS) - 1),
          seed=st.integers(0, 1 << 32))  # fmt: skip
def test_losses_and_their_gradients(runs: Any, vocabulary: int, device: str, kind: str, step: int, seed: int) -> None:
    """Workgroups have 64 threads on a processor, else 256; a draw beyond the log is written nowhere."""
    random = np.random.default_rng(seed)
    data = {"logits": LOGITS[kind](random, vocabulary).astype(np.float32), "labels": drawn_labels(random, vocabulary),
            "log": random.normal(size=STEPS).astype(np.float32)}  # fmt: skip
    assert runs(vocabulary, device).differing(step, data) == []


@pytest.mark.parametrize("device", ["cpu", "discrete"])
def test_a_logit_that_is_no_number_shows_in_loss_and_log(runs: Any, device: str) -> None:
    """Wherever it lies, also where max() or a sum of few lanes might drop it."""
    run = runs(301, device)
    for column in (0, 1, 33, 255, 256, 300):
        logits = np.zeros((M, 301), np.float32)
        logits[2, column] = np.nan
        assert run.differing(2, {"logits": logits, "labels": np.full(POSITIONS, 7, np.uint32)}) == []
        losses, log = (read_value(run.session, result(name, size)) for name, size in (("losses", M), ("log", STEPS)))
        assert np.isnan(losses).tolist() == [token == 2 for token in range(M)]
        assert np.isnan(log).tolist() == [step == ROWS[2].draw for step in range(STEPS)]
