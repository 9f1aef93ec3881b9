"""Kernels without their barriers: the digests that guard every run must notice the race."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from made_models import Recipe, made_model
from training_runs import course, random_batches

from tritmark.engine.formats.blank import BlankModel
from tritmark.engine.inference import Sampling, compile_generation, parse_format
from tritmark.engine.models.config import Config
from tritmark.engine.models.lora import Lora
from tritmark.engine.models.source import Source
from tritmark.engine.plan import Plan
from tritmark.engine.players.wgpu_player import Session, load
from tritmark.engine.pretraining import compile_pretraining
from tritmark.engine.training import compile_lora

# Wide enough that workgroups have several subgroups on any hardware; within one no race need show.
MODEL = made_model(Recipe(embedding=2048, heads=32, feed_forward=2048, vocabulary=512))
SMALL = made_model(Recipe())
PROMPT = [(7 * i + 3) % 512 for i in range(150)]  # long enough for attention to have two chunks
RUNS = 5
BARRIER = "workgroupBarrier();"
# Kernels with barriers, by a line that only their text has.
KERNELS = {
    "quantize_norm": "act_sum[token] =",
    "rmsnorm": "let factor = vec4<f32>(norm_factor",
    "ternary_matvec": "code_part[thread] = sum",
    "ternary_matvec_cpu": "fn row_value(first: u32",
    "dense_product": "block_sum[",
    "attend": "y[(token * HEADS + head) * WORDS + thread]",
    "attend_tiled": "fn score_tile(",
    "attend_split": "partials[at + 1u + thread]",
    "attend_token": "fn put_fresh(",
    "argmax": "winner.id",
    "sample": "fn choose_digit",
}
TRAINING_KERNELS = {
    "quantize": "fn largest(",
    "ternary_transposed": "fn columns_of(",
    "rmsnorm_grad": "fn pulled(",
    "square_sums": "fn squared(",
    "gradient_norm": "norm_log[",
    "self_attend": "fn group_largest(",
    "self_attend_query_grad": "var<workgroup> slope",
    "self_attend_key_grad": "fn item_row(",
    "matmul_tiled": "let along = vec2<u32>(",
    "matmul_rows": "fn block_total(",
    "dense_matmul": "let term = quad +",
    "dense_transposed": "transpose(mat4x4",
    "cross_entropy": "fn top_of(",
    "loss_total": "history[step.draw] =",
}
TILED_KERNELS = {"ternary_tiled": "fn result_at(", "transposed_tiled": "fn columns_from("}  # of GPUs alone
PROCESSOR_KERNELS = {"ternary_transposed"}
PRETRAINING_KERNELS = {
    "abs_sums": "magnitudes + abs(",
    "column_tops": "tops[group.y * N + column] =",
    "quantize_columns": "fn largest(column",
    "weight_grad": "fn turned(",
    "ternarize": "fn mean_magnitude(",
    "token_order": "fn key_of(",
    "rmsnorm_factors": "factors[group.x] =",
    "rmsnorm_weight_sums": "fn quarter(",
}
# Those whose race an NVIDIA H200 shows every time; the others' subgroups happen to arrive together there.
RACING = {"quantize_norm", "rmsnorm", "ternary_matvec", "attend_token", "sample"}
# Kernels of one kind of device alone, which any device can play.
ONLY = {"ternary_matvec": "discrete", "attend_token": "discrete", "ternary_matvec_cpu": "cpu", "attend_split": "cpu"}


def plan_of(gpu: Any, kernel: str) -> Plan:
    """A run that contains ``kernel``."""
    sampling = Sampling(temperature=1.0, top_k=40, top_p=0.9) if kernel == "sample" else None
    caps = replace(gpu.caps, kind=ONLY.get(kernel, gpu.caps.kind))
    prompt = PROMPT[:5] if kernel == "attend" else PROMPT
    return compile_generation(MODEL, parse_format("tq2_0"), prompt, 3, caps, sampling=sampling).plan


def training_plan(gpu: Any) -> Plan:
    """A step that contains every kernel of training, tiled ones included."""
    batches = random_batches(1, 48, 70)
    return compile_lora(SMALL, parse_format("tq2_0"), Lora(), batches, course([[0]]), gpu.caps).plan


def tiled_plan(gpu: Any) -> Plan:
    """The same step as a GPU gets it."""
    return training_plan(replace(gpu, caps=replace(gpu.caps, kind="discrete")))


def without_barriers(plan: Plan, marks: Sequence[str]) -> Plan:
    """``plan`` with the barriers of some kernels taken out, hashed again so that players accept it."""
    renamed = {}
    for key, text in plan.modules.items():
        if any(mark in text for mark in marks):
            assert BARRIER in text
            changed = re.sub(r"workgroupUniformLoad\(&(\w+)\)", r"\1", text.replace(BARRIER, ""))
            renamed[key] = (hashlib.sha256(changed.encode()).hexdigest(), changed)
    assert all(any(mark in text for _, text in renamed.values()) for mark in marks), "a kernel is not in the plan"
    programs = {name: tuple(replace(d, module=renamed.get(d.module, (d.module,))[0]) for d in dispatches)
                for name, dispatches in plan.programs.items()}  # fmt: skip
    modules = dict(renamed.get(key, (key, text)) for key, text in plan.modules.items())
    return replace(plan, modules=modules, programs=programs)


def played(session: Session) -> Iterator[dict[str, str]]:
    """Digests of a few runs; a software GPU, which repeats itself, plays one."""
    try:
        for _ in range(1 if session.gpu.caps.kind == "cpu" else RUNS):
            yield dict(session.play().digests)
    finally:
        session.close()


def test_the_table_of_kernels_with_barriers_is_complete() -> None:
    from tritmark.engine.wgsl import KERNELS as FOLDER

    def text(path: str) -> str:
        own = (FOLDER / path).read_text()
        return own + "".join(text(inner) for inner in re.findall(r'#include "(lib/[^"]+)"', own))

    with_barriers = {path.stem for path in FOLDER.glob("*.wgsl") if BARRIER in text(path.name)}
    assert with_barriers == {*KERNELS, *TRAINING_KERNELS, *TILED_KERNELS, *PRETRAINING_KERNELS}


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_kernel_without_barriers_is_noticed(gpu: Any, kernel: str) -> None:
    """On a software GPU this checks only that the edited kernel runs: there one thread of the processor runs a
    workgroup's lanes in lockstep or one after another, in the same order every time, so a race need not show; only
    hardware that interleaves subgroups freely shows it.
    """
    plan = plan_of(gpu, kernel)
    edited = without_barriers(plan, [KERNELS[kernel]])
    assert edited.hash != plan.hash and edited.shader_hash != plan.shader_hash
    racing = list(played(load(gpu, edited, Source(MODEL, "tq2_0"))))
    assert all(found.keys() == {"tokens", "logits"} for found in racing)
    if gpu.caps.kind != "cpu" and kernel in RACING:
        exact = next(played(load(gpu, plan, Source(MODEL, "tq2_0"))))
        assert any(found != exact for found in racing)


def pretraining_plan(gpu: Any) -> Plan:
    """A step that learns all of a model."""
    config = Config("bitnet", 64, 96, 1, 4, 4, 70, 64, 1e-5, 10000.0, 1.0, "silu", True)
    return compile_pretraining(config, random_batches(1, 48, 70), course([[0]]), gpu.caps).plan


@pytest.mark.parametrize(
    ("plan_of_kind", "kernels", "model"),
    [
        (training_plan, TRAINING_KERNELS, SMALL),
        (tiled_plan, TILED_KERNELS, SMALL),
        (pretraining_plan, PRETRAINING_KERNELS, BlankModel()),
    ],
    ids=["training", "tiled", "pretraining"],
)
def test_training_without_barriers_is_noticed(gpu: Any, plan_of_kind: Any, kernels: dict[str, str], model: Any) -> None:
    """All kernels at once on a software GPU, as above; one at a time on hardware, where their sum must be noticed."""
    absent = set() if gpu.caps.kind == "cpu" else PROCESSOR_KERNELS
    plan, marks = plan_of_kind(gpu), [mark for name, mark in kernels.items() if name not in absent]
    edits = [marks] if gpu.caps.kind == "cpu" else [[mark] for mark in marks]
    exact = next(played(load(gpu, plan, Source(model, "tq2_0"))))
    noticed = [
        any(found != exact for found in played(load(gpu, without_barriers(plan, edit), Source(model, "tq2_0"))))
        for edit in edits
    ]
    assert gpu.caps.kind == "cpu" or any(noticed)
