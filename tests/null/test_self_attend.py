"""Attention for training: gradients against finite differences in float64, and what a token must not see."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import imagined_device
import numpy as np
import pytest
from engine_runs import Array, same_bits
from made_models import MadeModel
from op_runs import given
from slopes import Formula, slopes

from tritmark.engine.compile import Compiler
from tritmark.engine.errors import PlanError
from tritmark.engine.grad import backward
from tritmark.engine.graph import Graph, Value
from tritmark.engine.ops.rope import Rope
from tritmark.engine.ops.rope_cache import rope_table
from tritmark.engine.ops.self_attend import SelfAttend, SelfAttendKeyGrad, SelfAttendQueryGrad
from tritmark.engine.reference import Reference
from tritmark.engine.steps import StepRow
from tritmark.engine.weights import Image

M, HEADS, KV_HEADS, HEAD = 9, 4, 2, 8
WIDE, NARROW = (M, HEADS * HEAD), (M, KV_HEADS * HEAD)
DOCUMENTS = ((0, 5), (5, 6), (6, 9))
ROW = StepRow("op", 4, M, 0)
SPANS = np.zeros((ROW.position + M, 2), np.uint32)
for first, end in DOCUMENTS:
    SPANS[ROW.position + first : ROW.position + end] = first, end
TABLE = rope_table(M, HEAD, 100.0, 1.0)
ATTEND = SelfAttend(HEADS, KV_HEADS, HEAD, M)

q, k, v = given("q", *WIDE), given("k", *NARROW), given("v", *NARROW)
spans, table = given("spans", *SPANS.shape, dtype="u32"), given("table", *TABLE.shape)
Build = Callable[[Graph], Value]


def attended(graph: Graph) -> Value:
    y, _ = graph.add(ATTEND, [q, k, v, spans], "attend")
    return y


def attended_after_rotation(graph: Graph) -> Value:
    (turned_q,) = graph.add(Rope(HEAD), [q, table, spans], "rope q")
    (turned_k,) = graph.add(Rope(HEAD), [k, table, spans], "rope k")
    y, _ = graph.add(ATTEND, [turned_q, turned_k, v, spans], "attend")
    return y


def attended_to_itself(graph: Graph) -> Value:
    """Queries, keys and values are one: gradients of four paths meet in it."""
    (turned,) = graph.add(Rope(HEAD), [q, table, spans], "rope")
    y, _ = graph.add(SelfAttend(HEADS, HEADS, HEAD, M), [turned, q, turned, spans], "attend")
    return y


def attend64(q: Array, k: Array, v: Array) -> Array:
    """Attention in float64: q (M, H, D), k, v (M, HKV, D) -> (M, H D)."""
    shared = q.shape[1] // k.shape[1]
    rows = []
    for first, end in DOCUMENTS:
        for i in range(first, end):
            keys, values = (np.repeat(x[first : i + 1], shared, axis=1) for x in (k, v))
            scores = np.einsum("hd,jhd->hj", q[i], keys) / np.sqrt(HEAD)
            weights = np.exp(scores - scores.max(axis=1, keepdims=True))
            rows.append(np.einsum("hj,jhd->hd", weights / weights.sum(axis=1, keepdims=True), values))
    return np.stack(rows).reshape(len(q), -1)


def rope64(x: Array) -> Array:
    """Rotation in float64, as multiplication of complex numbers: (M, H, D) -> the same."""
    position = np.concatenate([np.arange(end - first) for first, end in DOCUMENTS])
    turn = np.exp(1j * position[:, None] * 100.0 ** (-np.arange(0, HEAD, 2) / HEAD))
    turned = (x[..., : HEAD // 2] + 1j * x[..., HEAD // 2 :]) * turn[:, None]
    return np.concatenate([turned.real, turned.imag], axis=-1)


def heads(x: Array) -> Array:
    return x.reshape(M, -1, HEAD)


FORMULAS: dict[Build, Formula] = {
    attended: lambda x: attend64(heads(x["q"]), heads(x["k"]), heads(x["v"])),
    attended_after_rotation: lambda x: attend64(rope64(heads(x["q"])), rope64(heads(x["k"])), heads(x["v"])),
    attended_to_itself: lambda x: attend64(rope64(heads(x["q"])), heads(x["q"]), rope64(heads(x["q"]))),
}


def drawn(scale: float = 1.0) -> dict[str, Array]:
    random = np.random.default_rng(5)
    return {x.id: (random.normal(0, scale, x.shape)).astype(np.float32) for x in (q, k, v, given("dy", *WIDE))}


def played(graph: Graph, data: Mapping[str, Array]) -> Reference:
    reference = Reference({"op": graph}, {**data, "spans": SPANS, "table": TABLE})
    reference.play([ROW])
    return reference


def gradients(build: Build, parameters: Sequence[Value], data: Mapping[str, Array]) -> dict[str, Array]:
    """What ``backward`` leaves for each parameter, with the gradient "dy" of what ``build`` returns."""
    graph = Graph("op", M)
    sums = {x: Value(f"d{x.id}", x.shape, "f32", "state") for x in parameters}
    y = build(graph)
    backward(graph, list(graph.nodes), {y: given("dy", *WIDE)}, sums)
    reference = played(graph, data)
    return {x.id: reference.arrays[total.id] for x, total in sums.items()}


@pytest.mark.parametrize("build", [attended, attended_after_rotation])
@pytest.mark.parametrize("scale", [0.3, 2.0])
def test_gradients_agree_with_finite_differences(build: Build, scale: float) -> None:
    data = drawn(scale)
    for name, found in gradients(build, [q, k, v], data).items():
        wanted = slopes(FORMULAS[build], name, data)
        assert np.abs(found - wanted).max() < 1e-4 * np.abs(wanted).max(), name


def test_gradients_that_meet_in_one_value_are_summed() -> None:
    data = drawn()
    found, wanted = gradients(attended_to_itself, [q], data)["q"], slopes(FORMULAS[attended_to_itself], "q", data)
    assert np.abs(found - wanted).max() < 1e-4 * np.abs(wanted).max()


def test_results_agree_with_the_formula_in_float64() -> None:
    data = drawn(2.0)
    for build, formula in FORMULAS.items():
        graph = Graph("op", M)
        y = build(graph)
        shown = Value("y", y.shape, "f32", "output")
        graph.add(Rope(HEAD), [y, table, spans], "shown", [shown])
        wanted = rope64(heads(formula({name: x.astype(np.float64) for name, x in data.items()}))).reshape(WIDE)
        assert np.abs(played(graph, data).arrays["y"] - wanted).max() < 1e-5


@pytest.mark.parametrize(("needed", "absent"), [(q, SelfAttendKeyGrad), (v, SelfAttendQueryGrad)])
def test_no_gradient_is_computed_that_no_parameter_needs(needed: Value, absent: type) -> None:
    graph = Graph("op", M)
    y, gradient = attended(graph), Value("d", needed.shape, "f32", "state")
    backward(graph, list(graph.nodes), {y: given("dy", *WIDE)}, {needed: gradient})
    kinds = {type(node.op) for node in graph.nodes}
    assert absent not in kinds and len(kinds & {SelfAttendQueryGrad, SelfAttendKeyGrad}) == 1


def forward(data: Mapping[str, Array]) -> Array:
    (y, _) = ATTEND.reference(ROW, (data["q"], data["k"], data["v"], SPANS))
    return y


def with_new(data: Mapping[str, Array], names: Sequence[str], tokens: slice) -> dict[str, Array]:
    """``data`` with other values for ``tokens`` of ``names``."""
    changed = {name: array.copy() for name, array in data.items()}
    for name in names:
        changed[name][tokens] = 7 - changed[name][tokens]
    return changed


@pytest.mark.parametrize("token", range(M))
def test_a_token_does_not_see_later_ones(token: int) -> None:
    data = drawn()
    changed = forward(with_new(data, "qkv", slice(token, M)))
    assert same_bits(changed[:token], forward(data)[:token])
    assert not np.any(changed[token] == forward(data)[token])


@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_token_attends_to_its_own_document_only(document: tuple[int, int]) -> None:
    data, own = drawn(), slice(*document)
    changed = forward(with_new(data, "qkv", own)) != forward(data)
    assert changed[own].all() and not np.delete(changed, np.r_[own], axis=0).any()


@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_gradient_comes_from_its_own_document_only(document: tuple[int, int]) -> None:
    data, own = drawn(), slice(*document)
    before = gradients(attended, [q, k, v], data)
    after = gradients(attended, [q, k, v], with_new(data, ["q", "k", "v", "dy"], own))
    for name in before:
        assert same_bits(*(np.delete(x[name], np.r_[own], axis=0) for x in (before, after))), name
    assert not same_bits(before["v"][own], after["v"][own])


def test_the_gradient_of_a_token_moves_only_what_it_saw() -> None:
    """The last token of the first document: its gradient reaches the document's tokens, and only its own query."""
    data = drawn()
    data["dy"][:] *= np.arange(M)[:, None] == 4
    found = {name: np.flatnonzero(x.any(axis=1)).tolist() for name, x in gradients(attended, [q, k, v], data).items()}
    assert found == {"q": [4], "k": [0, 1, 2, 3, 4], "v": [0, 1, 2, 3, 4]}


@pytest.mark.parametrize(("gap", "counts"), [(40.5, False), (39.5, True)])
def test_a_score_far_below_the_largest_weighs_nothing(gap: float, counts: bool) -> None:
    """Keys are 0 but for token 1, which its own query prefers to token 0 by ``gap``."""
    data = drawn()
    data["q"][:], data["k"][:] = 1, 0
    data["k"][1] = gap / HEAD**0.5
    data["dy"][:] *= np.arange(M)[:, None] == 1
    found = gradients(attended, [v], data)["v"]
    assert found[0].any() == counts and found[1].all()


def test_documents_whose_scores_do_not_fit_into_a_workgroup_are_refused_in_one_line() -> None:
    graph = Graph("op", M)
    long = SelfAttend(HEADS, KV_HEADS, HEAD, 8100)
    graph.add(long, [q, k, v, spans], "attend", [Value("y", WIDE), Value("stats", (M, HEADS, 2))])
    with pytest.raises(PlanError, match=r"attend: scores of 8,100 tokens need 32,\d+ bytes .* cut documents to 8,0\d+"):
        Compiler(imagined_device.CAPS, Image(MadeModel("op"), "op")).program(graph)
