"""A program before compilation: a flat list of nodes over coarse ops.

A Value is an array with a name; a Node applies an Op to values. The builder checks shapes as it appends, so that a
graph that exists is well formed. What an op means, how it runs and what it costs is the op's own business (ops/).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .ops.op import Op

ELEMENT_BYTES = {"f32": 4, "u32": 4, "i32": 4, "i8": 1, "f16": 2}


@dataclass(frozen=True, eq=False)
class Value:
    """An array of the program: shape (elements), dtype, and the role of the slot that holds it.

    With ``whole`` it is the part of another value that starts at its element ``first``: parameters of many names lie in
    one slot, so that one launch can update them all.
    """

    id: str
    shape: tuple[int, ...]
    dtype: str = "f32"
    role: str = "scratch"
    inline: bytes | None = None
    whole: Value | None = None
    first: int = 0

    @property
    def elements(self) -> int:
        return prod(self.shape)

    @property
    def bytes(self) -> int:
        """Bytes on the device; int8 arrays are padded to whole words by their op."""
        return -(-self.elements * ELEMENT_BYTES[self.dtype] // 4) * 4

    @property
    def offset(self) -> int:
        """Where it begins in its slot, in bytes."""
        return self.first * ELEMENT_BYTES[self.dtype]


@dataclass(frozen=True, eq=False)
class Node:
    """One application of an op."""

    op: Op
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    label: str


@dataclass
class Graph:
    """A program: ``tokens`` is the most tokens a step of it runs (rows of every activation).

    ``learns``: what only learning wants, dropout, is part of it.
    """

    name: str
    tokens: int
    nodes: list[Node] = field(default_factory=list)
    made: int = 0
    learns: bool = False

    def add(
        self, op: Op, inputs: Sequence[Value], label: str, outputs: Sequence[Value] | None = None
    ) -> tuple[Value, ...]:
        """Append a node; ``outputs`` names existing values to write, else fresh scratch of the op's shapes."""
        if outputs is None:
            outputs = [self.fresh(shape, dtype) for shape, dtype in op.shapes(tuple(inputs))]
        self.nodes.append(Node(op, tuple(inputs), tuple(outputs), label))
        return tuple(outputs)

    def fresh(self, shape: tuple[int, ...], dtype: str = "f32") -> Value:
        """A new scratch value."""
        self.made += 1
        return Value(f"{self.name}.{self.made}", shape, dtype)

    def consumers(self, value: Value) -> Iterator[Node]:
        return (node for node in self.nodes if value in node.inputs)
