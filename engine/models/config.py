"""Hyper-parameters of a BitNet model, read from GGUF metadata and checked against the tensors."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import FormatError
from ..formats.model import ACTIVATION_KEY, Model, tensor_info

ARCHITECTURES = ("bitnet", "bitnet-b1.58", "bitnet-25")
ACTIVATIONS = ("silu", "relu2")


@dataclass(frozen=True)
class Config:
    """E embedding, F feed-forward, L layers, H heads, HKV cache heads, D head size, V vocabulary."""

    architecture: str
    embedding: int
    feed_forward: int
    layers: int
    heads: int
    kv_heads: int
    vocabulary: int
    context: int
    eps: float
    rope_base: float
    rope_scale: float
    activation: str
    tied: bool

    @property
    def head(self) -> int:
        return self.embedding // self.heads

    @property
    def kv_width(self) -> int:
        return self.kv_heads * self.head

    def linear_shapes(self) -> Iterator[tuple[str, int, int]]:
        """(name within the layer, out, in) of the seven projections."""
        e, f, kv = self.embedding, self.feed_forward, self.kv_width
        yield from (
            ("attn_q", e, e),
            ("attn_k", kv, e),
            ("attn_v", kv, e),
            ("attn_output", e, e),
            ("ffn_gate", f, e),
            ("ffn_up", f, e),
            ("ffn_down", e, f),
        )

    def norm_shapes(self) -> Iterator[tuple[str, int]]:
        yield from (
            ("attn_norm", self.embedding),
            ("attn_sub_norm", self.embedding),
            ("ffn_norm", self.embedding),
            ("ffn_sub_norm", self.feed_forward),
        )


def read_config(model: Model, activation: str | None = None) -> Config:
    """The configuration of ``model``. Raises FormatError for other architectures and for metadata its tensors
    contradict.
    """
    keys = _Keys(model.metadata, str(model.metadata.get("general.architecture")), model.name)
    if keys.architecture not in ARCHITECTURES:
        raise FormatError(
            f"{model.name}: architecture {keys.architecture!r} is not BitNet ({', '.join(ARCHITECTURES)})"
        )
    embedding = tensor_info(model, "token_embd.weight")
    if len(embedding.shape) != 2:
        raise FormatError(f"{model.name}: token_embd.weight has shape {embedding.shape}, not (vocabulary, embedding)")
    heads = keys.integer("attention.head_count")
    config = Config(
        architecture=keys.architecture,
        embedding=keys.integer("embedding_length"),
        feed_forward=keys.integer("feed_forward_length"),
        layers=keys.integer("block_count"),
        heads=heads,
        kv_heads=keys.integer("attention.head_count_kv", heads),
        vocabulary=embedding.shape[0],
        context=keys.integer("context_length"),
        eps=keys.number("attention.layer_norm_rms_epsilon", 1e-5),
        rope_base=keys.number("rope.freq_base", 10000.0),
        rope_scale=1 / keys.number("rope.scaling.factor", 1.0),
        activation=_activation(model, keys, embedding.shape[0], activation),
        tied="output.weight" not in model.tensors,
    )
    _check(model, config, keys)
    return config


@dataclass(frozen=True)
class _Keys:
    metadata: Mapping[str, Any]
    architecture: str
    model: str

    def integer(self, key: str, default: int | None = None) -> int:
        value = self.metadata.get(f"{self.architecture}.{key}", default)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 1 << 31:
            raise FormatError(f"{self.model}: metadata {self.architecture}.{key} is {value!r}, not a positive integer")
        return value

    def number(self, key: str, default: float) -> float:
        value = self.metadata.get(f"{self.architecture}.{key}", default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value <= 0:
            raise FormatError(f"{self.model}: metadata {self.architecture}.{key} is {value!r}, not a positive number")
        return float(value)


def _activation(model: Model, keys: _Keys, vocabulary: int, override: str | None) -> str:
    """Override > our own key > architecture > the 2B-4T family's vocabulary and rope base > SiLU."""
    chosen = override or model.metadata.get(ACTIVATION_KEY)
    if chosen is not None and chosen not in ACTIVATIONS:
        raise FormatError(f"activation {chosen!r} is unknown; choose {' or '.join(ACTIVATIONS)}")
    if chosen is not None:
        return str(chosen)
    is_2b4t = vocabulary == 128256 and keys.number("rope.freq_base", 10000.0) == 5e5
    return "relu2" if keys.architecture != "bitnet" or is_2b4t else "silu"


def _check(model: Model, config: Config, keys: _Keys) -> None:
    """The tensors must have the shapes that the metadata promise."""
    if config.embedding % config.heads or config.heads % config.kv_heads or config.head % 4:
        raise FormatError(
            f"{model.name}: {config.embedding} dimensions do not split into {config.heads} heads of a multiple "
            f"of 4, shared by {config.kv_heads} cache heads"
        )
    if keys.integer("rope.dimension_count", config.head) != config.head or config.head > 256:
        raise FormatError(f"{model.name}: rotary embedding of part of a head, or heads above 256, are not supported")
    if keys.integer("vocab_size", config.vocabulary) != config.vocabulary:
        raise FormatError(
            f"{model.name}: metadata promise {keys.integer('vocab_size')} tokens, "
            f"token_embd.weight has {config.vocabulary}"
        )
    _expect(model, "token_embd.weight", (config.vocabulary, config.embedding))
    _expect(model, "output_norm.weight", (config.embedding,))
    if not config.tied:
        _expect(model, "output.weight", (config.vocabulary, config.embedding))
    for layer in range(config.layers):
        for name, rows, cols in config.linear_shapes():
            _expect(model, f"blk.{layer}.{name}.weight", (rows, cols))
        for name, size in config.norm_shapes():
            _expect(model, f"blk.{layer}.{name}.weight", (size,))


def _expect(model: Model, name: str, shape: tuple[int, ...]) -> None:
    found = tensor_info(model, name).shape
    if found != shape:
        raise FormatError(f"{model.name}: tensor {name} has shape {found}; its metadata promise {shape}")
