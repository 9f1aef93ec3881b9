"""A BitNet that learns all of itself: latent f32 weights, made ternary by their mean magnitude in every step.

Ma et al. 2024 (arXiv 2402.17764): int8 activations, absmean ternary weights, gradients straight through both roundings.
Embedding, norms and the head, which is the embedding again, stay f32.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from ..graph import Graph, Value
from ..ops.dropout import Dropout
from ..ops.embed_table import EmbedTable
from ..ops.latent_product import LatentProduct
from ..ops.matmul import MatMul
from ..ops.rope_cache import rope_table
from ..ops.ternarize import Ternarize
from ..ops.uniform import stream_seed
from .config import Config
from .parameters import Parameters
from .trainable import Trainable

EMBEDDING = "token_embd.weight"


@dataclass
class Latent(Trainable):
    """``parameters``: every tensor of the model by its name in a file, f32. ``dropout``: of the embedded tokens and of
    what each block adds to them, under masks that ``seed`` gives.
    """

    parameters: Parameters
    dropout: float = 0.0
    seed: int = 42

    def embedded(self, graph: Graph, tokens: Value) -> Value:
        (x,) = graph.add(EmbedTable(graph.tokens), [tokens, self.parameters.parts[EMBEDDING]], "embed")
        return self._dropped(graph, "embed", x) if self._drops(graph) else x

    def norm(self, name: str) -> Value:
        return self.parameters.parts[f"{name}.weight"]

    def rope(self) -> Value:
        return self.table

    @cached_property
    def table(self) -> Value:
        """(cos, sin) of every position, which comes with the plan: there is no model that it could come from."""
        c = self.config
        table = rope_table(self.longest, c.head, c.rope_base, c.rope_scale)
        return Value("rope", table.shape, role="input", inline=table.astype("<f4").tobytes())

    def projected(
        self, graph: Graph, name: str, normed: Value, codes: tuple[Value, ...], residual: Value | None = None
    ) -> Value:
        weight = self.parameters.parts[f"{name}.weight"]
        rows, cols = weight.shape
        ternary = graph.add(Ternarize(rows, cols), [weight], f"{name}.ternarize")
        product, inputs = LatentProduct(rows, cols, self.limbs), [*codes, *ternary]
        if residual is None or self._drops(graph):
            (y,) = graph.add(product, inputs, name)
            return y if residual is None else self._dropped(graph, name, y, residual)
        return graph.add(product, [*inputs, residual], name)[0]

    def _drops(self, graph: Graph) -> bool:
        return graph.learns and self.dropout > 0

    def _dropped(self, graph: Graph, name: str, *values: Value) -> Value:
        drop = Dropout(self.dropout, stream_seed(self.seed, f"dropout/{name}"))
        return graph.add(drop, values, f"{name}.dropout")[0]

    def head(self, graph: Graph, normed: Value) -> Value:
        product = MatMul(transpose_b=True, tokens="m")
        return graph.add(product, [normed, self.parameters.parts[EMBEDDING]], "head")[0]


def latent_parameters(config: Config) -> Parameters:
    """Every tensor of a model of this shape, matrices first."""
    layers = range(config.layers)
    shapes: dict[str, tuple[int, ...]] = {EMBEDDING: (config.vocabulary, config.embedding)}
    for layer in layers:
        for name, rows, cols in config.linear_shapes():
            shapes[f"blk.{layer}.{name}.weight"] = (rows, cols)
    for layer in layers:
        for name, size in config.norm_shapes():
            shapes[f"blk.{layer}.{name}.weight"] = (size,)
    shapes["output_norm.weight"] = (config.embedding,)
    return Parameters(shapes)
