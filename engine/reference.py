"""The NumPy reference: runs graphs by their ops' references, bit for bit what exact kernels compute. Slow on
purpose.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from .graph import Graph, Value
from .ops.op import Array
from .steps import StepRow

DTYPES = {"f32": np.float32, "u32": np.uint32, "i32": np.int32, "i8": np.int8, "f16": np.float16}


class Reference:
    """State and persistent values of a run; ``play`` steps through rows as a player would."""

    def __init__(self, graphs: Mapping[str, Graph], constants: Mapping[str, Array]) -> None:
        self.graphs = graphs
        self.arrays: dict[str, Array] = dict(constants)

    def play(self, rows: Iterable[StepRow]) -> None:
        for row in rows:
            self._step(self.graphs[row.program], row)

    def _step(self, graph: Graph, row: StepRow) -> None:
        scratch: dict[str, Array] = {}
        for node in graph.nodes:
            inputs = tuple(self._array(value, scratch) for value in node.inputs)
            columns = getattr(node.op, "column", 0)
            for value, array in zip(node.outputs, node.op.reference(row, inputs), strict=True):
                target = self._array(value, scratch)
                if target.shape[1:] == array.shape[1:]:
                    target[: len(array)] = array
                else:
                    target[: len(array), columns : columns + array.shape[1]] = array

    def _array(self, value: Value, scratch: dict[str, Array]) -> Array:
        if value.whole is not None:
            whole = self._array(value.whole, scratch).reshape(-1)
            return whole[value.first : value.first + value.elements].reshape(value.shape)
        home = scratch if value.role == "scratch" else self.arrays
        if value.id not in home:
            home[value.id] = np.zeros(value.shape, DTYPES[value.dtype])
            if value.inline is not None:
                home[value.id].reshape(-1).view(np.uint8)[: len(value.inline)] = np.frombuffer(value.inline, np.uint8)
        return home[value.id]
