"""Micro-Plans that tell which shape of a kernel is fastest on a device: each product of a program by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol, runtime_checkable

from .compile import Compiler
from .fuse import fuse
from .graph import Graph, Node
from .ops.choice import Choice
from .plan import Caps, Plan
from .steps import StepRow
from .weights import Image

LAUNCHES = 16  # of a product in a step: one alone would be lost in submission


@runtime_checkable
class Tunable(Protocol):
    """An op whose kernel may have several shapes."""

    def choice(self, node: Node, caps: Caps) -> Choice:
        """What it can choose from."""


def choices(graph: Graph, caps: Caps) -> dict[str, tuple[Choice, list[Node]]]:
    """The products of a program that have a choice, by key, with their nodes."""
    found: dict[str, tuple[Choice, list[Node]]] = {}
    for node in fuse(graph, caps).nodes:
        if isinstance(node.op, Tunable):
            choice = node.op.choice(node, caps)
            found.setdefault(choice.key, (choice, []))[1].append(node)
    return {key: each for key, each in found.items() if len(each[0].shapes) > 1}


def micro_plan(graph: Graph, choice: Choice, nodes: Sequence[Node], row: StepRow, caps: Caps, image: Image) -> Plan:
    """A Plan with a program and a step for each shape: the launches of one product over and over, weights in turn."""
    compiler = Compiler(caps, image)
    repeated = [nodes[i % len(nodes)] for i in range(-(-LAUNCHES // len(nodes)) * len(nodes))]
    programs = {}
    for shape in choice.shapes:
        compiler.caps = replace(caps, tuned={**caps.tuned, choice.key: shape})
        programs[shape] = compiler.program(replace(graph, nodes=repeated))
    return compiler.plan(programs, [replace(row, program=shape) for shape in choice.shapes], [])
