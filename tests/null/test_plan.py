"""A Plan survives JSON, hashes by content, and is refused in one line when anything about it is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from imagined_device import CAPS

from tritmark.engine.errors import PlanError
from tritmark.engine.formats.model import open_model
from tritmark.engine.inference import Workload, compile_workload, parse_format
from tritmark.engine.plan import DispatchTime, Plan, Probe, Range, Step, StepTime, Trace, problems, validate

PLAN = compile_workload(open_model("synthetic:tiny"), parse_format("tq1_0"), Workload.parse("decode:3@9"), CAPS).plan
Mutation = Callable[[Plan, int], Plan]


def with_slot(plan: Plan, index: int, **changes: Any) -> Plan:
    at = index % len(plan.slots)
    return replace(plan, slots=(*plan.slots[:at], replace(plan.slots[at], **changes), *plan.slots[at + 1:]))


def with_dispatch(plan: Plan, index: int, **changes: Any) -> Plan:
    name = sorted(plan.programs)[index % len(plan.programs)]
    dispatches = plan.programs[name]
    at = index % len(dispatches)
    changed = (*dispatches[:at], replace(dispatches[at], **changes), *dispatches[at + 1:])
    return replace(plan, programs={**plan.programs, name: changed})


def with_binding(plan: Plan, index: int, **changes: Any) -> Plan:
    name = sorted(plan.programs)[index % len(plan.programs)]
    bindings = plan.programs[name][index % len(plan.programs[name])].bindings
    at = index % len(bindings)
    return with_dispatch(plan, index, bindings=(*bindings[:at], replace(bindings[at], **changes), *bindings[at + 1:]))


def with_step(plan: Plan, index: int, **changes: Any) -> Plan:
    at = index % len(plan.steps)
    return replace(plan, steps=(*plan.steps[:at], replace(plan.steps[at], **changes), *plan.steps[at + 1:]))


def without_module(plan: Plan, index: int) -> Plan:
    gone = sorted(plan.modules)[index % len(plan.modules)]
    return replace(plan, modules={key: text for key, text in plan.modules.items() if key != gone})


def with_altered_module(plan: Plan, index: int) -> Plan:
    key = sorted(plan.modules)[index % len(plan.modules)]
    return replace(plan, modules={**plan.modules, key: plan.modules[key].replace("0u", "1u", 1) + " "})


def bound_twice(plan: Plan, index: int) -> Plan:
    """A dispatch that also reads what it writes."""
    name = sorted(plan.programs)[index % len(plan.programs)]
    dispatches = plan.programs[name]
    bindings = dispatches[index % len(dispatches)].bindings
    written = next(b for b in bindings if b.access == "read_write")
    return with_dispatch(plan, index, bindings=(*bindings, replace(written, access="read")))


def filled(plan: Plan, *values: int) -> tuple[int, ...]:
    """The values of a step: these, then ones."""
    return (*values, *[1] * (len(plan.columns) - len(values)))


DAMAGE: dict[str, tuple[Mutation, str]] = {
    "another format": (lambda p, i: replace(p, format=p.format + 1), "format"),
    "a feature nobody has": (lambda p, i: replace(p, features=(*p.features, "telepathy")), "telepathy"),
    "a doubled slot": (lambda p, i: replace(p, slots=(*p.slots, p.slots[i % len(p.slots)])), "share an id"),
    "an altered module": (with_altered_module, "altered"),
    "a missing module": (without_module, "unlisted module"),
    "an unknown role": (lambda p, i: with_slot(p, i, role="spare"), "unknown role"),
    "an odd slot size": (lambda p, i: with_slot(p, i, bytes=4 * i + 2), "multiple of 4"),
    "a slot of no bytes": (lambda p, i: with_slot(p, i, bytes=0), "positive"),
    "a slot beyond the buffer limit": (lambda p, i: with_slot(p, i, bytes=(1 << 40) + 4 * i), "allows buffers"),
    "content beyond its slot": (lambda p, i: with_slot(p, i, inline=bytes((1 << 26) + 4), ranges=()), "exceeds its"),
    "content twice": (lambda p, i: with_slot(p, i, inline=b"1234", ranges=(Range(file=next(iter(p.files)), offset=0,
                                                                                 bytes=4),)), "both inline and file"),
    "an unlisted file": (lambda p, i: with_slot(p, i, inline=None, ranges=(Range(file="lost", offset=0, bytes=4),)),
                         "unlisted file"),
    "a range beyond its file": (lambda p, i: with_slot(p, i, inline=None, ranges=(
        Range(file=next(iter(p.files)), offset=1 << 40, bytes=4),)), "beyond the end"),
    "an unknown access": (lambda p, i: with_binding(p, i, access="write"), "unknown access"),
    "an unknown slot": (lambda p, i: with_binding(p, i, slot="nowhere"), "unknown slot"),
    "a negative offset": (lambda p, i: with_binding(p, i, offset=-256), "outside"),
    "a misaligned offset": (lambda p, i: with_binding(p, i, offset=i % 63 * 4 + 4, bytes=4), "aligned"),
    "a binding beyond its slot": (lambda p, i: with_binding(p, i, bytes=1 << 26), "outside"),
    "a binding of no bytes": (lambda p, i: with_binding(p, i, bytes=0), "outside"),
    "a slot read and written": (bound_twice, "binds"),
    "an unknown grid column": (lambda p, i: with_dispatch(p, i, grid=(1, "tokens", 1)), "unknown step column"),
    "a grid of nothing": (lambda p, i: with_dispatch(p, i, grid=(1, 0, 1)), "grid side"),
    "a grid beyond the limit": (lambda p, i: with_dispatch(p, i, grid=(65536 + i, 1, 1)), "grid side"),
    "an unknown program": (lambda p, i: with_step(p, i, program="train"), "unknown program"),
    "a short step": (lambda p, i: with_step(p, i, values=(0,)), "values for"),
    "a step value that is no u32": (lambda p, i: with_step(p, i, values=filled(p, 0, 1 << 32)), "no u32"),
    "a step without tokens": (lambda p, i: with_step(p, 0, values=filled(p, 0, 0, 0)), "grid column count"),
    "a probe of nothing": (lambda p, i: replace(p, probes=(Probe(name="x", slot="lost", offset=0, bytes=4),)), "lost"),
    "a probe beyond its slot": (lambda p, i: replace(p, probes=(replace(p.probes[0], offset=1 << 30),)), "outside"),
}  # fmt: skip


def test_a_compiled_plan_is_valid() -> None:
    assert list(problems(PLAN, CAPS)) == []


@pytest.mark.parametrize("name", DAMAGE)
@given(index=st.integers(0, 10_000))
def test_damage_is_refused_in_one_line(name: str, index: int) -> None:
    mutate, says = DAMAGE[name]
    with pytest.raises(PlanError) as caught:
        validate(mutate(PLAN, index), CAPS)
    assert "\n" not in str(caught.value)
    assert any(says in problem for problem in problems(mutate(PLAN, index), CAPS))


@pytest.mark.parametrize("limit", ["maxBufferSize", "maxStorageBufferBindingSize", "maxStorageBuffersPerShaderStage",
                                   "maxUniformBufferBindingSize", "maxComputeWorkgroupsPerDimension"])  # fmt: skip
def test_a_plan_for_a_larger_device_is_refused(limit: str) -> None:
    with pytest.raises(PlanError, match=r"imagined allows|outside|leaves"):
        validate(PLAN, replace(CAPS, limits={**CAPS.limits, limit: 1}))


def test_a_device_that_hides_a_limit_is_refused() -> None:
    with pytest.raises(PlanError, match="reports no limit"):
        validate(PLAN, replace(CAPS, limits={}))


def test_json_gives_the_same_plan_back() -> None:
    back = Plan.from_json(json.loads(json.dumps(PLAN.to_json())))
    assert back == PLAN and back.hash == PLAN.hash and back.shader_hash == PLAN.shader_hash


def test_json_of_another_format_is_refused() -> None:
    with pytest.raises(PlanError, match="plan format 99"):
        Plan.from_json({**PLAN.to_json(), "format": 99})


def test_compiling_again_gives_the_same_hash() -> None:
    model, fmt = open_model("synthetic:tiny"), parse_format("tq1_0")
    again, other = (compile_workload(model, fmt, Workload.parse(f"decode:{n}@9"), CAPS).plan for n in (3, 4))
    assert again.hash == PLAN.hash != other.hash


@given(index=st.integers(0, 10_000), position=st.integers(0, (1 << 32) - 1))
def test_any_change_changes_the_hash(index: int, position: int) -> None:
    values = PLAN.steps[index % len(PLAN.steps)].values
    changed = with_step(PLAN, index, values=(values[0], position, *values[2:]))
    assert (changed.hash == PLAN.hash) == (position == values[1])


def test_memory_is_counted_by_role() -> None:
    roles = PLAN.bytes_by_role()
    assert sum(roles.values()) == PLAN.peak_gpu_bytes == sum(s.bytes for s in PLAN.slots) + 256 * len(PLAN.steps)
    assert roles["weight"] > roles["state"] > 0 and roles["scratch"] > 0


def test_grids_look_up_step_columns() -> None:
    dispatch = replace(PLAN.programs["decode"][0], grid=("kv_chunks", 3, "count"))
    assert PLAN.step_grid(dispatch, Step(program="decode", values=(0, 300, 2, 5, 1))) == (5, 3, 2)


times = st.integers(0, 1 << 40)
digests = st.dictionaries(st.text(max_size=8), st.text("0123456789abcdef", min_size=64, max_size=64), max_size=3)


@given(wall=times, ends=st.lists(st.tuples(st.none() | times, st.none() | times), max_size=4), digests=digests,
       labels=st.lists(st.text(max_size=8), max_size=3), reason=st.none() | st.text(max_size=20))  # fmt: skip
def test_json_gives_the_same_trace_back(wall: int, ends: Any, digests: Any, labels: Any, reason: str | None) -> None:
    trace = Trace(
        plan_hash=PLAN.hash, player="wgpu", status="ok", reason=reason, timing="step", wall_ns=wall, digests=digests,
        steps=tuple(StepTime(step=i, end_ns=end, gpu_ns=gpu) for i, (end, gpu) in enumerate(ends)),
        ledger={"weight": wall}, ledger_peak_bytes=wall,
        dispatches=tuple(DispatchTime(step=0, label=label, gpu_ns=wall) for label in labels),
    )  # fmt: skip
    assert Trace.from_json(json.loads(json.dumps(trace.to_json()))) == trace
