"""LoRA (Hu et al. 2021, arXiv 2106.09685): which projections get a low-rank pair.

y = W x + (alpha / rank) B (A x) with A (rank, in) and B (out, rank). A starts uniform in +-1/sqrt(in), each matrix from
a stream of its own, B at zero.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..errors import PlanError
from .config import Config
from .parameters import Parameters

MODULES = {
    "attn_q": "attn_q", "attn_k": "attn_k", "attn_v": "attn_v", "attn_o": "attn_output",
    "ffn_gate": "ffn_gate", "ffn_up": "ffn_up", "ffn_down": "ffn_down", "output": "output",
}  # fmt: skip
ALL = "all"
MOST_RANK = 1024


@dataclass(frozen=True)
class Lora:
    """What an adapter is. ``modules``: names of MODULES, or "all"."""

    rank: int = 8
    alpha: float = 16.0
    modules: tuple[str, ...] = (ALL,)
    dropout: float = 0.0
    seed: int = 42

    def __post_init__(self) -> None:
        unknown = [name for name in self.modules if name not in (*MODULES, ALL)]
        if unknown or not self.modules:
            named = ", ".join(unknown) or "(none)"
            raise PlanError(f"LoRA module {named} is unknown; use {' '.join(MODULES)} or {ALL}")
        if not 1 <= self.rank <= MOST_RANK:
            raise PlanError(f"LoRA rank {self.rank} is outside 1..{MOST_RANK}")
        if not 0 <= self.dropout < 1:
            raise PlanError(f"dropout {self.dropout} is outside 0..1 (1 left out)")

    @property
    def scale(self) -> float:
        return self.alpha / self.rank

    def pairs(self, config: Config) -> Iterator[tuple[str, int, int]]:
        """(tensor without ".weight", out, in) of each adapted projection, in the order of the layers."""
        wanted = {tensor for module, tensor in MODULES.items() if {module, ALL} & set(self.modules)}
        for layer in range(config.layers):
            for name, rows, cols in config.linear_shapes():
                if name in wanted:
                    yield f"blk.{layer}.{name}", rows, cols
        if "output" in self.modules and config.tied:
            raise PlanError("this model's head is its embedding and cannot be adapted; leave out the module output")
        if "output" in wanted and not config.tied:
            yield "output", config.vocabulary, config.embedding


def lora_parameters(lora: Lora, config: Config) -> Parameters:
    """The pairs of an adapter by the names that its file gives them."""
    shapes: dict[str, tuple[int, ...]] = {}
    for name, rows, cols in lora.pairs(config):
        shapes[f"{name}.weight.lora_a"] = (lora.rank, cols)
        shapes[f"{name}.weight.lora_b"] = (rows, lora.rank)
    return Parameters(shapes)
