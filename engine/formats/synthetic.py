"""Random BitNet models of published sizes from a seed: the same bits on every machine, no download, no tokenizer.

Only Philox's raw 64-bit stream is used (NumPy promises it never changes, unlike the distributions drawn from it),
mapped to weights through integer tables. A tensor depends on its name and the seed alone. Shapes: microsoft/BitNet's
dummy models, which the published 125M..13B speed tables were measured with. Speed does not depend on the weights;
quality is nil.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import FormatError
from .blocks import row_chunks
from .model import TensorInfo, tensor_info

RECIPE = 1  # raise it when any generated bit changes
CONTEXT_LENGTH = 2048
EMBEDDING_STD = 0.02


class Shape(NamedTuple):
    embedding: int
    feed_forward: int
    layers: int
    heads: int
    vocabulary: int = 32002


SHAPES = {
    "tiny": Shape(256, 512, 2, 4, 512),
    "125M": Shape(768, 3072, 11, 12), "350M": Shape(1024, 3072, 24, 16), "1B": Shape(2048, 3584, 24, 32),
    "1.5B": Shape(1536, 9216, 28, 32), "2.7B": Shape(3072, 7680, 24, 32), "3.8B": Shape(3840, 8192, 24, 32),
    "7B": Shape(4096, 12032, 32, 32), "13B": Shape(5120, 13824, 40, 40),
}


class SyntheticModel:
    """The Model of ``synthetic:SIZE``, with options ``?seed=N`` and ``?context=N``; ternary tensors are tq2_0."""

    path: Path | None = None

    def __init__(self, spec: str) -> None:
        self.size, self.seed, self.context = _parse(spec)
        self.shape = SHAPES[self.size]
        self._last: tuple[str, np.ndarray] | None = None

    @property
    def name(self) -> str:
        context = f"-context{self.context}" if self.context != CONTEXT_LENGTH else ""
        return f"synthetic-{self.size}" + (f"-seed{self.seed}" if self.seed else "") + context

    @cached_property
    def sha256(self) -> str:
        text = f"tritmark synthetic model, recipe {RECIPE}, seed {self.seed}, shape {tuple(self.shape)}"
        text += f", context {self.context}" if self.context != CONTEXT_LENGTH else ""
        return hashlib.sha256(text.encode()).hexdigest()

    @cached_property
    def metadata(self) -> Mapping[str, Any]:
        shape = self.shape
        return {
            "general.architecture": "bitnet", "general.type": "model", "general.name": self.name,
            "general.file_type": 37, "general.quantization_version": 2,
            "bitnet.vocab_size": shape.vocabulary, "bitnet.context_length": self.context,
            "bitnet.embedding_length": shape.embedding, "bitnet.block_count": shape.layers,
            "bitnet.feed_forward_length": shape.feed_forward,
            "bitnet.attention.head_count": shape.heads, "bitnet.attention.head_count_kv": shape.heads,
            "bitnet.attention.layer_norm_rms_epsilon": float(np.float32(1e-5)), "bitnet.rope.freq_base": 10000.0,
            "bitnet.rope.dimension_count": shape.embedding // shape.heads,
            "bitnet.rope.scaling.type": "linear", "bitnet.rope.scaling.factor": 1.0,
        }

    @cached_property
    def tensors(self) -> Mapping[str, TensorInfo]:
        e, f = self.shape.embedding, self.shape.feed_forward
        layer = {
            "attn_norm": (e,), "attn_q": (e, e), "attn_k": (e, e), "attn_v": (e, e), "attn_sub_norm": (e,),
            "attn_output": (e, e), "ffn_norm": (e,), "ffn_gate": (f, e), "ffn_up": (f, e), "ffn_sub_norm": (f,),
            "ffn_down": (e, f),
        }
        infos = [TensorInfo("token_embd.weight", (self.shape.vocabulary, e), "f16")]
        infos += [TensorInfo(f"blk.{index}.{part}.weight", sides, "tq2_0" if len(sides) == 2 else "f32")
                  for index in range(self.shape.layers) for part, sides in layer.items()]
        infos.append(TensorInfo("output_norm.weight", (e,), "f32"))
        return {info.name: info for info in infos}

    def known_scale(self, name: str) -> np.float32:
        """So that nobody need generate a tensor to find it out."""
        return np.float32(_scale(self.tensors[name].cols))

    def packed(self, name: str) -> np.ndarray:
        """uint8 (rows, row_bytes). The last tensor stays in memory, because readers ask for it part by part."""
        last = self._last
        if last is None or last[0] != name:  # several threads may read: what one keeps may be gone for the next
            last = self._last = None
            last = self._last = (name, _generate(tensor_info(self, name), self.seed))
        return last[1]


def _parse(spec: str) -> tuple[str, int, int]:
    """Size, seed and longest context."""
    size, _, options = spec.removeprefix("synthetic:").partition("?")
    if size not in SHAPES:
        raise FormatError(f"no synthetic model {size!r}; sizes are {', '.join(SHAPES)}")
    found: dict[str, int] = {}
    for option in options.split("&") if options else ():
        name, _, number = option.partition("=")
        whole = number.isascii() and number.isdigit() and len(number) < 19
        if name not in ("seed", "context") or name in found or not whole:
            raise FormatError(f"synthetic model option {option!r} is not one seed=N or context=N with N below 10^18")
        found[name] = int(number)
    return size, found.get("seed", 0), found.get("context", CONTEXT_LENGTH)


def _generate(info: TensorInfo, seed: int) -> np.ndarray:
    """The tensor, a few MiB of rows at a time from one stream, so that memory stays near the result's size."""
    key = hashlib.sha256(f"{RECIPE}/{seed}/{info.name}".encode()).digest()[:16]
    stream = np.random.Philox(key=int.from_bytes(key, "little"))
    out = np.empty((info.rows, info.row_bytes), np.uint8)
    for rows in row_chunks(info.rows, info.row_bytes * 4):
        _FILL[info.type](stream.random_raw, out[rows], info.cols)
    return out


