"""Ternary products in tiles, as a GPU gets them, wherever tests run: every shape gives the bits of the reference."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import wgpu
from made_models import MadeModel, add_ternary
from op_runs import OpRun, drawn, given, result

from tritmark.engine.graph import Graph, Node
from tritmark.engine.ops.choice import spelled
from tritmark.engine.ops.quantize import FINE, Quantize
from tritmark.engine.ops.quantize_norm import QuantizeNorm
from tritmark.engine.ops.ternary_product import TernaryProduct, TransposedProduct
from tritmark.engine.ops.tiles import WORD_QUADS, column_tiles, tiles
from tritmark.engine.plan import Caps
from tritmark.engine.steps import StepRow
from tritmark.engine.weights import Weight
from tritmark.engine.wgsl import KERNELS

FORMATS = ("tq1_0", "tq2_0")
M = 75  # no multiple of a tile, nor of eight
ROWS = [StepRow("op", 0, count, 0) for count in (1, 33, M)]
LEAST = {"maxComputeWorkgroupStorageSize": 16384, "maxComputeInvocationsPerWorkgroup": 256}  # what any device has
# Format, shape (rows, columns), scales, activation, limbs.
CASES = {
    "rows of no whole tile": ("tq1_0", (70, 512), "row", None, 1),
    "columns of no whole block": ("tq2_0", (132, 352), "outer", None, 1),
    "a gate": ("tq1_0", (100, 256), "row", "silu", 1),
    "another gate": ("tq2_0", (64, 256), "row", "relu2", 1),
    "scales of blocks": ("tq2_0", (70, 768), "block", None, 1),
    "a gate of scales of blocks": ("tq1_0", (40, 512), "block", "silu", 1),
    "limbs": ("tq2_0", (70, 512), "row", None, 3),
    "limbs of scales of blocks": ("tq1_0", (132, 512), "block", None, 3),
}


def as_discrete(gpu: Any, **changed: Any) -> Any:
    return replace(gpu, caps=replace(gpu.caps, kind="discrete", **changed))


@pytest.fixture(scope="module")
def least(gpu: Any) -> Any:
    """A GPU with the limits that every device has, and without the integer dot."""
    return as_discrete(gpu, limits={**gpu.caps.limits, **LEAST}, language_features=())


def made(shape: tuple[int, int], kind: str, scales: str, pair: bool = False) -> Weight:
    model, names = MadeModel("op"), ("gate", "up") if pair else ("w",)
    for name in names:
        add_ternary(model, np.random.default_rng(shape[0]), name, shape, scales)
    scaling = "block" if scales == "block" else "row"
    return Weight("w", model, tuple(f"{n}.weight" for n in names), kind, shape[0] * len(names), shape[1], pair, scaling)


def product_run(gpu: Any, case: str) -> OpRun:
    """A product into the right of a wider matrix, and one onto a residual where there is no gate."""
    kind, shape, scales, activation, limbs = CASES[case]
    weight, graph = made(shape, kind, scales, activation is not None), Graph("op", M)
    quantize = Quantize(limbs) if limbs > 1 else QuantizeNorm(1e-5)
    inputs = [given("x", M, shape[1])] + ([] if limbs > 1 else [given("n", shape[1])])
    codes = graph.add(quantize, inputs, "quantize")
    wide = result("wide", M, shape[0] + 5)
    graph.add(TernaryProduct(weight, activation, shape[0] + 5, 5, limbs), codes, "beside", [wide])
    residual = [] if activation else [given("r", M, shape[0])]
    op = TernaryProduct(weight, activation, limbs=limbs)
    graph.add(op, [*codes, *residual], "onto", [result("y", M, shape[0])])
    return OpRun(gpu, graph, ROWS, {"w": weight})


def product_data(case: str) -> dict[str, Any]:
    (rows, cols), random = CASES[case][1], np.random.default_rng(7)
    return {"x": drawn(random, "mixed", (M, cols)), "n": drawn(random, "normal", (cols,)),
            "r": drawn(random, "normal", (M, rows))}  # fmt: skip


def wrong(run: OpRun, data: dict[str, Any]) -> list[str]:
    """Values that differ from the reference in any step."""
    try:
        return [name for step in range(len(ROWS)) for name in run.differing(step, data)]
    finally:
        run.session.close()


@pytest.mark.parametrize("case", CASES)
def test_tiled_products(gpu: Any, case: str) -> None:
    assert wrong(product_run(as_discrete(gpu), case), product_data(case)) == []


@pytest.mark.parametrize("case", ["columns of no whole block", "a gate", "limbs of scales of blocks"])
def test_tiled_products_on_the_least_device(least: Any, case: str) -> None:
    assert wrong(product_run(least, case), product_data(case)) == []


def transposed_run(gpu: Any, kind: str, shape: tuple[int, int], scales: str) -> OpRun:
    weight, graph = made(shape, kind, scales), Graph("op", M)
    codes = graph.add(Quantize(FINE, weight), [given("g", M, shape[0])], "quantize")
    graph.add(TransposedProduct(weight), codes, "fresh", [result("y", M, shape[1])])
    total = result("total", M, shape[1])
    graph.add(TransposedProduct(weight), [*codes, total], "added", [total])
    return OpRun(gpu, graph, ROWS, {"w": weight})


@pytest.mark.parametrize(
    ("kind", "shape", "scales", "device"),
    [
        ("tq1_0", (70, 512), "row", "usual"),
        ("tq2_0", (33, 512), "block", "usual"),
        ("tq2_0", (132, 354), "outer", "usual"),
        ("tq1_0", (33, 354), "row", "least"),
    ],
)
def test_tiled_transposed_products(
    gpu: Any, least: Any, kind: str, shape: tuple[int, int], scales: str, device: str
) -> None:
    random = np.random.default_rng(3)
    data = {"g": drawn(random, "mixed", (M, shape[0])), "total": drawn(random, "normal", (M, shape[1]))}
    assert wrong(transposed_run(as_discrete(gpu) if device == "usual" else least, kind, shape, scales), data) == []


def test_other_tiles_give_the_same_bits(gpu: Any) -> None:
    """Some of those that a tuner compares."""
    case, caps = "rows of no whole tile", as_discrete(gpu).caps
    product = TernaryProduct(made(CASES[case][1], CASES[case][0], "row"))
    choice = product.choice(Node(product, (given("q"), given("scale", M)), (), ""), caps)
    for shape in choice.shapes[1::3]:
        assert wrong(product_run(as_discrete(gpu, tuned={choice.key: shape}), case), product_data(case)) == [], shape


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("bytes_", [16384, 32768, 49152])
@pytest.mark.parametrize("threads", [256, 1024])
def test_shapes_keep_to_the_limits_of_a_device(kind: str, bytes_: int, threads: int) -> None:
    limits = {"maxComputeWorkgroupStorageSize": bytes_, "maxComputeInvocationsPerWorkgroup": threads}
    caps = Caps(adapter="", backend="", kind="integrated", driver="", dialect="tint", features=(),
                language_features=(), limits=limits)  # fmt: skip
    for step, floats, tokens in ((1, False, 512), (2, False, 512), (2, True, 8), (1, True, 2)):
        found = tiles(6144, tokens, kind, step, floats, caps)
        assert found and len(set(map(spelled, found))) == len(found)
        for tile in found:
            assert tile.threads <= threads and tile.vectors(WORD_QUADS[kind]) * 16 <= bytes_
    columns = column_tiles(8, 128, FINE, caps)
    assert columns and all(t.threads <= threads and t.vectors(FINE) * 16 <= bytes_ for t in columns)


BYTES = """
#include "unpack"
@group(0) @binding(0) var<storage, read_write> y: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) at: vec3<u32>) {
    let words = vec4<u32>(at.x, at.x << 8u, (255u - at.x) << 16u, (at.x << 24u) | at.x) ^ vec4<u32>(at.x * 0x00010100u);
    let together = quads_of(words);
    var equal = 1u;
    for (var i = 0u; i < 4u; i++) {
        var state = opened(words[i]);
        for (var l = 0u; l < QUADS; l++) {
            let next = shown(state);
            if (quad_of(next) != together[l][i]) { equal = 0u; }
            if (quads_in(words, place(l))[i] != together[l][i]) { equal = 0u; }
            state = rest_of(next);
        }
    }
    y[at.x] = equal;
}
"""


@pytest.mark.parametrize("kind", FORMATS)
def test_words_unpack_alike_whichever_way(gpu: Any, kind: str) -> None:
    """All quads of a word at once, one after another, and one alone, for every byte in every place."""
    place = {"tq1_0": "array<u32, 5>(1u, 3u, 9u, 27u, 81u)[l]", "tq2_0": "2u * l"}[kind]
    library = (KERNELS / f"lib/unpack_{kind}.wgsl").read_text()
    text = BYTES.replace('#include "unpack"', f"const QUADS: u32 = {WORD_QUADS[kind]}u;\n{library}")
    shader = gpu.device.create_shader_module(code=text.replace("place(l)", place))
    buffer = gpu.device.create_buffer(size=1024, usage=wgpu.BufferUsage.STORAGE | wgpu.BufferUsage.COPY_SRC)
    compute = {"module": shader, "entry_point": "main"}
    pipeline = gpu.device.create_compute_pipeline(layout="auto", compute=compute)
    group = gpu.device.create_bind_group(
        layout=pipeline.get_bind_group_layout(0), entries=[{"binding": 0, "resource": {"buffer": buffer}}]
    )
    encoder = gpu.device.create_command_encoder()
    work = encoder.begin_compute_pass()
    work.set_pipeline(pipeline)
    work.set_bind_group(0, group)
    work.dispatch_workgroups(4)
    work.end()
    gpu.device.queue.submit([encoder.finish()])
    assert np.frombuffer(gpu.device.queue.read_buffer(buffer), np.uint32).all()
