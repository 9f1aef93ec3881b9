"""Rewrites a graph so that fewer launches do the same arithmetic: the same bits from fewer dispatches."""

from __future__ import annotations

from dataclasses import replace

from .graph import Graph, Node, Value
from .ops.attend import Attend
from .ops.attend_token import TokenAttend, fits_token
from .ops.normed_product import NormedProduct, fits_matvec
from .ops.quantize_norm import QuantizeNorm
from .ops.rope_cache import RopeCache
from .ops.ternary_product import TernaryProduct
from .plan import Caps


def fuse(graph: Graph, caps: Caps) -> Graph:
    """One token at a time, norm and quantisation move into the products that read their codes, and rotary embedding
    into attention.
    """
    if graph.tokens != 1:
        return graph
    norms = {node.outputs[0]: node for node in graph.nodes if isinstance(node.op, QuantizeNorm)}
    ropes = {node.outputs[0]: node for node in graph.nodes if isinstance(node.op, RopeCache)}
    taken = {source for source in norms if all(_takes_norm(n, caps) for n in graph.consumers(source))}
    taken |= {source for source in ropes if all(_takes_rope(n, caps) for n in graph.consumers(source))}
    nodes = [_fused(node, norms, ropes, taken) for node in graph.nodes if not taken & {*node.outputs[:1]}]
    return replace(graph, nodes=nodes)


def _takes_norm(node: Node, caps: Caps) -> bool:
    return isinstance(node.op, TernaryProduct) and fits_matvec(node.op, caps)


def _takes_rope(node: Node, caps: Caps) -> bool:
    return isinstance(node.op, Attend) and fits_token(node.op, caps)


def _fused(node: Node, norms: dict[Value, Node], ropes: dict[Value, Node], taken: set[Value]) -> Node:
    """``node``, or what it and the producer of its first input are together."""
    source = node.inputs[0] if node.inputs else None
    if source not in taken:
        return node
    if source in norms:
        norm = norms[source]
        assert isinstance(norm.op, QuantizeNorm) and isinstance(node.op, TernaryProduct)
        return Node(NormedProduct(norm.op, node.op), (*norm.inputs, *node.inputs[3:]), node.outputs, node.label)
    rope = ropes[source]
    assert isinstance(rope.op, RopeCache) and isinstance(node.op, Attend)
    return Node(TokenAttend(rope.op, node.op), rope.inputs, node.outputs, node.label)
