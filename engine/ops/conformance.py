"""The op behind the exactness probe: eight results for each pair of numbers, NumPy twin of kernels/conformance.wgsl."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..graph import Node, Value
from ..plan import Cost
from ..steps import StepRow
from . import exact
from .op import Array, Emitter, Shape
from .ternary_product import DOT_FEATURE


@dataclass(frozen=True)
class Conformance:
    """(pairs (N, 2) f32) -> (N, 8) u32."""

    def shapes(self, inputs: tuple[Value, ...]) -> tuple[Shape, ...]:
        return (((inputs[0].shape[0], 8), "u32"),)

    def reference(self, step: StepRow, inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        a, b = (np.ascontiguousarray(column) for column in inputs[0].T)
        low, high = (exact.to_half(x).view(np.float16).astype(np.float32) for x in (a, b))
        bits = low.view(np.uint32) ^ high.view(np.uint32) ^ exact.nearest(b).view(np.uint32)
        codes = [x.view(np.int8).reshape(-1, 4).astype(np.int32) for x in (a, b)]
        dots = (codes[0] * codes[1]).sum(axis=1, dtype=np.int32).view(np.uint32)
        floats = (
            a * b + a,
            (a + b) - a,
            exact.reciprocal(np.abs(a)),
            exact.inverse_sqrt(np.abs(b)),
            exact.exponential(a),
            exact.logarithm(np.abs(b)),
        )
        return (np.stack([*(f.view(np.uint32) for f in floats), bits, dots], axis=1),)

    def lower(self, node: Node, emit: Emitter) -> None:
        pairs = node.inputs[0]
        emit.dispatch(
            "conformance",
            {"COUNT": pairs.shape[0], "DOT4": DOT_FEATURE in emit.caps.language_features},
            {"pairs": pairs, "results": node.outputs[0]},
            (-(-pairs.shape[0] // 64), 1, 1),
            node.label,
            Cost(bytes=pairs.shape[0] * 40, operations=pairs.shape[0] * 200),
        )
