"""Forecast: what a case will need, from its Plan alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from tritmark.engine.errors import PlanError
from tritmark.engine.plan import Caps, Cost, Plan, validate

from .case import Case
from .pace import Pace, predicted_ns, timed_steps
from .prepare import Prepared, prepare
from .run import does_not_fit


def forecast(
    case: Case,
    caps: Caps,
    free_bytes: int | None,
    bandwidth_bytes_per_s: float | None,
    paces: Mapping[str, Sequence[Pace]] | None = None,
) -> dict[str, Any]:
    """``fits``, ``peak_gpu_bytes``, ``buffers`` by role, traffic and operations a token, the roofline in tok/s, and
    where ``paces`` tell of every kernel the predicted tok/s.

    A case that cannot be compiled for ``caps`` does not fit, for the ``reason`` given, and has no buffers. Bytes a
    token are the least that the kernels must move; ``roofline_tps`` is None without a bandwidth.
    """
    title = {axis: getattr(case, axis) for axis in ("model", "format", "workload", "device")}
    empty = dict.fromkeys(
        ("bytes_per_token", "operations_per_token", "dispatches", "roofline_tps", "predicted_tps", "plan_hash")
    )
    try:
        prepared = prepare(case, caps)
        validate(prepared.plan, caps)
    except PlanError as error:
        return {**title, "fits": False, "reason": str(error), "peak_gpu_bytes": None, "buffers": {}, **empty}
    plan, tokens = prepared.plan, _tokens(prepared)
    cost = _cost(plan, prepared)
    reason = does_not_fit(plan, free_bytes, caps)
    time_ns = predicted_ns(prepared, case.format, paces or {})
    rate = bandwidth_bytes_per_s and bandwidth_bytes_per_s * tokens / max(cost.bytes, 1)
    return {
        **title, "fits": reason is None, "reason": reason, "peak_gpu_bytes": plan.peak_gpu_bytes,
        "buffers": plan.bytes_by_role(), "free_bytes": free_bytes,
        "bytes_per_token": cost.bytes / tokens, "operations_per_token": cost.operations / tokens,
        "dispatches": max(len(plan.programs[step.program]) for step in plan.steps[-2:]),
        "roofline_tps": rate, "predicted_tps": time_ns and tokens * 1e9 / time_ns, "plan_hash": plan.hash,
    }  # fmt: skip


def _tokens(prepared: Prepared) -> int:
    """Tokens that the timed region is about."""
    if prepared.training:
        return int(prepared.training["tokens"])
    return (prepared.generated_tokens or 1) - 1 if prepared.decodes else prepared.prompt_tokens or 1


def _cost(plan: Plan, prepared: Prepared) -> Cost:
    """Sum over the steps of the timed region: decode steps, all steps of a prefill, or those of fine-tuning."""
    runs = Counter(step.program for step in timed_steps(prepared))
    costs = [(count, dispatch.cost) for name, count in runs.items() for dispatch in plan.programs[name]]
    return Cost(bytes=sum(n * c.bytes for n, c in costs), operations=sum(n * c.operations for n, c in costs))
