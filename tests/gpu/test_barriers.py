"""Kernels without their barriers: the digests that guard every run must notice the race."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from made_models import Recipe, made_model

from tritmark.engine.inference import Sampling, compile_generation, parse_format
from tritmark.engine.models.source import Source
from tritmark.engine.plan import Plan
from tritmark.engine.players.wgpu_player import Session, load

# Wide enough that workgroups have several subgroups on any hardware; within one no race need show.
MODEL = made_model(Recipe(embedding=2048, heads=32, feed_forward=2048, vocabulary=512))
PROMPT = [(7 * i + 3) % 512 for i in range(150)]  # long enough for attention to have two chunks
RUNS = 5
BARRIER = "workgroupBarrier();"
# Kernels with barriers, by a line that only their text has.
KERNELS = {
    "quantize_norm": "act_sum[token] =",
    "rmsnorm": "let factor = vec4<f32>(norm_factor",
    "ternary_matvec": "acts[quad] =",
    "dense_product": "block_sum[",
    "attend": "y[(token * HEADS + head) * WORDS + thread]",
    "attend_split": "partials[at + 1u + thread]",
    "argmax": "winner.id",
    "sample": "fn choose_digit",
}
# Those whose race an NVIDIA H200 shows every time; the others' subgroups happen to arrive together there.
RACING = {"quantize_norm", "rmsnorm", "ternary_matvec", "attend_split", "sample"}


def plan_of(gpu: Any, kernel: str) -> Plan:
    """A run that contains ``kernel``."""
    sampling = Sampling(temperature=1.0, top_k=40, top_p=0.9) if kernel == "sample" else None
    return compile_generation(MODEL, parse_format("tq2_0"), PROMPT, 3, gpu.caps, sampling=sampling).plan


def without_barriers(plan: Plan, kernel: str) -> Plan:
    """``plan`` with the barriers of ``kernel`` taken out, hashed again so that players accept it."""
    renamed = {}
    for key, text in plan.modules.items():
        if KERNELS[kernel] in text:
            assert BARRIER in text
            changed = re.sub(r"workgroupUniformLoad\(&(\w+)\)", r"\1", text.replace(BARRIER, ""))
            renamed[key] = (hashlib.sha256(changed.encode()).hexdigest(), changed)
    assert renamed, f"no module of the plan is {kernel}"
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

    assert {path.stem for path in FOLDER.glob("*.wgsl") if BARRIER in text(path.name)} == set(KERNELS)


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_kernel_without_barriers_is_noticed(gpu: Any, kernel: str) -> None:
    """On a software GPU this checks only that the edited kernel runs: there one thread of the processor runs a
    workgroup's lanes in lockstep or one after another, in the same order every time, so a race need not show; only
    hardware that interleaves subgroups freely shows it.
    """
    plan = plan_of(gpu, kernel)
    edited = without_barriers(plan, kernel)
    assert edited.hash != plan.hash and edited.shader_hash != plan.shader_hash
    racing = list(played(load(gpu, edited, Source(MODEL, "tq2_0"))))
    assert all(found.keys() == {"tokens", "logits"} for found in racing)
    if gpu.caps.kind != "cpu" and kernel in RACING:
        exact = next(played(load(gpu, plan, Source(MODEL, "tq2_0"))))
        assert any(found != exact for found in racing)
