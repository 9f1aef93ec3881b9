"""Training runs in NumPy: against a trainer with automatic differentiation, and against what trainers get wrong."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from engine_runs import Array
from imagined_device import CAPS
from training_runs import GOLDEN, Spot, course, golden_batches, load_adapter, random_batches, spot

from tritmark.engine.errors import PlanError
from tritmark.engine.formats.model import open_model
from tritmark.engine.inference import parse_format
from tritmark.engine.models.lora import Lora
from tritmark.engine.ops.cross_entropy import CrossEntropy
from tritmark.engine.ops.matmul import MatMul
from tritmark.engine.ops.ternary_product import TransposedProduct
from tritmark.engine.training import UNLABELLED, Compiled, MicroBatches, Optimiser, compile_lora, step_rows

needs_golden = pytest.mark.skipif(not (GOLDEN / "train_golden.npz").exists(), reason="no golden files beside checkout")
TINY = "synthetic:tiny"
TQ2 = parse_format("tq2_0")


def compiled(
    batches: MicroBatches, steps: Sequence[Sequence[int]], lora: Lora | None = None, **options: Any
) -> Compiled:
    model = open_model(options.pop("model", TINY))
    evaluated = options.pop("evaluated", ())
    return compile_lora(
        model, TQ2, lora or Lora(rank=4), batches, course(steps, evaluated=evaluated), CAPS, **options
    )


def run(*arguments: Any, **options: Any) -> Spot:
    """The whole run, played."""
    model = open_model(options.get("model", TINY))
    made = compiled(*arguments, **options)
    played = spot(made, model, "tq2_0")
    played.reference.play(made.rows)
    return played


@cache
def golden() -> tuple[Any, Any]:
    return np.load(GOLDEN / "train_golden.npz"), json.loads((GOLDEN / "train_golden.json").read_text())


def golden_run(masked: bool = True, steps: int = 9) -> tuple[Spot, Compiled]:
    """The golden run with its adapter loaded and nothing learnt yet."""
    model = open_model(str(GOLDEN / "tiny-llama.tq2_0.gguf"))
    made = compile_lora(
        model, TQ2, Lora(rank=4, alpha=8.0), golden_batches(golden()[0], masked),
        course([[i % 3] for i in range(steps)]), CAPS, optimiser=Optimiser(clip=None), fine=True,
    )  # fmt: skip
    played = spot(made, model, "tq2_0")
    played.reference.play(made.rows[:1])
    load_adapter(played, GOLDEN / "adapter-random-llama.gguf")
    return played, made


@needs_golden
@pytest.mark.parametrize(("masked", "tag"), [(True, "masked"), (False, "all")])
def test_loss_and_every_gradient_are_those_of_automatic_differentiation(masked: bool, tag: str) -> None:
    data, meta = golden()
    played, made = golden_run(masked, steps=1)
    played.reference.play(made.rows[1:2])
    assert abs(played.array("losses")[0] / meta[f"loss_{tag}"] - 1) < 1e-6
    for name in (name for name in data.files if name.startswith(f"grad_{tag}/")):
        found = played.array(name.replace(f"grad_{tag}/", "gradients."))
        assert np.abs(found - data[name]).max() < 2e-5 * np.abs(data[name]).max(), name


@needs_golden
def test_nine_optimiser_steps_give_the_losses_and_weights_of_the_golden_run() -> None:
    """Gradients that are never cleared, or a first sample that is skipped, give other losses (both are recorded)."""
    data, meta = golden()
    played, made = golden_run()
    played.reference.play(made.rows[1:])
    expected = np.array(meta["adamw_fresh"]["losses_before_each_step"])
    assert np.abs(played.array("losses") / expected - 1).max() < 1e-6
    running_sum = np.array(meta["adamw_running_sum_like_fabric"]["losses_before_each_step"])
    assert np.abs(played.array("losses") / running_sum - 1).max() > 1e-2
    for name in (name for name in data.files if name.startswith("adamw_fresh_after9/")):
        found = played.array(name.replace("adamw_fresh_after9/", "parameters."))
        assert np.abs(found - data[name]).max() < 2e-5, name


STEPS = [[0], [1, 2], [0, 1, 2], [2]]


def everything(played: Spot) -> dict[str, bytes]:
    names = ("parameters", "moments.1", "moments.2", "losses", "norms", "held_out")
    return {name: played.array(name).tobytes() for name in names}


@cache
def plain() -> dict[str, bytes]:
    return everything(run(random_batches(4, 24, 512, held_out=1), STEPS, evaluated=(2, 4)))


@pytest.mark.parametrize("layers", [0, 1])
def test_recomputing_layers_changes_no_bit(layers: int) -> None:
    batches = random_batches(4, 24, 512, held_out=1)
    assert everything(run(batches, STEPS, evaluated=(2, 4), recomputed=layers)) == plain()


def test_a_run_played_again_from_its_start_is_the_same() -> None:
    made = compiled(random_batches(4, 24, 512, held_out=1), STEPS, evaluated=(2, 4))
    played = spot(made, open_model(TINY), "tq2_0")
    played.reference.play(made.rows[:6])
    played.reference.play(made.rows)
    assert everything(played) == plain()


def test_every_micro_batch_of_a_course_is_learnt_from_the_first_included() -> None:
    batches = random_batches(3, 24, 512)
    rows = compiled(batches, STEPS).rows
    assert [row.position // 24 for row in rows if row.program == "train"] == [0, 1, 2, 0, 1, 2, 2]
    opening, steps = step_rows(rows)
    assert (len(opening), [len(each) for each in steps]) == (1, [2, 3, 4, 2])


def test_gradients_are_cleared_after_each_update() -> None:
    assert not run(random_batches(3, 24, 512), STEPS).array("gradients").any()


def test_accumulated_micro_batches_give_the_gradient_of_their_mean_loss() -> None:
    """The mean over all supervised tokens of the step, not the mean of means."""
    batches = random_batches(2, 24, 512)
    batches.labels[1, 12:] = 0xFFFFFFFF
    made = compiled(batches, [[0, 1]], recomputed=0)
    both = spot(made, open_model(TINY), "tq2_0")
    both.reference.play(made.rows[:3])
    parts = []
    for index in (0, 1):
        alone = compiled(batches, [[index]], recomputed=0)
        part = spot(alone, open_model(TINY), "tq2_0")
        part.reference.play(alone.rows[:2])
        parts.append(part.array("gradients") * batches.supervised([index]) / batches.supervised([0, 1]))
    expected = parts[0] + parts[1]
    assert np.abs(both.array("gradients") - expected).max() < 1e-5 * np.abs(expected).max()


def first_numbers(seed: int) -> dict[str, Array]:
    lora = Lora(rank=4, seed=seed)
    made = compiled(random_batches(1, 8, 512), [[0]], lora)
    played = spot(made, open_model(TINY), "tq2_0")
    played.reference.play(made.rows[:1])
    names = [name for name in played.values if name.startswith("parameters.")]
    return {name: played.array(name).copy() for name in names}


def test_each_lora_a_starts_with_numbers_of_its_own_and_lora_b_with_zeros() -> None:
    numbers = first_numbers(42)
    starts = [array.reshape(-1)[:8].tobytes() for name, array in numbers.items() if name.endswith("lora_a")]
    assert len(set(starts)) == len(starts) == 14
    assert not any(array.any() for name, array in numbers.items() if name.endswith("lora_b"))
    assert all(0.9 < np.abs(a).max() * a.shape[1] ** 0.5 <= 1 for name, a in numbers.items() if name.endswith("lora_a"))


def test_the_seed_decides_the_first_numbers() -> None:
    assert first_numbers(42).keys() == first_numbers(43).keys()
    name = "parameters.blk.0.attn_q.weight.lora_a"
    assert (first_numbers(42)[name] == first_numbers(42)[name]).all()
    assert not (first_numbers(42)[name] == first_numbers(43)[name]).any()


def losses_of(batches: MicroBatches) -> Array:
    return run(batches, [[0]]).array("losses")


def test_what_follows_a_supervised_token_does_not_change_its_loss() -> None:
    """A lost causal mask, or documents that see one another, would."""
    batches = random_batches(1, 24, 512)
    batches.labels[:] = 0xFFFFFFFF
    batches.labels[0, 10] = 7
    before = losses_of(batches)
    batches.tokens[0, 11:] = 3
    batches.tokens[0, :8] = 5  # the document before this one
    assert losses_of(batches).tobytes() == before.tobytes()
    batches.tokens[0, 9] = 5
    assert losses_of(batches).tobytes() != before.tobytes()


def test_the_modules_asked_for_are_adapted_and_no_norm() -> None:
    made = compiled(random_batches(1, 8, 512), [[0]], Lora(rank=2, modules=("attn_q", "attn_o", "ffn_down")))
    names = {name for graph in made.graphs.values() for node in graph.nodes for name in (v.id for v in node.inputs)}
    adapted = {name.removeprefix("parameters.") for name in names if name.startswith("parameters.")}
    assert adapted == {f"blk.{layer}.{module}.weight.lora_{half}" for layer in (0, 1)
                       for module in ("attn_q", "attn_output", "ffn_down") for half in "ab"}  # fmt: skip


@pytest.mark.parametrize(
    ("lora", "says"),
    [
        ({"modules": ("attn_z",)}, "attn_z"),
        ({"modules": ()}, "none"),
        ({"modules": ("output",)}, "embedding"),
        ({"rank": 0}, "rank 0"),
        ({"dropout": 1.0}, "dropout"),
    ],
)
def test_an_adapter_that_cannot_be_is_refused(lora: dict[str, Any], says: str) -> None:
    with pytest.raises(PlanError, match=says):
        compiled(random_batches(1, 8, 512), [[0]], Lora(**lora))


def test_tokens_of_another_vocabulary_are_refused() -> None:
    with pytest.raises(PlanError, match="another tokenizer"):
        compiled(random_batches(1, 8, 5000), [[0]])


def test_documents_beyond_the_models_context_are_refused() -> None:
    batches = random_batches(1, 3200, 512)
    with pytest.raises(PlanError, match="context of 2048"):
        compiled(batches, [[0]])


def slopes(batches: MicroBatches) -> tuple[float, float]:
    """The slope of the loss along the gradient, by the gradient and by a difference of two losses."""
    made = compiled(batches, [[0]], Lora(rank=4, alpha=8.0), model=TINY, fine=True, recomputed=0)
    played = spot(made, open_model(TINY), "tq2_0")
    played.reference.play(made.rows[:1])
    parameters, gradients = played.array("parameters"), played.array("gradients")
    parameters[:] += np.asarray(np.random.default_rng(3).normal(0, 0.05, parameters.shape), np.float32)
    played.reference.play(made.rows[1:2])
    size = float(np.linalg.norm(gradients.astype(np.float64)))
    at, direction, width = parameters.copy(), gradients / np.float32(max(size, 1e-9)), 2e-2
    losses = []
    for sign in (1, -1):
        parameters[:] = at + np.float32(sign * width) * direction
        played.reference.play(made.rows[1:2])
        losses.append(float(played.array("losses")[0]))
    return size, (losses[0] - losses[1]) / (2 * width)


def test_the_gradient_is_the_slope_of_the_loss() -> None:
    by_gradient, by_difference = slopes(random_batches(1, 24, 512))
    assert abs(by_gradient / by_difference - 1) < 0.01


def wrong_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    right = TransposedProduct.reference
    monkeypatch.setattr(TransposedProduct, "reference", lambda *a: tuple(-y for y in right(*a)))


def missing_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    right = MatMul.vjp
    monkeypatch.setattr(MatMul, "vjp", lambda op, *a: right(replace(op, scale=1.0), *a))


def dropped_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gradients of all tokens, the loss of the supervised ones."""
    right = CrossEntropy.reference

    def reference(op: Any, step: Any, inputs: Any) -> Any:
        losses = right(op, step, inputs)[0]
        labels = np.where(inputs[1] == UNLABELLED, 3, inputs[1])
        return losses, right(op, step, (inputs[0], labels))[1]

    monkeypatch.setattr(CrossEntropy, "reference", reference)


@pytest.mark.parametrize("mistake", [wrong_sign, missing_scale, dropped_mask])
def test_a_mistake_in_the_gradient_shows_in_the_slope(mistake: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    mistake(monkeypatch)
    by_gradient, by_difference = slopes(random_batches(1, 24, 512))
    assert abs(by_gradient / by_difference - 1) > 0.1


def test_training_lowers_the_loss_of_what_it_learns_from() -> None:
    losses = run(random_batches(1, 24, 512), [[0]] * 12).array("losses")
    assert losses[-1] < 0.7 * losses[0]
