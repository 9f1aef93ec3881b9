"""Perplexity: which tokens are predicted from what, what a surprise is, and the Plan of a text in windows."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from adapter_samples import random_adapter
from engine_runs import reference_run, unplayed
from hypothesis import given
from hypothesis import strategies as st
from imagined_device import CAPS
from made_models import Recipe, made_model

from tritmark.bench.perplexity import Text, read_texts, surprise
from tritmark.engine.errors import DataError, PlanError
from tritmark.engine.formats.model import open_model
from tritmark.engine.inference import compile_logits, parse_format
from tritmark.engine.models.adapters import Adapters, open_adapters
from tritmark.engine.plan import problems
from tritmark.engine.scoring import compile_windows
from tritmark.engine.tokenizers import load_tokenizer

TQ1 = parse_format("tq1_0")


@given(count=st.integers(2, 60), context=st.integers(2, 20), opened=st.booleans())
def test_every_token_but_the_first_is_predicted_once(count: int, context: int, opened: bool) -> None:
    ids = list(range(count))
    windows = Text(ids=ids, opened=opened).windows(context)
    assert [token for window in windows for token in window.ids[1:]] == ids[1:]
    assert all(2 <= len(window.ids) <= context for window in windows)
    assert all(window.ids[0] == (0 if opened else window.ids[1] - 1) for window in windows)
    assert sum(sum(window.counted) for window in windows) == count - 1


@given(counted=st.lists(st.booleans(), min_size=2, max_size=60), context=st.integers(2, 20))
def test_what_is_not_asked_about_is_seen_and_not_counted(counted: list[bool], context: int) -> None:
    windows = Text(ids=list(range(len(counted))), counted=counted).windows(context)
    assert [i for window in windows for i, asked in zip(*window, strict=True) if asked] == [
        i for i, asked in enumerate(counted) if asked and i
    ]


def test_documents_are_texts_of_which_answers_are_counted(tmp_path: Path) -> None:
    lines = [{"text": "A tuple."}, {"prompt": "What is a list?", "completion": " A sequence."}]
    (tmp_path / "d.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    model = open_model("python")
    plain, answered = read_texts(model, str(tmp_path / "d.jsonl"))
    tokenizer = load_tokenizer(model.metadata)
    assert plain.opened and list(plain.ids) == [*tokenizer.encode("A tuple."), tokenizer.eos_id]
    assert answered.counted is not None and plain.counted is not None and all(plain.counted[1:])
    asked = [i for i, counts in zip(answered.ids, answered.counted, strict=True) if counts]
    assert tokenizer.decode(asked[:-1]) == " A sequence." and asked[-1] == tokenizer.eos_id


@pytest.mark.parametrize("ids", [[], [7]])
def test_a_text_without_a_token_to_predict_is_refused(ids: list[int]) -> None:
    with pytest.raises(DataError, match=f"has {len(ids)} tokens"):
        Text(ids=ids).windows(8)


def test_a_context_of_one_token_is_refused() -> None:
    with pytest.raises(DataError, match="context of 1"):
        Text(ids=[1, 2, 3]).windows(1)


def test_a_text_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(b"caf\xe9")
    with pytest.raises(DataError, match="text is not UTF-8"):
        read_texts(open_model("python"), str(tmp_path / "text"))


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
