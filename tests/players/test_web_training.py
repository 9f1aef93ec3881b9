"""Training in a real browser: the adapter that NumPy computes, byte for byte, also after a resumed half."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from browser_runs import page
from training_runs import course, random_batches, spot

from tritmark.bench import checkpoint
from tritmark.bench.inquire import read
from tritmark.devices.base import Bundle
from tritmark.devices.browser.session import BrowserSession
from tritmark.engine.formats.model import open_model
from tritmark.engine.inference import Compiled, parse_format
from tritmark.engine.models.lora import Lora
from tritmark.engine.training import compile_lora, slot_of, step_rows

MODEL = "synthetic:tiny"
STATE = ("parameters", "moments.1", "moments.2", "losses", "norms", "held_out")


@pytest.fixture(scope="module")
def session() -> Iterator[BrowserSession]:
    with page() as opened:
        yield opened.session


def compiled(session: BrowserSession, resumed: str | None = None) -> Compiled:
    batches, lora = random_batches(2, 20, 512), Lora(rank=2, dropout=0.1)
    return compile_lora(
        open_model(MODEL), parse_format("tq1_0"), lora, batches, course([[0], [1]]), session.caps, resumed=resumed
    )


def test_a_browser_trains_the_adapter_of_every_other_device(session: BrowserSession, tmp_path: Path) -> None:
    made = compiled(session)
    reference = spot(made, open_model(MODEL), "tq1_0")
    reference.reference.play(made.rows)
    expected = {name: hashlib.sha256(reference.array(name).tobytes()).hexdigest() for name in STATE}
    _, steps = step_rows(made.rows)
    session.load(Bundle(plan=made.plan, model=MODEL, format="tq1_0"))
    session.play(0, steps[0].stop)
    state = {name: np.frombuffer(read(session, slot_of(name), made.plan.slot_by_id[slot_of(name)].bytes), "<f4")
             for name in STATE}  # fmt: skip
    trace = session.play(steps[1].start, steps[1].stop)
    assert trace.digests["adapter"] == expected["parameters"] and trace.digests["losses"] == expected["losses"]
    kept = checkpoint.read(checkpoint.save(tmp_path, 1, {}, state))
    resumed = compiled(session, kept.sha256)
    session.load(Bundle(plan=resumed.plan, model=MODEL, format="tq1_0", files={"state": str(kept.path)}))
    trace = session.play(steps[1].start, steps[1].stop)
    assert trace.digests["adapter"] == expected["parameters"] and trace.digests["losses"] == expected["losses"]
