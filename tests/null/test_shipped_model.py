"""The model that ships: what it is, and that its recipe is what made it."""

from __future__ import annotations

import json
import shlex
import sys
from typing import Any

import pytest

from tritmark.bench import pretrain as pretraining
from tritmark.bench.cli import app
from tritmark.bench.course import read
from tritmark.engine.corpus.named import named_documents
from tritmark.engine.corpus.shipped import MODEL, record, tokenizer_metadata
from tritmark.engine.formats.model import open_model
from tritmark.engine.tokenizers import load_tokenizer

RECIPE = record()[MODEL.name]


def test_it_is_a_ternary_model_of_at_most_four_mebibytes() -> None:
    model = open_model("python")
    assert MODEL.stat().st_size <= 4 << 20 and model.sha256 == RECIPE["sha256"]
    types = {info.type for name, info in model.tensors.items() if "norm" not in name and "embd" not in name}
    assert types == {"tq1_0"}


def test_its_tokenizer_is_the_one_that_ships() -> None:
    assert {key: open_model("python").metadata[key] for key in tokenizer_metadata()} == tokenizer_metadata()


def test_the_recorded_command_has_the_settings_and_the_data_that_the_file_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if RECIPE["python"] != sys.version.split()[0]:
        pytest.skip(f"the model was made of the text of Python {RECIPE['python']}")
    asked: list[Any] = []

    def note(device: Any, request: Any, *rest: Any) -> None:
        asked.append(request)

    monkeypatch.setattr(pretraining, "pretrain", note)
    command = shlex.split(RECIPE["command"])[1:]
    app(command)(command, standalone_mode=False)
    [request] = asked
    tokenizer = load_tokenizer(tokenizer_metadata())
    made = read(*named_documents(request.data), tokenizer, request.shape, request.data)
    config = pretraining.config_of(request, tokenizer.vocab_size)
    told = json.loads(open_model("python").metadata["tritmark.training"])
    assert json.loads(json.dumps(pretraining.settings_of(request, made, config))) == told