def _draw(raw: Callable[[int], np.ndarray], count: int) -> np.ndarray:
    """``count`` (a multiple of 4) uniform u16."""
    return raw(count // 4).astype("<u8", copy=False).view("<u2")


def _fill_ternary(raw: Callable[[int], np.ndarray], out: np.ndarray, cols: int) -> None:
    """Uniform trits; one scale, about 1 / sqrt(non-zero inputs), keeps activations near their size through a layer."""
    blocks = out.reshape(len(out), -1, 66)
    blocks[:, :, :64] = _EIGHT_TRITS[_draw(raw, blocks.shape[0] * blocks.shape[1] * 32)].view(np.uint8).reshape(
        len(out), -1, 64)
    blocks[:, :, 64:] = np.array([_scale(cols)], "<f2").view(np.uint8)


def _scale(cols: int) -> np.float16:
    return np.float16(1 / np.sqrt(cols * 2 / 3))


def _fill_embedding(raw: Callable[[int], np.ndarray], out: np.ndarray, cols: int) -> None:
    out[...] = _NORMAL[_draw(raw, len(out) * cols)].view(np.uint8).reshape(out.shape)


def _fill_norm(raw: Callable[[int], np.ndarray], out: np.ndarray, cols: int) -> None:
    """Uniform in [0.875, 1.125): the top 22 bits, so that every value is exact in f32."""
    steps = (raw(cols) >> np.uint64(42)).astype(np.float32)
    out[...] = (np.float32(0.875) + steps * np.float32(2.0**-24)).astype("<f4").view(np.uint8).reshape(out.shape)


_FILL = {"tq2_0": _fill_ternary, "f16": _fill_embedding, "f32": _fill_norm}


def _eight_trits() -> np.ndarray:
    """u16 -> 8 TQ2_0 codes: the draw scaled to 3^8 values, its base-3 digits spread to bit pairs."""
    left = np.arange(1 << 16, dtype=np.uint32) * 3**8 >> 16
    codes = np.zeros(1 << 16, np.uint32)
    for pair in range(8):
        codes |= left % 3 << 2 * pair
        left //= 3
    return codes.astype("<u2")


def _normal() -> np.ndarray:
    """u16 -> f16, nearly normal: ones among 12 bits (variance 3) plus a uniform fraction of 4 bits."""
    draws = np.arange(1 << 16)
    ones = np.array([bin(draw >> 4).count("1") for draw in draws])
    sixteenths = 16 * ones + draws % 16 - 103.5  # symmetric around zero
    return (sixteenths * (EMBEDDING_STD / np.sqrt(16**2 * 3 + 255 / 12))).astype("<f2")


_EIGHT_TRITS = _eight_trits()
_NORMAL = _normal()
