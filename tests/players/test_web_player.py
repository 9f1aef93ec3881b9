"""The web player in a real browser: the digests of every other player, and every failure told in one line."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from browser_runs import page
from engine_runs import reference_run, rewritten

from tritmark.devices.base import Bundle, DeviceError
from tritmark.devices.browser.session import BrowserSession
from tritmark.engine.conformance import golden_compiled, golden_plan, probe_plan
from tritmark.engine.formats.model import open_model
from tritmark.engine.inference import Compiled
from tritmark.engine.plan import Plan

MODEL = "synthetic:tiny"


@pytest.fixture(scope="module")
def session() -> Iterator[BrowserSession]:
    with page() as opened:
        yield opened.session


@pytest.fixture(scope="module")
def compiled(session: BrowserSession) -> Compiled:
    """A generation, loaded in the page."""
    made = golden_compiled(session.caps, "tq2_0")
    session.load(bundle(made.plan))
    return made


def bundle(plan: Plan, format: str = "tq2_0") -> Bundle:
    return Bundle(plan=plan, model=MODEL, format=format)


def test_the_page_tells_all_that_a_compiler_asks_of_caps(session: BrowserSession) -> None:
    assert session.caps.dialect == "tint" and session.caps.backend.startswith("WebGPU")
    assert session.caps.limit("maxStorageBufferBindingSize") >= 128 << 20
    assert "packed_4x8_integer_dot_product" in session.caps.language_features


def test_the_arithmetic_is_exact(session: BrowserSession) -> None:
    plan = probe_plan(session.caps)
    session.load(bundle(plan))
    assert session.play(0, 1).digests["arithmetic"] == plan.probes[0].expect


@pytest.mark.parametrize("format", ["tq1_0", "tq2_0"])
def test_a_model_gives_the_digests_of_every_other_device(session: BrowserSession, format: str) -> None:
    plan = golden_plan(session.caps, format)
    loaded = session.load(bundle(plan, format))
    trace = session.play(0, len(plan.steps))
    assert trace.status == "ok" and trace.player == "web" and trace.plan_hash == plan.hash
    assert dict(trace.digests) == {probe.name: probe.expect for probe in plan.probes}
    assert loaded.ledger == {role: size for role, size in plan.bytes_by_role().items() if size}
    assert plan.peak_gpu_bytes <= loaded.ledger_peak_bytes <= plan.peak_gpu_bytes * 1.01


def test_the_numpy_reference_gives_the_same_bits(session: BrowserSession, compiled: Compiled) -> None:
    reference = reference_run(compiled, open_model(MODEL), "tq2_0")
    expected = {name: hashlib.sha256(reference.arrays[name].tobytes()).hexdigest() for name in ("tokens", "logits")}
    assert dict(session.play(0, len(compiled.plan.steps)).digests) == expected


def test_slots_can_be_read(session: BrowserSession, compiled: Compiled) -> None:
    trace = session.play(0, len(compiled.plan.steps))
    probe = next(probe for probe in compiled.plan.probes if probe.name == "tokens")
    tokens = session.read(probe.slot, probe.offset, probe.bytes)
    assert hashlib.sha256(tokens).hexdigest() == trace.digests["tokens"]
    assert np.frombuffer(tokens, "<u4").max() < compiled.config.vocabulary


def test_every_timing_gives_the_same_digests_and_its_own_times(session: BrowserSession, compiled: Compiled) -> None:
    count = len(compiled.plan.steps)
    wall, step, dispatch = (session.play(0, count, timing) for timing in ("wall", "step", "dispatch"))
    assert wall.digests == step.digests == dispatch.digests
    ends = [entry.end_ns or 0 for entry in step.steps]
    assert [entry.step for entry in step.steps] == list(range(count)) and ends == sorted(ends) and ends[-1] > 0
    assert len(dispatch.dispatches) == sum(len(compiled.plan.programs[s.program]) for s in compiled.plan.steps)
    assert 0 < wall.encode_ns < wall.wall_ns


@pytest.mark.parametrize(
    ("first", "last", "timing", "says"),
    [(0, 99, "wall", "outside"), (3, 3, "wall", "outside"), (0, 1, "cpu", "use wall")],
)
def test_a_play_that_means_nothing_is_one_line(
    session: BrowserSession, compiled: Compiled, first: int, last: int, timing: str, says: str
) -> None:
    with pytest.raises(DeviceError, match=says) as caught:
        session.play(first, last, timing)
    assert "\n" not in str(caught.value)


def test_a_shader_that_does_not_compile_names_itself(session: BrowserSession) -> None:
    plan = rewritten(golden_plan(session.caps, "tq2_0"), "fn main(", "fn main(what is this, ")
    with pytest.raises(DeviceError, match=r"does not compile: line \d+"):
        session.load(bundle(plan))


def test_a_plan_beyond_a_limit_is_refused_before_anything_is_sent(session: BrowserSession) -> None:
    plan = golden_plan(session.caps, "tq2_0")
    huge = replace(plan.slots[-1], bytes=session.caps.limit("maxBufferSize") + 4)
    with pytest.raises(DeviceError, match="allows buffers of"):
        session.load(bundle(replace(plan, slots=(*plan.slots[:-1], huge))))


def test_a_plan_that_needs_a_missing_feature_is_refused(session: BrowserSession) -> None:
    plan = replace(golden_plan(session.caps, "tq2_0"), features=("shader-int64",))
    with pytest.raises(DeviceError, match="lacks the feature shader-int64"):
        session.load(bundle(plan))


def test_the_session_goes_on_after_a_refusal(session: BrowserSession) -> None:
    plan = probe_plan(session.caps)
    session.load(bundle(plan))
    assert session.play(0, 1).status == "ok"
