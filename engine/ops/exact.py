"""NumPy twins of kernels/lib/exact.wgsl and half.wgsl: the same + - * on float32 in the same order, so the same
bits.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]
_ROUND = np.float32(12582912.0)


def f32(x: float) -> np.float32:
    return np.float32(x)


def _bits(x: F32) -> npt.NDArray[np.uint32]:
    return np.ascontiguousarray(x, np.float32).view(np.uint32)


def nearest(x: F32) -> npt.NDArray[np.int32]:
    """Nearest integer, ties to even, |x| < 2^22."""
    return (x + _ROUND).view(np.int32) - np.int32(0x4B400000)


def reciprocal(x: F32) -> F32:
    """1/x for positive x in [2^-125, 2^125]: integer seed, three Newton steps."""
    y = (np.uint32(0x7EF311C7) - _bits(x)).view(np.float32)
    for _ in range(3):
        y = y * (f32(2) - x * y)
    return y


def inverse_sqrt(x: F32) -> F32:
    """1/sqrt(x) for normal x > 0: integer seed, three Newton steps."""
    half = f32(0.5) * x
    y = (np.uint32(0x5F3759DF) - (_bits(x) >> np.uint32(1))).view(np.float32)
    for _ in range(3):
        y = y * (f32(1.5) - half * y * y)
    return y


def exponential(x: F32) -> F32:
    """e^x for x clamped to [-60, 60] (coefficients: Cephes expf)."""
    x = np.clip(x, f32(-60), f32(60))
    n = nearest(x * f32(1.44269504))
    whole = n.astype(np.float32)
    r = (x - whole * f32(0.693359375)) - whole * f32(-2.12194440e-4)
    p = np.full_like(r, 1.98756915e-4)
    for coefficient in (1.39819995e-3, 8.33345191e-3, 4.16657959e-2, 1.66666655e-1, 5.00000012e-1):
        p = p * r + f32(coefficient)
    p = (p * r * r + r) + f32(1)
    return p * ((n + 127).astype(np.uint32) << np.uint32(23)).view(np.float32)


def logarithm(x: F32) -> F32:
    """ln(x) for normal x > 0 (coefficients: Cephes logf)."""
    bits = _bits(x) + np.uint32(0x3F800000 - 0x3F3504F3)
    n = ((bits >> np.uint32(23)).astype(np.int32) - 127).astype(np.float32)
    m = ((bits & np.uint32(0x007FFFFF)) + np.uint32(0x3F3504F3)).view(np.float32) - f32(1)
    p = np.full_like(m, 7.03768361e-2)
    for coefficient in (
        -1.15146101e-1,
        1.16769984e-1,
        -1.24201410e-1,
        1.42493233e-1,
        -1.66680574e-1,
        2.00007141e-1,
        -2.49999940e-1,
        3.33333313e-1,
    ):
        p = p * m + f32(coefficient)
    square = m * m
    y = (p * m * square + n * f32(-2.12194440e-4)) - f32(0.5) * square
    return (m + y) + n * f32(0.693359375)


def to_half(x: F32) -> npt.NDArray[np.uint16]:
    """fp16 bits, nearest even; below the smallest normal fp16 zero, beyond the largest the largest."""
    bits = _bits(x)
    magnitude = np.minimum(bits & np.uint32(0x7FFFFFFF), np.uint32(0x477FE000))
    odd = (magnitude >> np.uint32(13)) & np.uint32(1)
    rounded = (magnitude - np.uint32(0x38000000) + np.uint32(0x0FFF) + odd) >> np.uint32(13)
    kept = np.where(magnitude < 0x38800000, np.uint32(0), rounded)
    return (kept | ((bits >> np.uint32(16)) & np.uint32(0x8000))).astype(np.uint16)


def sum4(quads: F32) -> F32:
    """(x + y) + (z + w) over the last axis of four."""
    return (quads[..., 0] + quads[..., 1]) + (quads[..., 2] + quads[..., 3])


def in_order(parts: F32, axis: int) -> F32:
    """Sum along ``axis`` one after the other, as a loop on the device does."""
    moved = np.moveaxis(parts, axis, 0)
    total = moved[0].copy()
    for part in moved[1:]:
        total = total + part
    return total
