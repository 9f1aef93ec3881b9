"""TQ1_0 and TQ2_0 in NumPy: quantise, pack, unpack and the lossless repack. This is the truth that kernels are held to.

A block is 256 consecutive weights of one row, each d * t with t in {-1, 0, 1}, stored as the code c = t + 1.
TQ2_0 (66 bytes): byte 32 g + m, bits 2 l and 2 l + 1 hold weight 128 g + 32 l + m; then d as fp16.
TQ1_0 (54 bytes): 48 + 4 bytes of base-3 digits, most significant first, then d. Byte m < 32 holds weights 32 n + m,
byte 32 + m (m < 16) weights 160 + 16 n + m, for n = 0..4; byte 48 + j (j < 4) weights 240 + 4 n + j for n = 0..3 and a
zero digit. The five digits v (0..242) are stored as the fraction ceil(256 v / 243), so that multiplying by 3 brings a
digit above the low eight bits.
"""

from __future__ import annotations

import numpy as np

from ..errors import FormatError
from .blocks import BLOCKS, TERNARY, block_scales, blocks_view, row_bytes, row_chunks

BLOCK = 256
_CODE_BYTES = {"tq1_0": 52, "tq2_0": 64}
_POWERS = (81, 27, 9, 3, 1)


def _fraction(values: np.ndarray) -> np.ndarray:
    """Five digits 0..242 as the byte that stores them."""
    return ((values.astype(np.uint32) * 256 + 242) // 243).astype(np.uint8)


def quantise(weights: np.ndarray, type_: str) -> np.ndarray:
    """float32 (rows, cols) -> packed (rows, row_bytes), byte for byte as gguf-py and llama-quantize do it.

    The scale is the largest magnitude of a block, not BitNet's mean: weights must be {-s, 0, s} to survive unchanged.
    """
    row_bytes(type_, weights.shape[1])
    blocks = weights.astype(np.float32).reshape(weights.shape[0], -1, BLOCK)
    largest = np.abs(blocks).max(axis=2)
    with np.errstate(all="ignore"):
        inverse = np.float32(1) / largest
        inverse[~np.isfinite(inverse)] = 0  # an all-zero block, and one so small that d is 0 in any case
        scaled = blocks * inverse[..., None]
        # Doubling, not adding a half: 0.49999997 + 0.5 rounds up to 1 in float32.
        trits = np.sign(scaled).astype(np.int8) * (np.abs(scaled) * np.float32(2) >= 1)  # halves away from zero
        return pack(trits.reshape(weights.shape), largest.astype(np.float16), type_)


def pack(trits: np.ndarray, scales: np.ndarray, type_: str) -> np.ndarray:
    """int8 trits (rows, cols) and float16 scales (rows, cols / 256) -> uint8 (rows, row_bytes)."""
    rows, cols = trits.shape
    size = row_bytes(type_, cols)
    out = np.empty((rows, cols // BLOCK, BLOCKS[type_].bytes), np.uint8)
    codes = (trits + 1).astype(np.uint8).reshape(rows, -1, BLOCK)
    out[:, :, :-2] = _pack_codes[type_](codes)
    out[:, :, -2:] = np.ascontiguousarray(scales, dtype="<f2").view(np.uint8).reshape(rows, -1, 2)
    return out.reshape(rows, size)


def unpack(packed: np.ndarray, type_: str) -> tuple[np.ndarray, np.ndarray]:
    """uint8 (rows, row_bytes) -> int8 trits (rows, cols), float16 scales (rows, cols / 256).

    TQ2_0's unused code 3 comes out as the "trit" 2.
    """
    _require_ternary(type_)
    blocks = blocks_view(packed, type_)
    codes = _unpack_codes[type_](blocks[:, :, :-2])
    trits = codes.view(np.int8) - np.int8(1)
    return trits.reshape(packed.shape[0], blocks.shape[1] * BLOCK), block_scales(packed, type_)


def repack(packed: np.ndarray, from_type: str, to_type: str) -> np.ndarray:
    """The same trits and the same scale bits in the other type; the input itself where both types are the same.

    FormatError on TQ2_0's code 3, which TQ1_0 cannot hold. Works on a few MiB at a time.
    """
    _require_ternary(from_type)
    _require_ternary(to_type)
    if from_type == to_type:
        return packed
    source = blocks_view(packed, from_type)
    out = np.empty((*source.shape[:2], BLOCKS[to_type].bytes), np.uint8)
    for rows in row_chunks(*packed.shape):
        codes = np.ascontiguousarray(source[rows, :, :-2])
        if from_type == "tq2_0":
            require_trits(codes)
        out[rows, :, :-2] = _tq1_from_tq2(codes) if to_type == "tq1_0" else _tq2_from_tq1(codes)
        out[rows, :, -2:] = source[rows, :, -2:]
    return out.reshape(packed.shape[0], out.shape[1] * out.shape[2])


def require_trits(codes: np.ndarray) -> None:
    """FormatError where TQ2_0 code bytes (any shape) hold the code 3, which is no trit."""
    flat = np.ascontiguousarray(codes).reshape(-1)
    wide = flat.view(np.uint64) if flat.nbytes % 8 == 0 else flat  # eight bytes at a time where they come in eights
    one, ones = wide.dtype.type(1), wide.dtype.type(0x5555555555555555 & np.iinfo(wide.dtype).max)
    for part in row_chunks(len(wide), wide.itemsize):
        high = wide[part] >> one
        high &= wide[part]
        high &= ones
        if high.any():
            raise FormatError("TQ2_0 data holds the code 3, which is no trit; the file is damaged")


def _require_ternary(type_: str) -> None:
    if type_ not in TERNARY:
        raise FormatError(f"tensor type {type_} is not ternary; use one of {', '.join(TERNARY)}")


def _pack_tq2(codes: np.ndarray) -> np.ndarray:
    """(rows, blocks, 256) codes -> (rows, blocks, 64)."""
    pairs = codes.reshape(*codes.shape[:2], 2, 4, 32)
    merged = pairs[..., 0, :] | pairs[..., 1, :] << 2 | pairs[..., 2, :] << 4 | pairs[..., 3, :] << 6
    return merged.reshape(*codes.shape[:2], 64)


def _unpack_tq2(stored: np.ndarray) -> np.ndarray:
    groups = stored.reshape(*stored.shape[:2], 2, 1, 32)
    codes = groups >> np.arange(0, 8, 2, dtype=np.uint8)[:, None] & 3
    return codes.reshape(*stored.shape[:2], BLOCK)


# The three runs of a TQ1_0 block: first weight, first byte, bytes, digits.
_TQ1_RUNS = ((0, 0, 32, 5), (160, 32, 16, 5), (240, 48, 4, 4))


def _pack_tq1(codes: np.ndarray) -> np.ndarray:
    """(rows, blocks, 256) codes -> (rows, blocks, 52)."""
    out = np.empty((*codes.shape[:2], 52), np.uint8)
    for weight, byte, count, digits in _TQ1_RUNS:
        run = codes[..., weight : weight + count * digits].reshape(*codes.shape[:2], digits, count)
        values = sum(run[..., n, :] * np.uint8(_POWERS[n]) for n in range(digits))
        out[..., byte : byte + count] = _fraction(np.asarray(values))
    return out


def _unpack_tq1(stored: np.ndarray) -> np.ndarray:
    out = np.empty((*stored.shape[:2], BLOCK), np.uint8)
    for weight, byte, count, digits in _TQ1_RUNS:
        left = stored[..., byte : byte + count]
        for n in range(digits):
            first = weight + n * count
            out[..., first : first + count] = left.astype(np.uint16) * 3 >> 8
            left = left * np.uint8(3)  # modulo 256: the next digit moves to the top
    return out


_pack_codes = {"tq1_0": _pack_tq1, "tq2_0": _pack_tq2}
_unpack_codes = {"tq1_0": _unpack_tq1, "tq2_0": _unpack_tq2}

# Tables for the repack, which moves whole bytes instead of single trits.
_DIGITS = _unpack_tq1(np.tile(np.arange(256, dtype=np.uint8)[:, None, None], (1, 1, 52)))[:, 0, 0:160:32]  # (256, 5)
_FRACTIONS = _fraction(np.minimum(np.arange(256), 242))


def _pair(byte: int, pair: int) -> int:
    return byte >> 2 * pair & 3


def _table(entry: list[int]) -> np.ndarray:
    return np.array([value & 255 for value in entry], np.uint8)


# TQ1_0 bytes 0..31 take the four pairs of byte m and pair 0 of byte 32 + m; bytes 32..47 the pairs 1..3 of bytes 32 + m
# and 48 + m, one of each in turn; bytes 48..51 pair 3 of four bytes each.
_FOUR = _table([sum(_POWERS[n] * _pair(b, n) for n in range(4)) for b in range(256)])
_EVEN = _table([81 * _pair(b, 1) + 9 * _pair(b, 2) + _pair(b, 3) for b in range(256)])
_ODD = _table([27 * _pair(b, 1) + 3 * _pair(b, 2) for b in range(256)])


def _tq1_from_tq2(codes: np.ndarray) -> np.ndarray:
    """(rows, blocks, 64) -> (rows, blocks, 52)."""
    out = np.empty((*codes.shape[:2], 52), np.uint8)
    out[..., :32] = _FOUR[codes[..., :32]] + (codes[..., 32:] & 3)
    out[..., 32:48] = _EVEN[codes[..., 32:48]] + _ODD[codes[..., 48:]]
    last = (codes[..., 48:] >> 6).reshape(*codes.shape[:2], 4, 4)  # (digit n, byte j)
    out[..., 48:] = sum(last[..., n, :] * np.uint8(_POWERS[n]) for n in range(4))
    return _FRACTIONS[out]


def _digits_table(*places: tuple[int, int]) -> np.ndarray:
    """byte -> its digits n moved to bit pairs l, for each (n, l)."""
    return np.asarray(sum(_DIGITS[:, n] << np.uint8(2 * pair) for n, pair in places), dtype=np.uint8)


_FIRST = _digits_table((0, 0), (1, 1), (2, 2), (3, 3))
_FIFTH = _digits_table((4, 0))
_LOW = _digits_table((0, 1), (2, 2), (4, 3))
_HIGH = _digits_table((1, 1), (3, 2))
_LAST = [_digits_table((n, 3)) for n in range(4)]


def _tq2_from_tq1(stored: np.ndarray) -> np.ndarray:
    """(rows, blocks, 52) -> (rows, blocks, 64)."""
    out = np.empty((*stored.shape[:2], 64), np.uint8)
    first, second, last = stored[..., :32], stored[..., 32:48], stored[..., 48:]
    out[..., :32] = _FIRST[first]
    out[..., 32:] = _FIFTH[first]
    out[..., 32:48] |= _LOW[second]
    out[..., 48:] |= _HIGH[second]
    for n in range(4):
        out[..., 48 + 4 * n : 52 + 4 * n] |= _LAST[n][last]
    return out
