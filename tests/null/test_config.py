"""Hyper-parameters are read from metadata, chosen as documented, and refused in one line where tensors disagree."""

from __future__ import annotations

from typing import Any

import pytest
from made_models import MadeModel, Recipe, made_model

from tritmark.engine.errors import FormatError
from tritmark.engine.formats.model import TensorInfo, open_model
from tritmark.engine.models.config import read_config

RECIPE = Recipe(kv_heads=2, feed_forward=512, layers=2)


def changed(key: str, value: Any) -> MadeModel:
    """The made model with one metadata value changed; None removes it."""
    model = made_model(RECIPE)
    metadata = {**model.metadata, key: value}
    model.metadata = {k: v for k, v in metadata.items() if v is not None}
    return model


def test_everything_is_read() -> None:
    config = read_config(made_model(RECIPE))
    assert (config.embedding, config.feed_forward, config.layers, config.heads, config.kv_heads) == (256, 512, 2, 4, 2)
    assert (config.head, config.kv_width, config.vocabulary, config.context) == (64, 128, 70, 512)
    assert (config.eps, config.rope_base, config.rope_scale, config.tied) == (1e-5, 1e4, 1.0, True)
    assert not read_config(made_model(Recipe(head_type="f16"))).tied


def test_cache_heads_default_to_all_heads() -> None:
    model = made_model(Recipe())
    model.metadata = {k: v for k, v in model.metadata.items() if not k.endswith("head_count_kv")}
    assert read_config(model).kv_heads == 4


def test_a_context_stretched_by_linear_scaling_divides_positions() -> None:
    assert read_config(changed("bitnet.rope.scaling.factor", 4.0)).rope_scale == 0.25


def test_the_activation_is_chosen_by_override_then_key_then_family() -> None:
    assert read_config(made_model(Recipe())).activation == "silu"
    assert read_config(made_model(Recipe(architecture="bitnet-b1.58"))).activation == "relu2"
    assert read_config(changed("tritmark.activation", "relu2")).activation == "relu2"
    assert read_config(changed("tritmark.activation", "relu2"), "silu").activation == "silu"
    assert read_config(open_model("synthetic:125M")).activation == "silu"


def test_the_2b_4t_family_is_known_by_its_vocabulary_and_rope_base() -> None:
    """Its files say architecture "bitnet", as those trained with SiLU do."""
    model = changed("bitnet.rope.freq_base", 5e5)
    assert read_config(model).activation == "silu"
    model.metadata = {**model.metadata, "bitnet.vocab_size": 128256}
    model.tensors["token_embd.weight"] = TensorInfo("token_embd.weight", (128256, 256), "f16")
    assert read_config(model).activation == "relu2"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("general.architecture", "llama"), ("general.architecture", None), ("bitnet.block_count", None),
        ("bitnet.block_count", 0), ("bitnet.block_count", 3), ("bitnet.block_count", 1 << 60),
        ("bitnet.block_count", True), ("bitnet.attention.head_count", [4, 4]),
        ("bitnet.embedding_length", 512), ("bitnet.embedding_length", "256"), ("bitnet.embedding_length", 257),
        ("bitnet.feed_forward_length", 256), ("bitnet.attention.head_count", 3), ("bitnet.attention.head_count", -4),
        ("bitnet.attention.head_count_kv", 3), ("bitnet.attention.head_count_kv", 8),
        ("bitnet.context_length", 0), ("bitnet.vocab_size", 71), ("bitnet.rope.dimension_count", 32),
        ("bitnet.rope.freq_base", -1.0), ("bitnet.rope.freq_base", float("nan")), ("bitnet.rope.freq_base", "10000"),
        ("bitnet.rope.scaling.factor", 0), ("bitnet.rope.scaling.factor", float("inf")),
        ("bitnet.attention.layer_norm_rms_epsilon", 0.0), ("tritmark.activation", "gelu"),
    ],
)  # fmt: skip
def test_bad_metadata_is_refused_in_one_line(key: str, value: Any) -> None:
    with pytest.raises(FormatError) as caught:
        read_config(changed(key, value))
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 200


@pytest.mark.parametrize("name", sorted(made_model(Recipe()).tensors))
def test_a_missing_or_misshapen_tensor_is_named(name: str) -> None:
    model = made_model(Recipe())
    info = model.tensors.pop(name)
    with pytest.raises(FormatError, match="no tensor") as caught:
        read_config(model)
    assert name in str(caught.value) and "\n" not in str(caught.value)
    model.tensors[name] = TensorInfo(name, (*info.shape[:-1], info.shape[-1] + 256), info.type)
    with pytest.raises(FormatError, match="has shape"):
        read_config(model)


def test_heads_above_256_are_refused() -> None:
    with pytest.raises(FormatError, match="above 256"):
        read_config(made_model(Recipe(embedding=512, heads=1, kv_heads=1)))
