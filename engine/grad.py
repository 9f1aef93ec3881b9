"""The reverse walk, at build time: from the loss back to the parameters, asking each op for its adjoint.

Gradients are summed in place where paths join: an op that adds takes the sum so far as its last input and writes it
again. A parameter's gradient is a persistent value, so micro-batches add up in it until the optimiser clears it. Values
that no parameter lies behind get no gradient at all.

A segment that is recomputed keeps nothing but what enters it: its nodes are emitted once more, on fresh values, just
before their adjoints.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from .graph import Graph, Node, Value

if TYPE_CHECKING:
    from .ops.op import Differentiable, Op


@dataclass
class Tape:
    """Where adjoints are written: the graph, the gradient of each parameter, and the sums so far of all else."""

    graph: Graph
    parameters: Mapping[Value, Value]
    needed: set[Value]
    sums: dict[Value, Value] = field(default_factory=dict)

    def needs(self, value: Value) -> bool:
        """Whether a parameter lies behind ``value``, or it is one."""
        return value in self.needed

    def add(self, value: Value, op: Op, inputs: Sequence[Value], label: str) -> None:
        """Add ``op(inputs)`` to the gradient of ``value``; with a sum so far, ``op`` gets it as its last input."""
        total = self.parameters.get(value) or self.sums.get(value)
        if total is not None:
            self.graph.add(op, [*inputs, total], label, [total])
        else:
            (self.sums[value],) = self.graph.add(op, inputs, label)

    def pass_on(self, value: Value, gradient: Value, label: str) -> None:
        """Add ``gradient``, which its own value needs no more, to the gradient of ``value``."""
        from .ops.add import Add

        if value not in self.sums and value not in self.parameters:
            self.sums[value] = gradient
        elif self.sums.get(value) is not gradient:
            self.add(value, Add(), [gradient], label)


def backward(
    graph: Graph,
    forward: Sequence[Node],
    seeds: Mapping[Value, Value],
    parameters: Mapping[Value, Value],
    recomputed: Sequence[range] = (),
) -> None:
    """Append to ``graph`` what adds up the gradients of ``parameters`` (parameter -> gradient) through the nodes
    ``forward``.

    ``seeds``: values with their gradients. ``recomputed``: ranges of these nodes whose values are not kept but made
    again. Nodes that made only what nobody reads are removed.
    """
    tape = Tape(graph, parameters, _needed(forward, parameters), dict(seeds))
    last_of = {segment.stop - 1: segment for segment in recomputed}
    index = len(forward) - 1
    while index >= 0:
        segment = last_of.get(index, range(index, index + 1))
        nodes = list(forward[segment.start : segment.stop])
        if len(segment) > 1:
            nodes = _again(tape, nodes)
        for node in reversed(nodes):
            _adjoint(tape, node)
        index = segment.start - 1
    graph.nodes[:] = _used(graph.nodes)


def _adjoint(tape: Tape, node: Node) -> None:
    gradients = tuple(tape.sums.get(value) for value in node.outputs)
    if any(gradient is not None for gradient in gradients) and any(map(tape.needs, node.inputs)):
        cast("Differentiable", node.op).vjp(node, gradients, tape)


def _needed(nodes: Sequence[Node], parameters: Mapping[Value, Value]) -> set[Value]:
    needed = set(parameters)
    for node in nodes:
        if needed.intersection(node.inputs):
            needed.update(node.outputs)
    return needed


def _again(tape: Tape, nodes: Sequence[Node]) -> list[Node]:
    """Emit ``nodes`` once more on fresh values; what they gave others stands for the copies' gradients."""
    copies: dict[Value, Value] = {}
    made: list[Node] = []
    for node in nodes:
        inputs = [copies.get(value, value) for value in node.inputs]
        for value in node.outputs:
            if value not in copies:
                copies[value] = tape.graph.fresh(value.shape, value.dtype)
        tape.graph.add(node.op, inputs, f"{node.label}.again", [copies[value] for value in node.outputs])
        made.append(tape.graph.nodes[-1])
    for value, copy in copies.items():
        if value in tape.sums:
            tape.sums[copy] = tape.sums[value]
        if value in tape.needed:
            tape.needed.add(copy)
    return made


def _used(nodes: Sequence[Node]) -> list[Node]:
    """``nodes`` without those that only make scratch that nobody reads."""
    read: set[Value] = set()
    kept: list[Node] = []
    for node in reversed(nodes):
        if not node.outputs or any(value.role != "scratch" or value in read for value in node.outputs):
            kept.append(node)
            read.update(node.inputs)
    return kept[::-1]
