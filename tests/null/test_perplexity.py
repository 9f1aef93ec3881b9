"""Perplexity: which tokens are predicted from what, what a surprise is, and the Plan of a text in windows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from adapter_samples import random_adapter
from engine_runs import reference_run, unplayed
from hypothesis import given
from hypothesis import strategies as st
from imagined_device import CAPS
from made_models import Recipe, made_model

from tritmark.bench.perplexity import Text, read_text, surprise
from tritmark.engine.errors import DataError, PlanError
from tritmark.engine.inference import compile_logits, parse_format
from tritmark.engine.models.adapters import Adapters, open_adapters
from tritmark.engine.plan import problems
from tritmark.engine.scoring import compile_windows

TQ1 = parse_format("tq1_0")


@given(count=st.integers(2, 60), context=st.integers(2, 20), opened=st.booleans())
def test_every_token_but_the_first_is_predicted_once(count: int, context: int, opened: bool) -> None:
    ids = list(range(count))
    windows = Text(ids=ids, opened=opened).windows(context)
    assert [token for window in windows for token in window[1:]] == ids[1:]
    assert all(2 <= len(window) <= context for window in windows)
    assert all(window[0] == (0 if opened else window[1] - 1) for window in windows)


@pytest.mark.parametrize("ids", [[], [7]])
def test_a_text_without_a_token_to_predict_is_refused(ids: list[int]) -> None:
    with pytest.raises(DataError, match=f"has {len(ids)} tokens"):
        Text(ids=ids).windows(8)


def test_a_context_of_one_token_is_refused() -> None:
    with pytest.raises(DataError, match="context of 1"):
        Text(ids=[1, 2, 3]).windows(1)


def test_a_text_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(b"caf\xe9")
    with pytest.raises(DataError, match="byte 3 is not UTF-8"):
        read_text(tmp_path / "text")


def test_surprise_is_minus_the_logarithm_of_softmax_however_large_the_logits() -> None:
    logits = np.array([[0, 0, 0, 0], [1, 2, 3, 4], [1e4, 0, 0, -1e4]], np.float32)
    found = surprise(logits, [2, 0, 1])
    expected = [np.log(4), np.log(np.exp([1, 2, 3, 4]).sum()) - 1, 1e4]
    np.testing.assert_allclose(found, expected, rtol=1e-14)


def test_windows_start_afresh_in_one_valid_plan() -> None:
    """The reference of the whole plan, step by step, against a plan of each window alone."""
    model = made_model(Recipe())
    windows = [[3, 1, 4, 1, 5], [5, 9, 2, 6, 5], [5, 3]]
    compiled = compile_windows(model, windows, TQ1, CAPS, chunk=4)
    assert list(problems(compiled.plan, CAPS)) == []
    assert [(row.program, row.count) for row in compiled.rows] == [
        ("take", 5), ("logits", 4), ("logits", 1), ("take", 5), ("logits", 4), ("logits", 1), ("take", 2), ("logits", 2)
    ]  # fmt: skip
    reference, found = unplayed(compiled, model, "tq1_0"), []
    for row in compiled.rows:
        reference.play([row])
        if row.program == "logits":
            found.append(reference.arrays["logits"][: row.count].copy())
    for window, logits in zip(windows, np.split(np.concatenate(found), [5, 10]), strict=True):
        alone = compile_logits(model, window, TQ1, CAPS)
        np.testing.assert_array_equal(logits, reference_run(alone, model, "tq1_0").arrays["logits_all"])


def test_bad_windows_are_refused_in_one_line() -> None:
    model = made_model(Recipe())
    for windows, says in (([], "no tokens"), ([[1, 70]], "token 70"), ([[1] * 513], "513 positions")):
        with pytest.raises(PlanError, match=says):
            compile_windows(model, windows, TQ1, CAPS)


def test_a_plan_with_adapters_never_shares_weight_files_with_another(tmp_path: Path) -> None:
    model = made_model(Recipe())
    one, other = (str(random_adapter(tmp_path / f"{seed}.gguf", model, seed=seed)) for seed in (1, 2))
    choices = [[], [one], [other], [one, other], [other, one]]
    adapters = [open_adapters(specs, model) for specs in choices]
    plans = [compile_logits(model, [1, 2], TQ1, CAPS, adapters=chosen).plan for chosen in adapters]
    assert all(list(problems(plan, CAPS)) == [] for plan in plans)
    assert len({tuple(plan.files) for plan in plans}) == len(choices)
    half = compile_logits(model, [1, 2], TQ1, CAPS, adapters=open_adapters([f"{one}=0.5"], model)).plan
    assert half.files == plans[1].files and half.hash != plans[1].hash
    assert compile_logits(model, [1, 2], TQ1, CAPS, adapters=Adapters()).plan.hash == plans[0].hash
