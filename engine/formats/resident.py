"""The resident layout: how GPU buffers hold 2-D weights. The GGUF's own bytes, moved and never re-encoded.

A weight is cut into tiles of TILE_ROWS rows and blocks of 256 columns. A (row, block) is ``KINDS[type].words`` u32
words, and a buffer runs [tile][block][word][row in tile], so that 32 neighbouring lanes, one a row, read 32
neighbouring words. Rows and columns that pad a tile or block are zeros of the type. The fp16 scales of ternary blocks
lie apart, as f32: one a row where all blocks of each row agree, else one a block ([tile][block][row in tile]); an
optional ``.scale`` tensor is multiplied in. Scales of dense block types stay inside their words, after the quants.
``weight_words`` can work on a range of tiles alone, so that no caller needs a whole embedding in memory twice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import FormatError
from .blocks import BLOCKS, TERNARY, block_of, block_scales, blocks_view, dense, row_chunks
from .model import Model, TensorInfo, tensor_info
from .ternary import BLOCK, pack, repack, require_trits, unpack

TILE_ROWS = 32


@dataclass(frozen=True)
class Kind:
    """A resident type: ``words`` u32 words hold 256 weights of a row, ``parts`` of them lie side by side."""

    name: str
    words: int
    parts: int


KINDS = {name: Kind(name, words, parts) for name, (words, parts) in {
    "tq1_0": (13, 1), "tq2_0": (16, 2), "f32": (256, 2), "f16": (128, 2), "bf16": (128, 2), "q8_0": (68, 1),
    "q4_0": (36, 1), "q6_k": (53, 1),
}.items()}
_PLAIN = ("f32", "f16", "bf16")
_NO_SIGN = {2: 0x7FFF, 4: 0x7FFFFFFF}
_AS_STORED = (*TERNARY, *_PLAIN)  # whole blocks of the file hold the words in their order
# Bytes of a zero weight; where the padding is a fraction of a block, its scale is zero.
_TQ1_ZERO = np.array([0x80] * 48 + [0x7F] * 4, np.uint8)


def tile_count(rows: int) -> int:
    return -(-rows // TILE_ROWS)


def block_count(cols: int) -> int:
    """Blocks of 256 columns, the last one padded."""
    return -(-cols // BLOCK)


def tiled(packed: np.ndarray, type_: str, rows: int, cols: int) -> np.ndarray:
    """uint8 (rows, row_bytes) -> uint32 (tiles, blocks, words / parts, TILE_ROWS, parts)."""
    tiles, blocks, words, parts = tile_count(rows), block_count(cols), KINDS[type_].words, KINDS[type_].parts
    out = np.empty((tiles, blocks, words // parts, TILE_ROWS, parts), np.uint32)
    moved = rows // TILE_ROWS if type_ in _AS_STORED and cols % BLOCK == 0 else 0
    _move(packed, type_, out[:moved])
    for part in row_chunks(tiles - moved, TILE_ROWS * blocks * words * 4):
        first, last = moved + part.start, moved + part.stop
        source = packed[first * TILE_ROWS : min(rows, last * TILE_ROWS)]
        staged = np.empty(((last - first) * TILE_ROWS, blocks, words * 4), np.uint8)
        staged[len(source) if type_ in TERNARY else 0 :] = _zero_words(type_)
        _to_words(source, type_, staged[: len(source)])
        ordered = staged.view("<u4").reshape(-1, TILE_ROWS, blocks, words // parts, parts)
        out[first:last] = ordered.transpose(0, 2, 3, 1, 4)
    return out


def _move(packed: np.ndarray, type_: str, out: np.ndarray) -> None:
    """Fill the whole tiles ``out`` with the words of ``packed`` in one pass: ten times as fast as through a copy."""
    unit = np.dtype(f"<u{4 * KINDS[type_].parts}")
    block, row = BLOCKS[type_].bytes * BLOCK // BLOCKS[type_].weights, packed.shape[1]
    strides = (TILE_ROWS * row, block, unit.itemsize, row)
    words = np.ndarray(out.shape[:4], unit, np.ascontiguousarray(packed), 0, strides)  # words need not be aligned
    out.view(unit)[..., 0] = words


def untiled(words: np.ndarray, type_: str, rows: int, cols: int) -> np.ndarray:
    """The inverse of ``tiled``: uint8 (rows, row_bytes); ternary rows come without scales (52 or 64 bytes a block)."""
    tiles, blocks, loads, _, parts = words.shape
    rowwise = np.ascontiguousarray(words.transpose(0, 3, 1, 2, 4))
    staged = rowwise.reshape(tiles * TILE_ROWS, blocks, loads * parts)[:rows]
    return _from_words(staged.view(np.uint8), type_, cols)


def packed_blocks(words: np.ndarray, type_: str) -> np.ndarray:
    """Ternary words as packed blocks again, padding included, all scales 1: uint8 (tiles * TILE_ROWS, row_bytes)."""
    tiles, blocks = words.shape[:2]
    out = np.empty((tiles * TILE_ROWS, blocks, BLOCKS[type_].bytes), np.uint8)
    out[:, :, :-2] = untiled(words, type_, tiles * TILE_ROWS, blocks * BLOCK).reshape(*out.shape[:2], -1)
    out[:, :, -2:] = np.array([1], "<f2").view(np.uint8)
    return out.reshape(len(out), -1)


def weight_words(
    model: Model, name: str, resident: str, tiles: slice | None = None, *, known_ternary: bool = False
) -> np.ndarray:
    """Tensor ``name`` as uint32 (tiles, blocks, words / parts, TILE_ROWS, parts) of type ``resident``.

    ``resident`` is tq1_0 or tq2_0 for a ternary weight, whichever type stores it, and its own type for a dense one.
    ``known_ternary``: the caller has seen that a dense tensor is exactly ternary, so not all of it is read again.
    """
    info = tensor_info(model, name)
    if len(info.shape) != 2:
        raise FormatError(f"tensor {name} has shape {info.shape}; only matrices have a resident layout")
    first, last, _ = (tiles or slice(None)).indices(tile_count(info.rows))
    rows = slice(first * TILE_ROWS, min(last * TILE_ROWS, info.rows))
    count = rows.stop - rows.start
    if info.type in TERNARY and resident in TERNARY:
        return _ternary_words(model.packed(name)[rows], info, resident)
    if resident == info.type:
        return tiled(model.packed(name)[rows], info.type, count, info.cols)
    if resident not in TERNARY or not (known_ternary or is_ternary(model, name)):
        raise FormatError(f"tensor {name} is {info.type} and cannot be held as {resident}")
    return tiled(_pack_padded(_trits(model.packed(name)[rows], info), resident), resident, count, info.cols)


def scale_layout(model: Model, name: str) -> str:
    """"row" where all blocks of each row share a scale, else "block". Reads trits only where a scale is 0."""
    return "row" if _row_scales(model, tensor_info(model, name)) is not None else "block"


def weight_row_scales(model: Model, name: str) -> np.ndarray:
    """float32 (tiles * TILE_ROWS,): the scale of each row, 0 for padding rows. FormatError where layout is "block"."""
    info = tensor_info(model, name)
    scales = _row_scales(model, info)
    if scales is None:
        raise FormatError(f"tensor {name} has different scales in the blocks of a row; use its block scales")
    out = np.zeros(tile_count(info.rows) * TILE_ROWS, np.float32)
    out[: info.rows] = scales * outer_scale(model, name)
    return out


def weight_block_scales(model: Model, name: str) -> np.ndarray:
    """float32 (tiles, blocks, TILE_ROWS): the scale of each block, 0 for padding rows."""
    info = tensor_info(model, name)
    out = np.zeros((tile_count(info.rows) * TILE_ROWS, block_count(info.cols)), np.float32)
    if info.type in TERNARY:
        out[: info.rows] = block_scales(model.packed(name), info.type)
    else:
        out[: info.rows] = _held_scale(model, name)
    out *= outer_scale(model, name)
    return np.ascontiguousarray(out.reshape(-1, TILE_ROWS, out.shape[1]).transpose(0, 2, 1))


def as_ternary(model: Model, name: str) -> tuple[np.ndarray, np.float32] | None:
    """A dense matrix that is exactly {-s, 0, s}: int8 trits (rows, cols) and s as float32 (0 if all are 0). Else None.

    Rows that are no multiple of 256 are stored as F16 by converters, although they are ternary.
    """
    scale = held_scale(model, name)
    return None if scale is None else (_trits(model.packed(name), tensor_info(model, name)), scale)


def held_scale(model: Model, name: str) -> np.float32 | None:
    """The s of ``as_ternary`` alone; None for ternary types, which need not be held as anything else."""
    info = tensor_info(model, name)
    if len(info.shape) != 2 or info.type in TERNARY:
        return None
    packed = model.packed(name)
    found = None
    for rows in row_chunks(*packed.shape):
        magnitudes = _bits(packed[rows], info)
        magnitudes &= magnitudes.dtype.type(_NO_SIGN[magnitudes.itemsize])
        found = found or magnitudes.max()
        if not ((magnitudes == found) | (magnitudes == 0)).all():
            return None
    stored = np.array([[found]])
    return dense(stored.view(np.uint8), info.type if info.type in _PLAIN else "f32", 1)[0, 0]


def _trits(packed: np.ndarray, info: TensorInfo) -> np.ndarray:
    """int8 (rows, cols): the signs of dense values."""
    trits = np.empty((len(packed), info.cols), np.int8)
    for rows in row_chunks(*packed.shape):
        bits = _bits(packed[rows], info)
        signs = bits >> bits.dtype.type(8 * bits.itemsize - 1)
        bits &= bits.dtype.type(_NO_SIGN[bits.itemsize])
        trits[rows] = (bits != 0) * (1 - 2 * signs.astype(np.int8))
    return trits


def _bits(packed: np.ndarray, info: TensorInfo) -> np.ndarray:
    """A copy of the bits of dense values, (rows, cols): zeros aside, floats are equal where their bits are."""
    if info.type in _PLAIN:
        return packed.copy().view(f"<u{BLOCKS[info.type].bytes}")
    return dense(packed, info.type, info.cols).view(np.uint32)


def is_ternary(model: Model, name: str) -> bool:
    """Whether a matrix can be held as trits: a ternary type, or a dense one with exactly {-s, 0, s}."""
    return tensor_info(model, name).type in TERNARY or as_ternary(model, name) is not None


def _ternary_words(packed: np.ndarray, info: TensorInfo, resident: str) -> np.ndarray:
    """TQ rows -> words of the other or the same ternary type, a few MiB at a time."""
    tiles = tile_count(len(packed))
    kind = KINDS[resident]
    out = np.empty((tiles, block_count(info.cols), kind.words // kind.parts, TILE_ROWS, kind.parts), np.uint32)
    for part in row_chunks(tiles, TILE_ROWS * info.row_bytes):
        rows = packed[part.start * TILE_ROWS : part.stop * TILE_ROWS]
        out[part] = tiled(repack(rows, info.type, resident), resident, len(rows), info.cols)
        if info.type == resident == "tq2_0":  # repack looks for itself
            require_trits(out[part])
    return out


def _pack_padded(trits: np.ndarray, type_: str) -> np.ndarray:
    """Trits of any row length, padded to whole blocks and packed; the scales, kept apart, are 0 here."""
    blocks = block_count(trits.shape[1])
    padded = np.zeros((len(trits), blocks * BLOCK), np.int8)
    padded[:, : trits.shape[1]] = trits
    return pack(padded, np.zeros((len(trits), blocks), np.float16), type_)


def _held_scale(model: Model, name: str) -> np.float32:
    scale = held_scale(model, name)
    if scale is None:
        raise FormatError(f"tensor {name} is not ternary and has no ternary scales")
    return scale


def _row_scales(model: Model, info: TensorInfo) -> np.ndarray | None:
    """float32 (rows,), without the ``.scale`` tensor; None where the blocks of a row differ.

    A block of zeros may carry the scale 0 whatever the rest has; a zero scale over other trits is a scale of its own.
    """
    if info.type not in TERNARY:
        return np.full(info.rows, _held_scale(model, info.name))
    known = model.known_scale(info.name)
    if known is not None:
        return np.full(info.rows, known)
    packed = model.packed(info.name)
    stored = block_scales(packed, info.type)
    if (stored.view(np.uint16) == stored.view(np.uint16)[:, :1]).all():  # nearly always, and ten times as fast
        return stored[:, 0].astype(np.float32)
    scales = stored.astype(np.float32)
    largest = np.take_along_axis(scales, np.abs(scales).argmax(axis=1)[:, None], axis=1)
    rows, blocks = np.nonzero(scales != largest)
    if not (scales[rows, blocks] == 0).all():
        return None
    if len(rows) and unpack(blocks_view(packed, info.type)[rows, blocks], info.type)[0].any():
        return None
    return largest[:, 0]


def outer_scale(model: Model, name: str) -> np.float32:
    """The value of the tensor's ``.scale`` companion, 1 where it has none."""
    outer = name.removesuffix(".weight") + ".scale"
    if outer == name or outer not in model.tensors:
        return np.float32(1)
    info = model.tensors[outer]
    if info.rows * info.cols != 1:
        raise FormatError(f"tensor {outer} has shape {info.shape}; a scale is one number")
    return np.float32(dense(model.packed(outer), info.type, 1)[0, 0])


