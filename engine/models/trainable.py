"""BitNet as a graph that gradients can pass: every projection on its own, activations of the step's own tokens only.

Inference fuses and caches; here each value that an adjoint needs is a value of the graph. The arithmetic of the frozen
part is the same: int8 activations (or fine ones, three limbs, for comparison with float trainers), ternary weights.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from ..errors import PlanError
from ..graph import Graph, Value
from ..ops.cross_entropy import CrossEntropy, LossTotal
from ..ops.dense_product import DenseProduct
from ..ops.dropout import Dropout
from ..ops.embed import Embed
from ..ops.gate import Gate
from ..ops.matmul import MatMul
from ..ops.quantize import Quantize
from ..ops.rmsnorm import RmsNorm
from ..ops.rope import Rope
from ..ops.self_attend import SelfAttend
from ..ops.ternary_product import TernaryProduct
from ..ops.uniform import stream_seed
from .bitnet import BitNet
from .config import Config
from .lora import Lora
from .parameters import Parameters


@dataclass(frozen=True)
class Batches:
    """Training data on the device, a row of it a token; a step reads its own from ``position`` on."""

    tokens: Value  # (N) u32
    labels: Value  # (N) u32
    spans: Value  # (N, 2) u32: first and end of the token's document, within the step


@dataclass
class Trainable(ABC):
    """The layers over weights that a subclass gives. ``limbs``: 1 for int8 activations, 3 for fine ones; ``longest``:
    most tokens of a document.
    """

    config: Config
    limbs: int
    longest: int

    @abstractmethod
    def embedded(self, graph: Graph, tokens: Value) -> Value:
        """The step's tokens as rows (M, E)."""

    @abstractmethod
    def norm(self, name: str) -> Value:
        """The weights of a norm."""

    @abstractmethod
    def rope(self) -> Value:
        """(cos, sin) of every position of a document."""

    @abstractmethod
    def projected(
        self, graph: Graph, name: str, normed: Value, codes: tuple[Value, ...], residual: Value | None = None
    ) -> Value:
        """[residual +] a projection of the normed values, whose codes are given."""

    @abstractmethod
    def head(self, graph: Graph, normed: Value) -> Value:
        """The logits (M, V)."""

    def forward(self, graph: Graph, batches: Batches) -> tuple[Value, list[range]]:
        """Append the layers and the head; the logits (M, V), and the range of nodes of each layer."""
        x = self.embedded(graph, batches.tokens)
        layers = []
        for layer in range(self.config.layers):
            first = len(graph.nodes)
            x = self._layer(graph, batches, x, f"blk.{layer}")
            layers.append(range(first, len(graph.nodes)))
        return self.head(graph, self._normed(graph, x, "output_norm")), layers

    def loss(self, graph: Graph, batches: Batches, logits: Value, log: Value) -> None:
        """Append the loss, which goes to ``log``; the logits become their own gradient."""
        losses, _ = graph.add(
            CrossEntropy(), [logits, batches.labels], "loss", [graph.fresh((graph.tokens,)), logits]
        )
        graph.add(LossTotal(), [losses, log], "loss.total")

    def _layer(self, graph: Graph, batches: Batches, x: Value, blk: str) -> Value:
        c = self.config
        normed, codes = self._quantized(graph, x, f"{blk}.attn_norm")
        q, k, v = (self.projected(graph, f"{blk}.{name}", normed, codes) for name in ("attn_q", "attn_k", "attn_v"))
        q, k = (
            graph.add(Rope(c.head), [value, self.rope(), batches.spans], f"{blk}.rope.{name}")[0]
            for name, value in (("q", q), ("k", k))
        )
        attend = SelfAttend(c.heads, c.kv_heads, c.head, self.longest)
        attended = graph.add(attend, [q, k, v, batches.spans], f"{blk}.attend")[0]
        x = self.projected(graph, f"{blk}.attn_output", *self._quantized(graph, attended, f"{blk}.attn_sub_norm"), x)
        normed, codes = self._quantized(graph, x, f"{blk}.ffn_norm")
        gate, up = (self.projected(graph, f"{blk}.{name}", normed, codes) for name in ("ffn_gate", "ffn_up"))
        (gated,) = graph.add(Gate(c.activation), [gate, up], f"{blk}.gate")
        return self.projected(graph, f"{blk}.ffn_down", *self._quantized(graph, gated, f"{blk}.ffn_sub_norm"), x)

    def _normed(self, graph: Graph, x: Value, norm: str) -> Value:
        return graph.add(RmsNorm(self.config.eps), [x, self.norm(norm)], norm)[0]

    def _quantized(self, graph: Graph, x: Value, norm: str) -> tuple[Value, tuple[Value, ...]]:
        normed = self._normed(graph, x, norm)
        return normed, graph.add(Quantize(self.limbs), [normed], f"{norm}.quantize")


@dataclass
class Adapted(Trainable):
    """A frozen model with the pairs of an adapter beside its projections."""

    net: BitNet
    lora: Lora
    parameters: Parameters

    def embedded(self, graph: Graph, tokens: Value) -> Value:
        return graph.add(Embed(self.net.matrix("token_embd"), graph.tokens), [tokens], "embed")[0]

    def norm(self, name: str) -> Value:
        return self.net.vector(name)

    def rope(self) -> Value:
        return self.net.rope()

    def projected(
        self, graph: Graph, name: str, normed: Value, codes: tuple[Value, ...], residual: Value | None = None
    ) -> Value:
        weight = self.net.matrix(name)
        if not weight.ternary:
            raise PlanError(f"{name}.weight is {weight.kind} and not ternary; only ternary projections can be adapted")
        inputs = [*codes] if residual is None else [*codes, residual]
        (y,) = graph.add(TernaryProduct(weight, limbs=self.limbs), inputs, name)
        return self._adapted(graph, name, normed, y)

    def head(self, graph: Graph, normed: Value) -> Value:
        head = self.net.matrix("token_embd" if self.config.tied else "output")
        (logits,) = graph.add(DenseProduct(head), [normed], "head")
        return self._adapted(graph, "output", normed, logits)

    def _adapted(self, graph: Graph, name: str, x: Value, y: Value) -> Value:
        """y, with the adapter's part added in place where ``name`` has one."""
        a, b = (self.parameters.parts.get(f"{name}.weight.lora_{half}") for half in "ab")
        if a is None or b is None:
            return y
        if self.lora.dropout and graph.learns:
            drop = Dropout(self.lora.dropout, stream_seed(self.lora.seed, f"dropout/{name}"))
            (x,) = graph.add(drop, [x], f"{name}.dropout")
        (low,) = graph.add(MatMul(transpose_b=True, tokens="m"), [x, a], f"{name}.lora_a")
        add = MatMul(transpose_b=True, scale=self.lora.scale, tokens="m")
        return graph.add(add, [low, b, y], f"{name}.lora_b", [y])[0]
