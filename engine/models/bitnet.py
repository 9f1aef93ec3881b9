"""The BitNet b1.58 transformer as ordinary functions over the graph builder (Ma et al. 2024, arXiv 2402.17764).

A layer: norm and quantise, q/k/v in one product, rotary embedding and cache write, attention, sub-norm and output
product with the residual, norm and quantise, gate and up in one product with the gate, sub-norm and down product with
the residual. Where an adapter changes a projection its part is added in place; gate and up are then two products.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ..formats import resident
from ..formats.model import Model
from ..graph import Graph, Value
from ..ops.attend import Attend
from ..ops.dense_product import DenseProduct
from ..ops.embed import Embed
from ..ops.gate import Gate
from ..ops.quantize_norm import QuantizeNorm
from ..ops.rmsnorm import RmsNorm
from ..ops.rope_cache import RopeCache
from ..ops.ternary_product import TernaryProduct
from ..threads import mapped
from ..weights import TERNARY, TILE_ROWS, Weight
from .adapters import Adapters
from .config import Config

QKV = ("attn_q", "attn_k", "attn_v")
GATE_UP = ("ffn_gate", "ffn_up")
Place = tuple[str, Value, int]  # a projection, the value that holds its result, and from which column on


@dataclass
class BitNet:
    """Weights of a model by name, caches and tables as values. ``longest``: most positions in use."""

    model: Model
    config: Config
    resident: str
    longest: int
    adapters: Adapters = field(default_factory=Adapters)
    weights: dict[str, Weight] = field(default_factory=dict)
    values: dict[str, Value] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """What each projection is held as, found by threads: it takes reading all scales of a file."""
        names = (name for name, _, _ in self.config.linear_shapes())
        mapped(self.matrix, [f"blk.{layer}.{name}" for name in names for layer in range(self.config.layers)])

    def hidden(self, graph: Graph, tokens: Value) -> Value:
        """Hidden states (M, E) after the last layer, of the step's tokens."""
        (x,) = graph.add(Embed(self.matrix("token_embd"), graph.tokens), [tokens], "embed")
        for layer in range(self.config.layers):
            x = self._layer(graph, x, f"blk.{layer}")
        return x

    def logits(self, graph: Graph, x: Value, out: Value, last: bool) -> None:
        """Write the head's logits of the last token (1, V) or of all (M, V) to ``out``."""
        (normed,) = graph.add(RmsNorm(self.config.eps, last), [x, self.vector("output_norm")], "output_norm")
        head = self.matrix("token_embd" if self.config.tied else "output")
        graph.add(DenseProduct(head), [normed], "head", [out])
        for part in self.adapters.of("output"):
            part.add_to(graph, out, 0, normed, "" if last else "m")

    def _layer(self, graph: Graph, x: Value, blk: str) -> Value:
        c = self.config
        codes = self._quantized(graph, x, f"{blk}.attn_norm")
        qkv = self._stack(graph, codes, blk, QKV)
        self._adapt(graph, x, f"{blk}.attn_norm", self._places(qkv, blk, QKV))
        keys, values = self._cache(f"{blk}.keys"), self._cache(f"{blk}.values")
        (queries,) = graph.add(RopeCache(c.heads, c.kv_heads, c.head), [qkv, self.rope(), keys, values], f"{blk}.rope")
        (a,) = graph.add(Attend(c.heads, c.kv_heads, c.head, self.longest), [queries, keys, values], f"{blk}.attend")
        x = self._onto(graph, a, f"{blk}.attn_sub_norm", blk, "attn_output", x)
        return self._onto(graph, self._gated(graph, x, blk), f"{blk}.ffn_sub_norm", blk, "ffn_down", x)

    def _quantized(self, graph: Graph, x: Value, norm: str) -> tuple[Value, ...]:
        return graph.add(QuantizeNorm(self.config.eps), [x, self.vector(norm)], norm)

    def _onto(self, graph: Graph, x: Value, norm: str, blk: str, name: str, residual: Value) -> Value:
        """residual + projection of x, normed and quantised."""
        weight = self.matrix(f"{blk}.{name}")
        op = TernaryProduct(weight) if weight.ternary else DenseProduct(weight, codes=True)
        (y,) = graph.add(op, [*self._quantized(graph, x, norm), residual], weight.id)
        self._adapt(graph, x, norm, self._places(y, blk, (name,)))
        return y

    def _places(self, y: Value, blk: str, names: Sequence[str]) -> list[Place]:
        """Projections whose results lie side by side in y, and where."""
        places, column = [], 0
        for name in names:
            places.append((f"{blk}.{name}", y, column))
            column += self.matrix(f"{blk}.{name}").rows
        return places

    def _adapt(self, graph: Graph, x: Value, norm: str, places: Sequence[Place]) -> None:
        """Add what adapters make of x, normed, to the results at ``places``."""
        if not any(self.adapters.of(name) for name, _, _ in places):
            return
        (normed,) = graph.add(RmsNorm(self.config.eps), [x, self.vector(norm)], f"{norm}.float")
        for name, y, column in places:
            for part in self.adapters.of(name):
                part.add_to(graph, y, column, normed, "m")

    def _stack(self, graph: Graph, codes: tuple[Value, ...], blk: str, names: tuple[str, ...]) -> Value:
        """Several projections of the same codes side by side (M, sum of rows): one product where the layout allows."""
        joined = self.joined(blk, names)
        if joined is not None:
            return graph.add(TernaryProduct(joined), codes, f"{blk}.{'+'.join(names)}")[0]
        weights = [self.matrix(f"{blk}.{name}") for name in names]
        total = sum(weight.rows for weight in weights)
        out = graph.fresh((graph.tokens, total))
        column = 0
        for weight in weights:
            op = (
                TernaryProduct(weight, None, total, column)
                if weight.ternary
                else DenseProduct(weight, True, total, column)
            )
            graph.add(op, codes, weight.id, [out])
            column += weight.rows
        return out

    def _gated(self, graph: Graph, x: Value, blk: str) -> Value:
        norm = f"{blk}.ffn_norm"
        codes = self._quantized(graph, x, norm)
        adapted = any(self.adapters.of(f"{blk}.{name}") for name in GATE_UP)
        pair = None if adapted else self.joined(blk, GATE_UP, pair=True)
        if pair is not None:
            return graph.add(TernaryProduct(pair, self.config.activation), codes, f"{blk}.ffn_gate+up")[0]
        gate, up = (self._stack(graph, codes, blk, (name,)) for name in GATE_UP)
        self._adapt(graph, x, norm, [(f"{blk}.ffn_gate", gate, 0), (f"{blk}.ffn_up", up, 0)])
        return graph.add(Gate(self.config.activation), [gate, up], f"{blk}.gate")[0]

    def joined(self, blk: str, names: tuple[str, ...], pair: bool = False) -> Weight | None:
        """One weight of several tensors, or None where they differ in kind or do not end on a tile."""
        key = f"{blk}.{'+'.join(names)}"
        parts = [self.matrix(f"{blk}.{name}") for name in names]
        aligned = pair or all(part.rows % TILE_ROWS == 0 for part in parts[:-1])
        if not aligned or any(not p.ternary or p.scaling != parts[0].scaling for p in parts):
            return None
        if key not in self.weights:
            self.weights[key] = Weight(
                key,
                self.model,
                tuple(p.parts[0] for p in parts),
                parts[0].kind,
                sum(p.rows for p in parts),
                parts[0].cols,
                pair,
                parts[0].scaling,
            )
        return self.weights[key]

    def matrix(self, name: str) -> Weight:
        """The weight of one tensor: held as trits where it is exactly ternary, else as the file holds it."""
        if name not in self.weights:
            info = self.model.tensors[f"{name}.weight"]
            held_ternary = name.startswith("blk.") and (
                info.type in TERNARY or resident.is_ternary(self.model, info.name)
            )
            scaling = resident.scale_layout(self.model, info.name) if held_ternary else "none"
            kind = self.resident if held_ternary else info.type
            self.weights[name] = Weight(name, self.model, (info.name,), kind, info.rows, info.cols, scaling=scaling)
        return self.weights[name]

    def vector(self, name: str) -> Value:
        """A norm's weights, f32."""
        return self._constant(name, self.model.tensors[f"{name}.weight"].shape)

    def rope(self) -> Value:
        """(cos, sin) of every position, as ops/rope_cache.py makes them."""
        return self._constant("rope", (self.longest, self.config.head // 2, 2))

    def _constant(self, name: str, shape: tuple[int, ...]) -> Value:
        return self.values.setdefault(name, Value(name, shape, role="weight"))

    def _cache(self, name: str) -> Value:
        c = self.config
        return self.values.setdefault(name, Value(name, (c.kv_heads, self.longest, c.head), "f16", "state"))
