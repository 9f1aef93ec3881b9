"""The tokens of one window of a text, moved to where the layers read a prompt: from position 0 on."""

from __future__ import annotations

from dataclasses import dataclass

from ..graph import Node, Value
from ..plan import Cost
from ..steps import StepRow
from .op import Array, Emitter, Shape


@dataclass(frozen=True)
class Take:
    """(text (N) u32, tokens (context) u32) -> tokens[i] = text[position + i], for the step's ``count`` tokens."""

    def shapes(self, inputs: tuple[Value, ...]) -> tuple[Shape, ...]:
        return ()

    def reference(self, step: StepRow, inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        text, tokens = inputs
        tokens[: step.count] = text[step.position : step.position + step.count]
        return ()

    def lower(self, node: Node, emit: Emitter) -> None:
        text, tokens = node.inputs
        grid = (-(-tokens.elements // 256), 1, 1)
        emit.dispatch("take", {}, {"text": text, "tokens": tokens}, grid, node.label, Cost(bytes=2 * tokens.bytes))
