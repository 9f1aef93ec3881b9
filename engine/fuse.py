"""Rewrites a graph so that fewer launches do the same arithmetic: the same bits from fewer dispatches."""

from __future__ import annotations

from .graph import Graph, Node
from .ops.quantize_norm import QuantizeNorm
from .ops.ternary_product import NormedProduct, TernaryProduct, fits_matvec
from .plan import Caps


def fuse(graph: Graph, caps: Caps) -> Graph:
    """One token at a time, norm and quantisation move into the products that read their codes."""
    if graph.tokens != 1:
        return graph
    fused = Graph(graph.name, graph.tokens)
    producers = {node.outputs[0]: node for node in graph.nodes if isinstance(node.op, QuantizeNorm)}
    kept = {codes for codes in producers if not all(_takes_norm(n, caps) for n in graph.consumers(codes))}
    for node in graph.nodes:
        if isinstance(node.op, QuantizeNorm) and node.outputs[0] not in kept:
            continue
        source = producers.get(node.inputs[0])
        if source is None or node.inputs[0] in kept:
            fused.nodes.append(node)
        else:
            fused.nodes.append(_normed(source, node))
    return fused


def _takes_norm(node: Node, caps: Caps) -> bool:
    return isinstance(node.op, TernaryProduct) and fits_matvec(node.op, caps)


def _normed(norm: Node, product: Node) -> Node:
    assert isinstance(norm.op, QuantizeNorm) and isinstance(product.op, TernaryProduct)
    inputs = (*norm.inputs, *product.inputs[3:])
    return Node(NormedProduct(norm.op, product.op), inputs, product.outputs, product.label)