def _zero_words(type_: str) -> np.ndarray:
    """The word bytes of a block of zero weights."""
    if type_ == "tq1_0":
        return _TQ1_ZERO
    return np.full(KINDS[type_].words * 4, 0x55 if type_ == "tq2_0" else 0, np.uint8)


def _to_words(packed: np.ndarray, type_: str, out: np.ndarray) -> None:
    """Move packed rows into the word bytes ``out``, uint8 (rows, blocks, words * 4), which hold zeros of the type."""
    source = blocks_view(packed, type_)
    block = block_of(type_)
    if type_ in TERNARY:
        out[...] = source[:, :, :-2]
    elif type_ == "q6_k":
        out[:, :, :210] = source
    elif block.scale is None:
        out.reshape(len(out), -1)[:, : packed.shape[1]] = packed
    else:
        quants, scales = _split_small_blocks(out, block.bytes - 2)
        quants[:, : source.shape[1]] = source[:, :, 2:]
        scales[:, : source.shape[1]] = source[:, :, :2]
        out[...] = _join_small_blocks(quants, scales)


def _from_words(staged: np.ndarray, type_: str, cols: int) -> np.ndarray:
    """The inverse of ``_to_words``."""
    rows = len(staged)
    block = BLOCKS[type_]
    if type_ in TERNARY:
        return staged.reshape(rows, -1)
    if type_ == "q6_k":
        return staged[:, :, :210].reshape(rows, -1)
    count = cols // block.weights
    if block.scale is None:
        return staged.reshape(rows, -1)[:, : count * block.bytes].copy()
    quants, scales = _split_small_blocks(staged, block.bytes - 2)
    return np.concatenate([scales[:, :count], quants[:, :count]], axis=2).reshape(rows, -1)


def _split_small_blocks(staged: np.ndarray, quant_bytes: int) -> tuple[np.ndarray, np.ndarray]:
    """Copies of the quants (rows, 8 blocks, quant bytes) and fp16 scales (rows, 8 blocks, 2) of 32-weight blocks."""
    rows = len(staged)
    return (staged[:, :, : 8 * quant_bytes].reshape(rows, -1, quant_bytes).copy(),
            staged[:, :, 8 * quant_bytes :].reshape(rows, -1, 2).copy())


def _join_small_blocks(quants: np.ndarray, scales: np.ndarray) -> np.ndarray:
    rows = len(quants)
    return np.concatenate([quants.reshape(rows, -1, 8 * quants.shape[2]), scales.reshape(rows, -1, 16)], axis=2)
