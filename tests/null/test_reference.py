"""The NumPy reference alone: the committed digests, both formats alike, and a plain float transformer close by."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from engine_runs import reference_run
from imagined_device import CAPS
from made_models import MadeModel, Recipe, made_model

from tritmark.engine.conformance import (
    GOLDEN_MODEL,
    GOLDEN_WORKLOAD,
    PRESET_TOKENS,
    golden_compiled,
    known_digests,
    preset_key,
)
from tritmark.engine.formats.blocks import dense
from tritmark.engine.formats.model import open_model
from tritmark.engine.inference import compile_logits, parse_format
from tritmark.engine.ops.rope_cache import rope_table


def digest(array: np.ndarray) -> str:
    return hashlib.sha256(array.tobytes()).hexdigest()


@pytest.mark.parametrize("resident", ["tq1_0", "tq2_0"])
def test_the_reference_has_the_committed_digests(resident: str) -> None:
    model = open_model(GOLDEN_MODEL)
    arrays = reference_run(golden_compiled(CAPS, resident), model, resident).arrays
    expected = known_digests()[f"{GOLDEN_MODEL} {GOLDEN_WORKLOAD}"]
    assert {name: digest(arrays[name]) for name in expected} == expected
    compiled = compile_logits(model, PRESET_TOKENS, parse_format(resident), CAPS)
    logits = reference_run(compiled, model, resident).arrays["logits_all"]
    assert digest(logits) == known_digests()[preset_key(GOLDEN_MODEL)]["logits"]


def float_logits(model: MadeModel, recipe: Recipe, tokens: list[int]) -> np.ndarray:
    """The same transformer in float64 without quantised activations, written for one sequence at once."""
    def weight(name: str) -> np.ndarray:
        info = model.tensors[f"{name}.weight"]
        scale = model.tensors.get(f"{name}.scale")
        factor = dense(model.packed(f"{name}.scale"), "f32", 1)[0, 0] if scale else 1.0
        return dense(model.packed(info.name), info.type, info.cols).astype(np.float64) * factor

    def normed(x: np.ndarray, name: str) -> np.ndarray:
        return x / np.sqrt((x * x).mean(axis=1, keepdims=True) + 1e-5) * weight(name)

    count, head = len(tokens), recipe.embedding // recipe.heads
    cos, sin = np.moveaxis(rope_table(count, head, 1e4, 1.0).astype(np.float64), 2, 0)[:, :, None]

    def turned(x: np.ndarray) -> np.ndarray:
        a, b = np.split(x, 2, axis=2)
        return np.concatenate([a * cos - b * sin, a * sin + b * cos], axis=2)

    x = weight("token_embd")[tokens]
    for blk in (f"blk.{layer}." for layer in range(recipe.layers)):
        h = normed(x, f"{blk}attn_norm")
        q, k, v = ((h @ weight(f"{blk}attn_{p}").T).reshape(count, -1, head) for p in "qkv")
        k, v = (np.repeat(part, recipe.heads // recipe.kv_heads, axis=1) for part in (turned(k), v))
        scores = np.einsum("ihd,jhd->hij", turned(q), k) / np.sqrt(head)
        weights = np.exp(scores - scores.max(axis=2, keepdims=True)) * np.tri(count)
        a = np.einsum("hij,jhd->ihd", weights / weights.sum(axis=2, keepdims=True), v).reshape(count, -1)
        x = x + normed(a, f"{blk}attn_sub_norm") @ weight(f"{blk}attn_output").T
        h = normed(x, f"{blk}ffn_norm")
        g, u = (h @ weight(f"{blk}ffn_{p}").T for p in ("gate", "up"))
        x = x + normed(g / (1 + np.exp(-g)) * u, f"{blk}ffn_sub_norm") @ weight(f"{blk}ffn_down").T
    return normed(x, "output_norm") @ weight("output" if recipe.head_type else "token_embd").T


@pytest.mark.parametrize("recipe", [
    Recipe(kv_heads=2, feed_forward=512, seed=11), Recipe(embedding=400, kv_heads=1, feed_forward=352, seed=12),
    Recipe(scales="block", embedding=512, head_type="q8_0", layers=2, seed=13), Recipe(scales="outer", seed=14),
])  # fmt: skip
def test_the_reference_is_a_transformer(recipe: Recipe) -> None:
    """int8 activations are all that lies between: a relative error of about 1 / 127 a product."""
    model = made_model(recipe)
    tokens = np.random.default_rng(3).integers(0, recipe.vocabulary, 9).tolist()
    compiled = compile_logits(model, tokens, parse_format("tq1_0"), CAPS)
    logits = reference_run(compiled, model, "tq1_0").arrays["logits_all"]
    expected = float_logits(model, recipe, tokens)
    assert np.sqrt(((logits - expected) ** 2).mean()) < 0.03 * expected.std()


def test_a_blank_model_gives_zeros_and_no_nan() -> None:
    model = made_model(Recipe())
    model.data["token_embd.weight"] = np.zeros_like(model.data["token_embd.weight"])
    compiled = compile_logits(model, [1, 2, 3], parse_format("tq2_0"), CAPS)
    assert not reference_run(compiled, model, "tq2_0").arrays["logits_all"].any()
