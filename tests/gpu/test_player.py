"""The wgpu player: the same run gives the same digests, however it is cut, tiled, timed or limited."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from engine_runs import played_logits, reference_run, rewritten, same_bits, session
from made_models import Recipe, made_model

from tritmark.engine.conformance import golden_plan, probe_plan
from tritmark.engine.errors import PlanError, PlayerError
from tritmark.engine.formats.model import open_model
from tritmark.engine.inference import Compiled, Sampling, Workload, compile_generation, compile_workload, parse_format
from tritmark.engine.models.source import Source
from tritmark.engine.players.wgpu_player import load, open_gpu

MODEL = open_model("synthetic:tiny")
TQ2 = parse_format("tq2_0")
PROMPT = [(7 * i + 3) % 512 for i in range(19)]
DRAWN = Sampling(temperature=0.9, top_k=50, top_p=0.95, seed=5)


def generation(gpu: Any, chunk: int | None = None, sampling: Sampling | None = None, generate: int = 5) -> Compiled:
    return compile_generation(MODEL, TQ2, PROMPT, generate, gpu.caps, chunk=chunk, sampling=sampling)


def digests(gpu: Any, compiled: Compiled, model: Any = MODEL, resident: str = "tq2_0") -> dict[str, str]:
    with session(gpu, compiled, model, resident) as loaded:
        return dict(loaded.play().digests)


@pytest.fixture(scope="module")
def expected(gpu: Any) -> dict[str, str]:
    """Digests of ``generation``, from the reference."""
    reference = reference_run(generation(gpu), MODEL, "tq2_0")
    return {name: hashlib.sha256(reference.arrays[name].tobytes()).hexdigest() for name in ("tokens", "logits")}


def test_a_run_repeats_bit_for_bit_and_follows_the_reference(gpu: Any, expected: dict[str, str]) -> None:
    with session(gpu, generation(gpu), MODEL, "tq2_0") as loaded:
        for _ in range(3):
            assert loaded.play().digests == expected


@pytest.mark.parametrize("chunk", [4, 9])
def test_chunks_do_not_change_the_result(gpu: Any, expected: dict[str, str], chunk: int) -> None:
    assert digests(gpu, generation(gpu, chunk)) == expected


def test_steps_may_be_played_in_parts(gpu: Any, expected: dict[str, str]) -> None:
    with session(gpu, generation(gpu), MODEL, "tq2_0") as loaded:
        loaded.play(0, 2)
        assert loaded.play(2).digests == expected


def test_one_token_at_a_time_equals_a_chunk(gpu: Any) -> None:
    """Decoding runs fused kernels, prefill separate ones."""
    whole = generation(gpu, generate=0)
    stepped = compile_generation(MODEL, TQ2, PROMPT[:1], len(PROMPT) - 1, gpu.caps)
    with session(gpu, stepped, MODEL, "tq2_0") as loaded:
        for i, token in enumerate(PROMPT):
            loaded.write("tokens", np.array([token], "<u4").tobytes(), 4 * i)
            loaded.play(i, i + 1)
        fused = np.frombuffer(loaded.read("logits"), "<f4")
    assert same_bits(fused, played_logits(gpu, whole, MODEL, "tq2_0")[0])


def test_a_long_context_gives_the_same_bits_split_and_unsplit(gpu: Any) -> None:
    """Above 128 positions decode splits attention over workgroups; prefill walks the same chunks in one."""
    recipe = Recipe(kv_heads=2)
    model = made_model(recipe)
    tokens = np.random.default_rng(1).integers(0, recipe.vocabulary, 261).tolist()
    stepped = compile_generation(model, TQ2, tokens[:253], 8, gpu.caps)
    with session(gpu, stepped, model, "tq2_0") as loaded:
        loaded.play(0, stepped.first_decode)
        loaded.write("tokens", np.array(tokens[253:], "<u4").tobytes(), 4 * 253)
        for i in range(8):
            loaded.play(stepped.first_decode + i, stepped.first_decode + i + 1)
            loaded.write("tokens", np.array(tokens[253:], "<u4").tobytes(), 4 * 253)
        split = np.frombuffer(loaded.read("logits"), "<f4")
    whole = compile_generation(model, TQ2, tokens, 0, gpu.caps)
    assert same_bits(split, played_logits(gpu, whole, model, "tq2_0")[0])


def test_seeds_decide_the_draw(gpu: Any) -> None:
    drawn = [digests(gpu, generation(gpu, sampling=replace(DRAWN, seed=seed)))["tokens"] for seed in (5, 5, 6)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_drawn_tokens_follow_the_reference(gpu: Any) -> None:
    compiled = generation(gpu, sampling=DRAWN)
    reference = reference_run(compiled, MODEL, "tq2_0")
    with session(gpu, compiled, MODEL, "tq2_0") as loaded:
        loaded.play()
        assert loaded.read("tokens") == reference.arrays["tokens"].tobytes()


def test_the_forecast_of_memory_is_what_is_used(gpu: Any) -> None:
    compiled = compile_workload(MODEL, TQ2, Workload.parse("decode:16"), gpu.caps)
    with session(gpu, compiled, MODEL, "tq2_0") as loaded:
        loaded.play()
        peak, roles = loaded.ledger.peak_bytes, loaded.ledger.by_role()
    assert compiled.plan.peak_gpu_bytes <= peak <= compiled.plan.peak_gpu_bytes * 1.01
    assert roles == {role: size for role, size in compiled.plan.bytes_by_role().items() if size}


def test_closing_frees_every_buffer(gpu: Any) -> None:
    with session(gpu, generation(gpu), MODEL, "tq2_0") as loaded:
        assert loaded.ledger.live_bytes == loaded.plan.peak_gpu_bytes
    assert loaded.ledger.live_bytes == 0


def test_a_small_binding_limit_tiles_and_changes_nothing(gpu: Any) -> None:
    """The embedding of this model and its gate and up projections lie above 1 MiB."""
    model = made_model(Recipe(embedding=1024, heads=16, feed_forward=2560, vocabulary=700))
    small = open_gpu(gpu.caps.adapter, {"maxStorageBufferBindingSize": 1 << 20})
    untiled, tiled = (compile_generation(model, TQ2, PROMPT, 2, g.caps, chunk=8) for g in (gpu, small))
    assert digests(gpu, untiled, model) == digests(small, tiled, model)
    plan = tiled.plan
    ranged = {b.slot for ds in plan.programs.values() for d in ds for b in d.bindings if b.offset}
    assert {"token_embd", "blk.0.ffn_gate+ffn_up"} <= ranged
    bound = [b for ds in plan.programs.values() for d in ds for b in d.bindings if b.access != "uniform"]
    assert max(b.bytes for b in bound) <= 1 << 20


def test_decode_stays_within_eight_dispatches_a_layer_and_eight_storage_bindings(gpu: Any) -> None:
    for fmt in ("tq1_0", "tq2_0"):
        plan = compile_workload(MODEL, parse_format(fmt), Workload.parse("decode:200"), gpu.caps).plan
        for layer in range(MODEL.shape.layers):
            assert sum(d.label.startswith(f"blk.{layer}.") for d in plan.programs["decode"]) <= 8
        dispatches = [d for program in plan.programs.values() for d in program]
        assert max(sum(b.access != "uniform" for b in d.bindings) for d in dispatches) <= 8


def test_timestamps_come_for_every_step_or_dispatch(gpu: Any, expected: dict[str, str]) -> None:
    if "timestamp-query" not in gpu.caps.features:
        pytest.skip("this GPU has no timestamp-query")
    with session(gpu, generation(gpu), MODEL, "tq2_0") as loaded:
        traces = {timing: loaded.play(timing=timing) for timing in ("wall", "step", "dispatch")}
    plan = loaded.plan
    assert all(trace.digests == expected for trace in traces.values())
    assert [s.gpu_ns for s in traces["wall"].steps] == [None] * len(plan.steps)
    steps = traces["step"].steps
    assert [s.step for s in steps] == list(range(len(plan.steps)))
    ends = [s.end_ns or 0 for s in steps]
    assert ends == sorted(ends) and all(s.gpu_ns and s.gpu_ns > 0 for s in steps)
    launched = [(i, d.label) for i, step in enumerate(plan.steps) for d in plan.programs[step.program]]
    assert [(d.step, d.label) for d in traces["dispatch"].dispatches] == launched


@pytest.mark.parametrize(("first", "last"), [(0, 99), (-1, 2), (3, 3), (4, 2)])
def test_a_play_range_outside_the_plan_is_one_line(gpu: Any, first: int, last: int) -> None:
    with session(gpu, generation(gpu), MODEL, "tq2_0") as loaded, pytest.raises(PlayerError, match="outside") as caught:
        loaded.play(first, last)
    assert "\n" not in str(caught.value)


def test_an_unknown_timing_is_one_line(gpu: Any) -> None:
    with session(gpu, generation(gpu), MODEL, "tq2_0") as loaded, pytest.raises(PlayerError, match="use wall, step"):
        loaded.play(timing="cpu")


def test_a_shader_that_does_not_compile_is_one_line(gpu: Any) -> None:
    plan = rewritten(generation(gpu).plan, "fn main(", "fn main(what is this, ")
    with pytest.raises(PlayerError, match="does not compile") as caught:
        load(gpu, plan, Source(MODEL, "tq2_0"))
    assert "\n" not in str(caught.value)


def test_an_altered_shader_is_refused(gpu: Any) -> None:
    plan = generation(gpu).plan
    key = next(iter(plan.modules))
    with pytest.raises(PlanError, match="altered"):
        load(gpu, replace(plan, modules={**plan.modules, key: plan.modules[key] + "\n"}), Source(MODEL, "tq2_0"))


def test_weights_of_another_model_are_refused(gpu: Any) -> None:
    other = made_model(Recipe(vocabulary=512, layers=2))
    with pytest.raises(PlayerError, match="weight file holds"):
        load(gpu, generation(gpu).plan, Source(other, "tq2_0"))


def test_the_probe_finds_this_device_exact(gpu: Any) -> None:
    plan = probe_plan(gpu.caps)
    loaded = load(gpu, plan, Source(MODEL, "tq2_0"))
    assert loaded.play().digests == {p.name: p.expect for p in plan.probes}
    loaded.close()


@pytest.mark.parametrize("format", ["tq1_0", "tq2_0"])
def test_the_committed_digests_are_met(gpu: Any, format: str) -> None:
    plan = golden_plan(gpu.caps, format)
    loaded = load(gpu, plan, Source(MODEL, format))
    assert loaded.play().digests == {p.name: p.expect for p in plan.probes}
    loaded.close()
