"""Small BitNet models with random weights, made in memory, of every shape and tensor type that files come with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tritmark.engine.formats.blocks import row_bytes
from tritmark.engine.formats.model import TensorInfo
from tritmark.engine.formats.ternary import pack

Array = np.ndarray[Any, Any]


@dataclass
class MadeModel:
    """A Model in memory."""

    name: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
    tensors: dict[str, TensorInfo] = field(default_factory=dict)
    data: dict[str, Array] = field(default_factory=dict)
    path: Path | None = None
    sha256: str = "0" * 64

    def known_scale(self, name: str) -> None:
        return None

    def packed(self, name: str) -> Array:
        return self.data[name]

    def add(self, name: str, shape: tuple[int, ...], type_: str, packed: Array) -> None:
        self.tensors[name] = TensorInfo(name, shape, type_)
        self.data[name] = packed.reshape(-1, row_bytes(type_, shape[-1]))


@dataclass(frozen=True)
class Recipe:
    """Shape and storage of a made model. ``scales``: "row" (one a tensor), "block", or "outer" (in .scale tensors)."""

    embedding: int = 256
    feed_forward: int = 256
    heads: int = 4
    kv_heads: int = 4
    layers: int = 1
    vocabulary: int = 70
    scales: str = "row"
    embed_type: str = "f16"
    head_type: str | None = None  # None ties the head to the embedding
    down_type: str = "ternary"  # "ternary", or a dense type
    architecture: str = "bitnet"
    seed: int = 1


def made_model(recipe: Recipe) -> MadeModel:
    """A complete model: rows that no ternary block divides are stored as exactly ternary F16, as converters do."""
    random = np.random.default_rng(recipe.seed)
    model = MadeModel("made", _metadata(recipe))
    e, f, kv = recipe.embedding, recipe.feed_forward, recipe.embedding // recipe.heads * recipe.kv_heads
    _add_dense(model, random, "token_embd.weight", (recipe.vocabulary, e), recipe.embed_type)
    for layer in range(recipe.layers):
        for name, size in (("attn_norm", e), ("attn_sub_norm", e), ("ffn_norm", e), ("ffn_sub_norm", f)):
            _add_norm(model, random, f"blk.{layer}.{name}.weight", size)
        for name, rows, cols in (("attn_q", e, e), ("attn_k", kv, e), ("attn_v", kv, e), ("attn_output", e, e),
                                 ("ffn_gate", f, e), ("ffn_up", f, e)):
            add_ternary(model, random, f"blk.{layer}.{name}", (rows, cols), recipe.scales)
        if recipe.down_type == "ternary":
            add_ternary(model, random, f"blk.{layer}.ffn_down", (e, f), recipe.scales)
        else:
            _add_dense(model, random, f"blk.{layer}.ffn_down.weight", (e, f), recipe.down_type)
    _add_norm(model, random, "output_norm.weight", e)
    if recipe.head_type:
        _add_dense(model, random, "output.weight", (recipe.vocabulary, e), recipe.head_type)
    return model


def _metadata(recipe: Recipe) -> dict[str, Any]:
    keys = {"vocab_size": recipe.vocabulary, "context_length": 512, "embedding_length": recipe.embedding,
            "block_count": recipe.layers, "feed_forward_length": recipe.feed_forward,
            "attention.head_count": recipe.heads, "attention.head_count_kv": recipe.kv_heads,
            "attention.layer_norm_rms_epsilon": 1e-5, "rope.freq_base": 10000.0,
            "rope.dimension_count": recipe.embedding // recipe.heads}
    return {"general.architecture": recipe.architecture, **{f"{recipe.architecture}.{k}": v for k, v in keys.items()}}


def add_ternary(model: MadeModel, random: np.random.Generator, name: str, shape: tuple[int, int],
                scales: str = "row") -> None:
    """Tensor ``name``.weight of random trits, and ``name``.scale where ``scales`` is "outer"."""
    rows, cols = shape
    trits = random.integers(-1, 2, shape, np.int8)
    size = np.float16(1 / np.sqrt(cols))
    if scales == "outer":
        model.add(f"{name}.scale", (1,), "f32", np.array([size], "<f4").view(np.uint8))
        size = np.float16(1)
    if cols % 256:
        model.add(f"{name}.weight", shape, "f16", (trits * size).astype("<f2").view(np.uint8))
        return
    spread = random.uniform(0.5, 2, (rows, cols // 256)) if scales == "block" else np.ones((rows, cols // 256))
    model.add(f"{name}.weight", shape, "tq2_0", pack(trits, (spread * size).astype(np.float16), "tq2_0"))


def _add_norm(model: MadeModel, random: np.random.Generator, name: str, size: int) -> None:
    model.add(name, (size,), "f32", random.uniform(0.6, 1.4, size).astype("<f4").view(np.uint8))


def _add_dense(model: MadeModel, random: np.random.Generator, name: str, shape: tuple[int, int], type_: str) -> None:
    model.add(name, shape, type_, dense_rows(random, shape, type_))


def dense_rows(random: np.random.Generator, shape: tuple[int, int], type_: str) -> Array:
    """Packed random weights of size 0.25 or so: uint8 (rows, row_bytes). Block types get random quants and scales."""
    weights = random.normal(0, 0.25, shape).astype("<f4")
    if type_ == "f32":
        return weights.view(np.uint8)
    if type_ == "f16":
        return weights.astype("<f2").view(np.uint8)
    if type_ == "bf16":
        return (weights.view("<u4") >> 16).astype("<u2").view(np.uint8)
    packed = random.integers(0, 256, (shape[0], row_bytes(type_, shape[1])), np.uint8)
    size, at, largest = {"q8_0": (34, 0, 127), "q4_0": (18, 0, 8), "q6_k": (210, 208, 32 * 127)}[type_]
    blocks = packed.reshape(shape[0], -1, size)
    scales = random.uniform(0.2, 0.6, blocks.shape[:2]) / largest
    blocks[:, :, at:at + 2] = scales.astype("<f2")[..., None].view(np.uint8)
    return packed
