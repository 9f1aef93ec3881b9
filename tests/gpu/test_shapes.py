"""Kernels take another shape on a processor than on a GPU, and do without optional features: the bits stay the same."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tritmark.engine import conformance
from tritmark.engine.formats.model import open_model
from tritmark.engine.models.source import Source
from tritmark.engine.ops.ternary_product import DOT_FEATURE
from tritmark.engine.plan import Caps
from tritmark.engine.players.gpu import Gpu
from tritmark.engine.players.wgpu_player import load
from tritmark.engine.weights import WIDE_FEATURE

LACKING = {
    "as a discrete GPU": {"kind": "discrete"},
    "as a processor": {"kind": "cpu"},
    "as a GPU without integer dot": {"kind": "discrete", "language_features": ()},
}


def played(gpu: Gpu, caps: Caps, format: str) -> dict[str, str]:
    """Digests of the golden plan compiled for ``caps`` and played on ``gpu``."""
    model = open_model(conformance.GOLDEN_MODEL)
    session = load(gpu, conformance.golden_compiled(caps, format).plan, Source(model, format))
    try:
        return dict(session.play().digests)
    finally:
        session.close()


@pytest.mark.parametrize("format", ["tq1_0", "tq2_0"])
@pytest.mark.parametrize("changed", LACKING.values(), ids=LACKING)
def test_a_plan_for_another_device_gives_the_same_digests(gpu: Gpu, changed: dict[str, object], format: str) -> None:
    caps = replace(gpu.caps, **changed)  # type: ignore[arg-type]
    known = conformance.known_digests()[f"{conformance.GOLDEN_MODEL} {conformance.GOLDEN_WORKLOAD}"]
    assert played(gpu, caps, format) == known


def test_a_processor_without_64_bit_loads_gives_the_same_digests(gpu: Gpu) -> None:
    features = tuple(name for name in gpu.caps.features if name != WIDE_FEATURE)
    plan = conformance.golden_compiled(replace(gpu.caps, kind="cpu", features=features), "tq2_0").plan
    assert WIDE_FEATURE not in plan.features
    known = conformance.known_digests()[f"{conformance.GOLDEN_MODEL} {conformance.GOLDEN_WORKLOAD}"]
    assert played(gpu, replace(gpu.caps, kind="cpu", features=features), "tq2_0") == known


def test_a_plan_requires_the_features_its_shaders_use(gpu: Gpu) -> None:
    with_dot = conformance.golden_compiled(replace(gpu.caps, kind="discrete"), "tq2_0").plan
    without = conformance.golden_compiled(replace(gpu.caps, kind="discrete", language_features=()), "tq2_0").plan
    assert DOT_FEATURE in with_dot.features and DOT_FEATURE not in without.features
