"""How long the engine's pieces take: ternary products, a decode step, a training step, compiling a large Plan."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from made_models import MadeModel, add_ternary
from op_runs import OpRun, given, result
from training_runs import course, random_batches

from tritmark.engine.formats.model import open_model
from tritmark.engine.graph import Graph
from tritmark.engine.inference import Workload, compile_workload, parse_format
from tritmark.engine.models.lora import Lora
from tritmark.engine.models.source import Source
from tritmark.engine.ops.quantize import FINE, Quantize
from tritmark.engine.ops.quantize_norm import QuantizeNorm
from tritmark.engine.ops.ternary_product import TernaryProduct, TransposedProduct
from tritmark.engine.players.wgpu_player import load
from tritmark.engine.steps import StepRow
from tritmark.engine.training import compile_lora
from tritmark.engine.weights import Weight

SIDE = 1024  # of the square matrix: 1 Mi weights
REPEATS = 20  # launches in a play, so that submission weighs little
FORMATS = ("tq1_0", "tq2_0")


def products(gpu: Any, resident: str, tokens: int) -> OpRun:
    """A run of REPEATS steps of norm, quantisation and product of ``tokens`` tokens; fused for one."""
    model = MadeModel("bench")
    add_ternary(model, np.random.default_rng(1), "w", (SIDE, SIDE))
    weight = Weight("w", model, ("w.weight",), resident, SIDE, SIDE)
    graph = Graph("op", tokens)
    codes = graph.add(QuantizeNorm(1e-5), [given("x", tokens, SIDE), given("n", SIDE)], "norm")
    graph.add(TernaryProduct(weight), codes, "product", [result("y", tokens, SIDE)])
    return OpRun(gpu, graph, [StepRow("op", 0, tokens, 0)] * REPEATS, {"w": weight})


@pytest.mark.parametrize("resident", FORMATS)
def test_matvec(benchmark: Any, gpu: Any, resident: str) -> None:
    """Twenty fused launches on one token."""
    session = products(gpu, resident, 1).session
    benchmark.extra_info["weights"] = REPEATS * SIDE * SIDE
    benchmark.pedantic(session.play, rounds=5, warmup_rounds=1)
    session.close()


@pytest.mark.parametrize("resident", FORMATS)
def test_prefill_product(benchmark: Any, gpu: Any, resident: str) -> None:
    """Twenty launches on a chunk of 32 tokens."""
    session = products(gpu, resident, 32).session
    benchmark.extra_info["weights"] = REPEATS * SIDE * SIDE
    benchmark.pedantic(session.play, rounds=3, warmup_rounds=1)
    session.close()


@pytest.mark.parametrize("resident", FORMATS)
def test_decode_step(benchmark: Any, gpu: Any, resident: str) -> None:
    """One token of the tiny synthetic model, 12 tokens deep."""
    model = open_model("synthetic:tiny")
    compiled = compile_workload(model, parse_format(resident), Workload.parse("decode:4@12"), gpu.caps)
    session = load(gpu, compiled.plan, Source(model, resident))
    session.play()
    benchmark.pedantic(session.play, (compiled.first_decode, compiled.first_decode + 1), rounds=10, warmup_rounds=2)
    session.close()


def transposed(gpu: Any, resident: str, tokens: int) -> OpRun:
    """A run of REPEATS steps of quantising gradients and of the product that takes them back through a layer."""
    model = MadeModel("bench")
    add_ternary(model, np.random.default_rng(1), "w", (SIDE, SIDE))
    weight = Weight("w", model, ("w.weight",), resident, SIDE, SIDE)
    graph = Graph("op", tokens)
    codes = graph.add(Quantize(FINE, weight), [given("g", tokens, SIDE)], "quantize")
    graph.add(TransposedProduct(weight), codes, "product", [result("y", tokens, SIDE)])
    return OpRun(gpu, graph, [StepRow("op", 0, tokens, 0)] * REPEATS, {"w": weight})


@pytest.mark.parametrize("resident", FORMATS)
def test_transposed_product(benchmark: Any, gpu: Any, resident: str) -> None:
    """Twenty launches on 32 tokens' gradients."""
    session = transposed(gpu, resident, 32).session
    benchmark.extra_info["weights"] = REPEATS * SIDE * SIDE
    benchmark.pedantic(session.play, rounds=3, warmup_rounds=1)
    session.close()


@pytest.mark.parametrize("resident", FORMATS)
def test_training_step(benchmark: Any, gpu: Any, resident: str) -> None:
    """One LoRA step of the tiny synthetic model on 64 tokens: forward, backward and AdamW."""
    model = open_model("synthetic:tiny")
    batches = random_batches(1, 64, 512)
    made = compile_lora(model, parse_format(resident), Lora(), batches, course([[0]]), gpu.caps)
    session = load(gpu, made.plan, Source(model, resident))
    session.play()
    benchmark.pedantic(session.play, (1, 3), rounds=5, warmup_rounds=1)
    session.close()


def test_compiling_the_largest_model_takes_less_than_ten_seconds(benchmark: Any, gpu: Any) -> None:
    model, fmt = open_model("synthetic:13B"), parse_format("tq1_0")
    workload = Workload.parse("decode:128@512")
    benchmark.pedantic(compile_workload, (model, fmt, workload, gpu.caps), rounds=1)
    if benchmark.stats is not None:  # None where benchmarks are switched off
        assert benchmark.stats.stats.max < 10
