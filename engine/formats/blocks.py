"""The ggml block types that BitNet files contain: their sizes, and exact dequantisation to float32.

Block layouts: spec "GGUF v3 / ggml" as llama.cpp writes them; the products are rounded in the order written here, in
float32, so that a kernel can repeat them bit for bit. NumPy only; knows no files.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..errors import FormatError


class Block(NamedTuple):
    """``weights`` consecutive weights of one row take ``bytes`` bytes; their fp16 scale starts at byte ``scale``."""

    weights: int
    bytes: int
    scale: int | None = None


BLOCKS: dict[str, Block] = {
    "f32": Block(1, 4), "f16": Block(1, 2), "bf16": Block(1, 2),
    "q4_0": Block(32, 18, 0), "q8_0": Block(32, 34, 0), "q6_k": Block(256, 210, 208),
    "tq1_0": Block(256, 54, 52), "tq2_0": Block(256, 66, 64),
}
TERNARY = ("tq1_0", "tq2_0")
CHUNK_BYTES = 1 << 20  # of packed bytes handled at a time, so that temporaries stay in a core's cache


def row_bytes(type_: str, cols: int) -> int:
    """Bytes of one row, FormatError where ``cols`` is no whole number of blocks."""
    block = block_of(type_)
    if cols % block.weights:
        raise FormatError(f"a row of {cols} weights is no multiple of a {type_} block of {block.weights}; use f16")
    return cols // block.weights * block.bytes


def block_of(type_: str) -> Block:
    """The Block of ``type_``, FormatError for a type this engine does not read."""
    if type_ not in BLOCKS:
        raise FormatError(f"tensor type {type_} is not supported; use one of {', '.join(BLOCKS)}")
    return BLOCKS[type_]


def row_chunks(rows: int, bytes_per_row: int) -> list[slice]:
    """Row ranges of about CHUNK_BYTES each that cover ``rows``."""
    step = max(1, CHUNK_BYTES // max(1, bytes_per_row))
    return [slice(first, min(rows, first + step)) for first in range(0, rows, step)]


def blocks_view(packed: np.ndarray, type_: str) -> np.ndarray:
    """uint8 (rows, row_bytes) seen as (rows, blocks, block bytes), without a copy."""
    size = block_of(type_).bytes
    return packed.reshape(packed.shape[0], packed.shape[1] // size, size)


def block_scales(packed: np.ndarray, type_: str) -> np.ndarray:
    """The fp16 scales of block types: float16 (rows, blocks)."""
    start = block_of(type_).scale
    if start is None:
        raise FormatError(f"tensor type {type_} has no block scales")
    return _half(blocks_view(packed, type_)[:, :, start : start + 2])


def dense(packed: np.ndarray, type_: str, cols: int) -> np.ndarray:
    """Every weight: uint8 (rows, row_bytes) -> float32 (rows, cols). TQ2_0's unused code 3 decodes as +2 d."""
    expected = row_bytes(type_, cols)
    if packed.ndim != 2 or packed.shape[1] != expected:
        raise FormatError(f"{cols} {type_} weights are rows of {expected} bytes, not an array of shape {packed.shape}")
    if type_ in TERNARY:
        from .ternary import unpack

        trits, scales = unpack(packed, type_)
        with np.errstate(invalid="ignore"):  # inf scales times zero
            return trits.astype(np.float32) * np.repeat(scales.astype(np.float32), 256, axis=1)
    return _DENSE[type_](packed).reshape(packed.shape[0], cols)


def first_nonfinite(packed: np.ndarray, type_: str) -> int | None:
    """The first row with an infinite or NaN value or block scale, None where all are finite."""
    for rows in row_chunks(*packed.shape):
        part = packed[rows]
        if type_ == "f32":
            exponents, mask = np.ascontiguousarray(part).view("<u4"), 0x7F800000
        elif type_ in ("f16", "bf16"):
            exponents, mask = np.ascontiguousarray(part).view("<u2"), 0x7C00 if type_ == "f16" else 0x7F80
        else:
            exponents, mask = block_scales(part, type_).view("<u2"), 0x7C00
        bad = (exponents & exponents.dtype.type(mask)) == mask
        if bad.any():
            return rows.start + int(np.argmax(bad.any(axis=1)))
    return None


def _half(part: np.ndarray) -> np.ndarray:
    """uint8 (..., 2) -> float16 (...)."""
    return np.ascontiguousarray(part).view("<f2")[..., 0]


def _f32(packed: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(packed).view("<f4").astype(np.float32)


def _f16(packed: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(packed).view("<f2").astype(np.float32)


def _bf16(packed: np.ndarray) -> np.ndarray:
    return (np.ascontiguousarray(packed).view("<u2").astype(np.uint32) << 16).view(np.float32)


def _q8_0(packed: np.ndarray) -> np.ndarray:
    blocks = blocks_view(packed, "q8_0")
    quants = np.ascontiguousarray(blocks[:, :, 2:]).view(np.int8).astype(np.float32)
    return _half(blocks[:, :, :2]).astype(np.float32)[..., None] * quants


def _q4_0(packed: np.ndarray) -> np.ndarray:
    blocks = blocks_view(packed, "q4_0")
    low, high = blocks[:, :, 2:] & 15, blocks[:, :, 2:] >> 4
    quants = np.concatenate([low, high], axis=2).astype(np.float32) - np.float32(8)
    return _half(blocks[:, :, :2]).astype(np.float32)[..., None] * quants


def _q6_k(packed: np.ndarray) -> np.ndarray:
    """(d * scale) * q. A block is two halves of 128 weights; a half is four runs of 32 with a scale per 16."""
    blocks = blocks_view(packed, "q6_k")
    rows, count = blocks.shape[:2]
    low = blocks[:, :, :128].reshape(rows, count, 2, 2, 32)
    low = np.concatenate([low & 15, low >> 4], axis=3)  # runs 0, 1 are the low nibbles, 2, 3 the high ones
    high = blocks[:, :, 128:192].reshape(rows, count, 2, 1, 32) >> np.arange(0, 8, 2, dtype=np.uint8)[:, None] & 3
    quants = (low | high << 4).astype(np.float32) - np.float32(32)
    scales = np.ascontiguousarray(blocks[:, :, 192:208]).view(np.int8).astype(np.float32)
    scales = _half(blocks[:, :, 208:210]).astype(np.float32)[..., None] * scales
    return scales[..., None] * quants.reshape(rows, count, 16, 16)


_DENSE = {"f32": _f32, "f16": _f16, "bf16": _bf16, "q8_0": _q8_0, "q4_0": _q4_0, "q6_k": _q6_k}
