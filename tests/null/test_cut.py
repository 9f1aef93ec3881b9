"""A model cut to its first layers: what is kept, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from tritmark.engine.errors import FormatError
from tritmark.engine.formats.cut import cut_of
from tritmark.engine.formats.model import open_model


def test_a_cut_model_has_its_first_layers_and_all_that_is_no_layer() -> None:
    whole, cut = open_model("synthetic:125M"), open_model("synthetic:125M?layers=2")
    left = set(whole.tensors) - set(cut.tensors)
    assert left and all(name.startswith("blk.") and int(name.split(".")[1]) >= 2 for name in left)
    assert {"token_embd.weight", "output_norm.weight", "blk.1.ffn_down.weight"} <= set(cut.tensors)
    assert cut.metadata["bitnet.block_count"] == 2 and whole.metadata["bitnet.block_count"] == 11
    assert np.array_equal(cut.packed("blk.1.attn_q.weight"), whole.packed("blk.1.attn_q.weight"))


def test_cuts_of_one_model_are_told_apart_by_name_and_digest() -> None:
    models = [open_model(f"python?layers={layers}") for layers in (1, 2)] + [open_model("python")]
    assert len({model.sha256 for model in models}) == len({model.name for model in models}) == 3
    assert open_model("synthetic:125M?layers=5&layers=2").metadata["bitnet.block_count"] == 2


@pytest.mark.parametrize(
    ("spec", "found"),
    [
        ("a.gguf", ("a.gguf", None)),
        ("a.gguf?layers=3", ("a.gguf", 3)),
        ("synthetic:1B?seed=4&layers=2", ("synthetic:1B?seed=4", 2)),
    ],
)
def test_a_cut_is_written_after_any_model(spec: str, found: tuple[str, int | None]) -> None:
    assert cut_of(spec) == found


@pytest.mark.parametrize("layers", [0, 12])
def test_a_model_has_no_more_layers_than_it_has(layers: int) -> None:
    with pytest.raises(FormatError, match=r"has 11 layers; .* between 1 and that"):
        open_model(f"synthetic:125M?layers={layers}")
