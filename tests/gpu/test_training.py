"""Training on the GPU gives the adapter of the NumPy reference, byte for byte, however it is held, cut or resumed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_models import Recipe, made_model
from training_runs import course, random_batches, spot

from tritmark.bench import checkpoint
from tritmark.engine.formats.model import Model, open_model
from tritmark.engine.inference import Compiled, parse_format
from tritmark.engine.models.lora import Lora
from tritmark.engine.models.source import Source, open_files
from tritmark.engine.players.wgpu_player import Session, load
from tritmark.engine.training import compile_lora, slot_of, step_rows

LORA = Lora(rank=4, dropout=0.1)
BATCHES = random_batches(4, 20, 70, held_out=1)
STEPS = course([[0], [1, 2], [2]], evaluated=(0, 2))
STATE = ("parameters", "moments.1", "moments.2", "losses", "norms", "held_out")
FAMILIES = {
    "silu": Recipe(layers=2),
    "relu2, shared keys, scales a block": Recipe(
        layers=2, kv_heads=2, feed_forward=512, scales="block", architecture="bitnet-b1.58"
    ),
}


def compiled(gpu: Any, model: Model, kind: str = "tq2_0", **options: Any) -> Compiled:
    return compile_lora(model, parse_format(kind), LORA, BATCHES, STEPS, gpu.caps, **options)


def state(session: Session) -> dict[str, bytes]:
    return {name: session.read(slot_of(name)) for name in STATE}


def played(gpu: Any, model: Model, kind: str = "tq2_0", **options: Any) -> dict[str, bytes]:
    session = load(gpu, compiled(gpu, model, kind, **options).plan, Source(model, kind))
    try:
        session.play()
        return state(session)
    finally:
        session.close()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_run_gives_the_bytes_of_the_reference_in_both_formats(gpu: Any, family: str) -> None:
    model = made_model(FAMILIES[family])
    made = compiled(gpu, model)
    reference = spot(made, model, "tq2_0")
    reference.reference.play(made.rows)
    expected = {name: reference.array(name).tobytes() for name in STATE}
    assert played(gpu, model, "tq2_0") == expected
    assert played(gpu, model, "tq1_0", recomputed=0) == expected


def test_a_run_resumed_from_a_checkpoint_ends_as_if_it_had_never_stopped(gpu: Any, tmp_path: Path) -> None:
    model = open_model("synthetic:tiny")
    whole = compiled(gpu, model)
    _, steps = step_rows(whole.rows)
    session = load(gpu, whole.plan, Source(model, "tq2_0"))
    session.play(0, steps[1].stop)
    half = {name: np.frombuffer(data, "<f4") for name, data in state(session).items()}
    session.play(steps[2].start, steps[2].stop)
    expected = state(session)
    session.close()
    found = checkpoint.read(checkpoint.save(tmp_path, 2, {}, half))
    resumed = compiled(gpu, model, resumed=found.sha256)
    session = load(gpu, resumed.plan, Source(model, "tq2_0", open_files({"state": str(found.path)})))
    session.play(steps[2].start, steps[2].stop)
    assert state(session) == expected
    session.close()


def test_a_plan_announces_what_training_takes(gpu: Any) -> None:
    """Within 1 %, but for what reading back takes, which no plan holds."""
    model = made_model(FAMILIES["silu"])
    made = compiled(gpu, model)
    session = load(gpu, made.plan, Source(model, "tq2_0"))
    trace = session.play(0, 1)
    session.close()
    by_role = {role: size for role, size in trace.ledger.items() if role != "staging"}
    assert sum(by_role.values()) == pytest.approx(made.plan.peak_gpu_bytes, rel=0.01)


def test_what_is_not_finite_stops_at_the_optimiser(gpu: Any) -> None:
    """A NaN among the weights shows as a NaN loss and changes no parameter."""
    model = open_model("synthetic:tiny")
    made = compiled(gpu, model)
    session = load(gpu, made.plan, Source(model, "tq2_0"))
    session.play(0, 1)
    before = session.read(slot_of("parameters"))
    session.write("output_norm", np.array([np.nan], "<f4").tobytes())
    session.play(1, 3)
    assert np.isnan(np.frombuffer(session.read(slot_of("losses")), "<f4")[0])
    assert session.read(slot_of("parameters")) == before
    session.close()
