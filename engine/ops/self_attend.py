"""Causal softmax attention for training: of a step's tokens to one another, with several documents in one step.

The definition of the result: dots are four interleaved sums over the head; sums over tokens are four interleaved runs
that begin at the first token summed, each in order. A score more than 40 below the largest weighs nothing: its weight
would be lost in f32, and its gradient would be denormal. Weights are computed again for the gradients, from each
query's largest score and its 1/sum: nothing of size tokens x tokens exists.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..errors import PlanError
from ..grad import Tape
from ..graph import Node, Value
from ..plan import Caps, Cost
from ..steps import StepRow
from . import exact
from .op import Array, Emitter, Shape

NEGLIGIBLE = -40
TILES = (4, 2, 1)  # queries, or keys, that a workgroup does at once, best first: they share loads; results are the same


@dataclass(frozen=True)
class _Heads:
    """Shapes that attention and its gradients share."""

    heads: int
    kv_heads: int
    head: int

    @property
    def shared(self) -> int:
        """Query heads that read one head of keys and values."""
        return self.heads // self.kv_heads

    @property
    def scale(self) -> np.float32:
        return exact.f32(self.head**-0.5)

    @property
    def threads(self) -> int:
        """Threads of a workgroup: one for each element of a head, at least 64."""
        return max(64, -(-self.head // 32) * 32)

    def constants(self, tile: int) -> dict[str, int | float | bool]:
        return {
            "HEADS": self.heads,
            "KV_HEADS": self.kv_heads,
            "D": self.head,
            "SCALE": self.head**-0.5,
            "WG": self.threads,
            "TILE": tile,
        }

    def rows(self, x: Array, count: int) -> Array:
        """The first ``count`` tokens of x (M, any heads of D) -> (count, heads, D)."""
        return x[:count].reshape(count, -1, self.head)

    def seen_rows(self, x: Array, seen: slice) -> Array:
        """Tokens ``seen`` of x (M, HKV D), each head once for every query head that reads it -> (n, H, D)."""
        return np.repeat(self.rows(x, len(x))[seen], self.shared, axis=1)

    def scores(self, query: Array, keys: Array) -> Array:
        """query (H, D), keys (n, H, D) -> (n, H)."""
        return _dots(query, keys) * self.scale


@dataclass(frozen=True)
class SelfAttend(_Heads):
    """(q (M, H D), k (M, HKV D), v (M, HKV D), spans (N, 2)) -> (y (M, H D), stats (M, H, 2)).

    Token i of a step has row step.position + i of ``spans``: first and end of its document, as tokens of the step. It
    attends to the tokens first..i. ``stats``: largest score and 1 / sum of e^(score - largest). ``longest``: most
    tokens of a document.
    """

    longest: int

    def shapes(self, inputs: tuple[Value, ...]) -> tuple[Shape, ...]:
        return (inputs[0].shape, "f32"), ((inputs[0].shape[0], self.heads, 2), "f32")

    def reference(self, step: StepRow, inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        q, k, v, spans = inputs
        y = np.zeros((step.count, self.heads, self.head), np.float32)
        stats = np.zeros((step.count, self.heads, 2), np.float32)
        for i, (first, _) in enumerate(_documents(step, spans)):
            seen = slice(first, i + 1)
            scores = self.scores(self.rows(q, step.count)[i], self.seen_rows(k, seen))
            top = scores.max(axis=0)
            weights = _weights(scores - top)
            inverse = exact.reciprocal(_summed(weights))
            y[i] = _summed(weights[..., None] * self.seen_rows(v, seen)) * inverse[:, None]
            stats[i] = np.stack([top, inverse], axis=1)
        return y.reshape(step.count, -1), stats

    def lower(self, node: Node, emit: Emitter) -> None:
        q, k, v, spans = node.inputs
        tile = self._tile(node.label, emit.caps)
        tokens = q.shape[0]
        emit.dispatch(
            "self_attend",
            {**self.constants(tile), "LONGEST": self.longest},
            {"q": q, "k": k, "v": v, "spans": spans, "y": node.outputs[0], "stats": node.outputs[1]},
            (self.heads, -(-tokens // tile), 1),
            node.label,
            Cost(bytes=2 * (q.bytes + k.bytes), operations=4 * _pairs(tokens, self.longest) * self.heads * self.head),
        )

    def _tile(self, label: str, caps: Caps) -> int:
        """Queries of a workgroup: as many as have room for their scores."""
        limit = caps.limit("maxComputeWorkgroupStorageSize")
        other = 4 * (self.threads + self.threads // 8) + 16 * self.head + 16
        for tile in TILES:
            if 4 * tile * (self.longest + tile - 1) + other <= limit:
                return tile
        raise PlanError(
            f"{label}: scores of {self.longest:,} tokens need {4 * self.longest + other:,} bytes of workgroup memory, "
            f"above maxComputeWorkgroupStorageSize {limit:,}; cut documents to {(limit - other) // 4:,} tokens"
        )

    def vjp(self, node: Node, gradients: tuple[Value | None, ...], tape: Tape) -> None:
        """``stats`` is for the gradients alone and passes none on."""
        q, k, v, spans = node.inputs
        y, stats = node.outputs
        dy = gradients[0]
        if dy is None:
            return
        label, shape = f"{node.label}.grad", (self.heads, self.kv_heads, self.head, self.longest)
        (terms,) = tape.graph.add(SelfAttendTerms(self.heads, self.head), [y, stats, dy], f"{label}.terms")
        inputs = [q, k, v, spans, terms, dy]
        if tape.needs(q):
            tape.add(q, SelfAttendQueryGrad(*shape), inputs, f"{label}.q")
        if tape.needs(k) or tape.needs(v):
            dk, dv = tape.graph.add(SelfAttendKeyGrad(*shape), inputs, f"{label}.kv")
            if tape.needs(k):
                tape.pass_on(k, dk, f"{label}.k")
            if tape.needs(v):
                tape.pass_on(v, dv, f"{label}.v")


@dataclass(frozen=True)
class SelfAttendTerms:
    """(y (M, H D), stats (M, H, 2), dy (M, H D)) -> (M, H, 4): largest score, 1 / sum, dy . y, 0.

    What the gradients need of a query in one buffer: with ``y`` and ``stats`` apart, those of keys would bind nine.
    """

    heads: int
    head: int

    def shapes(self, inputs: tuple[Value, ...]) -> tuple[Shape, ...]:
        return (((inputs[0].shape[0], self.heads, 4), "f32"),)

    def reference(self, step: StepRow, inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        y, dy = (x[: step.count].reshape(step.count, self.heads, self.head) for x in (inputs[0], inputs[2]))
        delta = _dots(dy, y)[..., None]
        return (np.concatenate([inputs[1][: step.count], delta, np.zeros_like(delta)], axis=2),)

    def lower(self, node: Node, emit: Emitter) -> None:
        y, stats, dy = node.inputs
        emit.dispatch(
            "self_attend_terms",
            {"HEADS": self.heads, "D": self.head},
            {"y": y, "stats": stats, "dy": dy, "terms": node.outputs[0]},
            (-(-self.heads // 64), "count", 1),
            node.label,
            Cost(bytes=y.bytes * 2, operations=y.elements * 2),
        )


@dataclass(frozen=True)
class _Grad(_Heads):
    """What the gradients share: (q, k, v, spans, terms (M, H, 4), dy (M, H D)) -> weights and gradients of scores."""

    longest: int

    def graded(self, step: StepRow, inputs: tuple[Array, ...]) -> Iterator[tuple[slice, Array, Array]]:
        """Of each query: the tokens that it sees, their weights (n, H), and the gradients of q . k (n, H)."""
        q, k, v, spans, terms, dy = inputs[:6]
        for i, (first, _) in enumerate(_documents(step, spans)):
            seen = slice(first, i + 1)
            top, inverse, delta = (terms[i, :, part] for part in range(3))
            scores = self.scores(self.rows(q, step.count)[i], self.seen_rows(k, seen))
            weights = _weights(scores - top, inverse)
            changes = _dots(self.rows(dy, step.count)[i], self.seen_rows(v, seen))
            yield seen, weights, weights * (changes - delta) * self.scale

    def buffers(self, node: Node) -> dict[str, object]:
        return dict(zip(("q", "k", "v", "spans", "terms", "dy"), node.inputs, strict=False))

    def cost(self, node: Node, products: int) -> Cost:
        """``products``: multiply-adds of a pair of tokens for each element of a head."""
        q, k = node.inputs[:2]
        pairs = _pairs(q.shape[0], self.longest)
        return Cost(bytes=3 * (q.bytes + k.bytes), operations=2 * products * pairs * self.heads * self.head)


@dataclass(frozen=True)
class SelfAttendQueryGrad(_Grad):
    """(q, k, v, spans, terms, dy [, total (M, H D)]) -> dq (M, H D) [added to ``total``, in place]."""

    def shapes(self, inputs: tuple[Value, ...]) -> tuple[Shape, ...]:
        return ((inputs[0].shape, "f32"),)

    def reference(self, step: StepRow, inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        rows = [_summed(d[..., None] * self.seen_rows(inputs[1], s)) for s, _, d in self.graded(step, inputs)]
        dq = np.stack(rows).reshape(step.count, -1)
        return (inputs[6][: step.count] + dq if len(inputs) > 6 else dq,)

    def lower(self, node: Node, emit: Emitter) -> None:
        emit.dispatch(
            "self_attend_query_grad",
            {**self.constants(TILES[0]), "ADD": len(node.inputs) > 6},
            {**self.buffers(node), "dq": node.outputs[0]},
            (self.heads, -(-node.inputs[0].shape[0] // TILES[0]), 1),
            node.label,
            self.cost(node, products=3),
        )


@dataclass(frozen=True)
class SelfAttendKeyGrad(_Grad):
    """(q, k, v, spans, terms, dy) -> (dk, dv), both (M, HKV D).

    A key sums over the queries that see it and, within a query, over the heads that share it: runs are of these pairs.
    """

    def shapes(self, inputs: tuple[Value, ...]) -> tuple[Shape, ...]:
        return (inputs[1].shape, "f32"), (inputs[2].shape, "f32")

    def reference(self, step: StepRow, inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        weights = np.zeros((step.count, step.count, self.heads, 1), np.float32)  # query, key
        slopes = np.zeros_like(weights)
        for i, (seen, weight, slope) in enumerate(self.graded(step, inputs)):
            weights[i, seen, :, 0], slopes[i, seen, :, 0] = weight, slope
        q, dy = self.rows(inputs[0], step.count), self.rows(inputs[5], step.count)
        dk, dv = np.zeros((2, step.count, self.kv_heads, self.head), np.float32)
        for j, (_, end) in enumerate(_documents(step, inputs[3])):
            dk[j] = self._over_heads(slopes[j:end, j] * q[j:end])
            dv[j] = self._over_heads(weights[j:end, j] * dy[j:end])
        return dk.reshape(step.count, -1), dv.reshape(step.count, -1)

    def _over_heads(self, parts: Array) -> Array:
        """parts (n, H, D) -> (HKV, D)."""
        split = parts.reshape(len(parts), self.kv_heads, self.shared, self.head)
        return _summed(split.transpose(0, 2, 1, 3).reshape(-1, self.kv_heads, self.head))

    def lower(self, node: Node, emit: Emitter) -> None:
        emit.dispatch(
            "self_attend_key_grad",
            self.constants(TILES[0]),
            {**self.buffers(node), "dk": node.outputs[0], "dv": node.outputs[1]},
            (self.kv_heads, -(-node.inputs[0].shape[0] // TILES[0]), 1),
            node.label,
            self.cost(node, products=4),
        )


def _documents(step: StepRow, spans: Array) -> list[tuple[int, int]]:
    """First and end of the document of each of the step's tokens."""
    rows: list[tuple[int, int]] = spans[step.position : step.position + step.count].tolist()
    return rows


def _pairs(tokens: int, longest: int) -> int:
    """Pairs of query and key, where documents are as long as they may be."""
    return tokens * (min(tokens, longest) + 1) // 2


def _weights(shifted: Array, factor: Array | None = None) -> Array:
    """e^shifted [times ``factor``], or zero where that is negligible."""
    weights = exact.exponential(shifted)
    return np.where(shifted >= NEGLIGIBLE, weights if factor is None else weights * factor, exact.f32(0))


def _dots(a: Array, b: Array) -> Array:
    """Dots over the last axis, in four interleaved sums that begin at 0 (so that none is -0)."""
    products = a * b
    return exact.sum4(exact.in_order(products.reshape(*products.shape[:-1], -1, 4), axis=-2) + exact.f32(0))


def _summed(parts: Array) -> Array:
    """Sum over the first axis, in four interleaved runs that begin at 0."""
    padded = np.concatenate([parts, np.zeros((-len(parts) % 4, *parts.shape[1:]), np.float32)])
    runs = exact.in_order(padded.reshape(-1, 4, *parts.shape[1:]), axis=0) + exact.f32(0)
    return exact.sum4(np.moveaxis(runs, 0, -1))
