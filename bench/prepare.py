"""Prepare: a case compiled for a device, and what its steps are about."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from tritmark.engine import inference
from tritmark.engine.errors import PlanError
from tritmark.engine.formats.model import Model, open_model
from tritmark.engine.lora_workload import LoraWorkload, compile_lora_workload
from tritmark.engine.plan import Caps, Plan

from .case import Case
from .workload import parse_workload


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A case compiled for a device: the plan, and what its steps are about."""

    plan: Plan
    first_decode: int  # steps before it are the prefill
    prompt_tokens: int | None
    model_sha256: str
    training: Mapping[str, Any] | None = None  # of fine-tuning: what its timed steps are about
    opening: int = 0  # of fine-tuning: steps before those that are timed
    shape: Mapping[str, int] | None = None  # of the model

    @property
    def decodes(self) -> bool:
        return self.first_decode < len(self.plan.steps)

    @property
    def generated_tokens(self) -> int | None:
        """The first token, which prefill samples, and one a decode step."""
        return None if self.training else 1 + len(self.plan.steps) - self.first_decode

    @property
    def dispatches(self) -> int:
        """Launches in the timed region of a sample."""
        timed = self.plan.steps[self.first_decode if self.decodes else self.opening :]
        runs = Counter(step.program for step in timed)
        return sum(count * len(self.plan.programs[name]) for name, count in runs.items())


Prepare = Callable[[Case, Caps], Prepared]


def prepare(case: Case, caps: Caps) -> Prepared:
    """Compile a case for a device."""
    model, workload = _open_model(case.model), parse_workload(case.workload)
    fmt = inference.parse_format(case.format)
    if isinstance(workload, LoraWorkload):
        return _prepare_lora(model, fmt, workload, caps, case.options)
    _refuse(case.options, "recompute", "a lora: workload")
    compiled = inference.compile_workload(model, fmt, workload, caps, **case.options)
    return Prepared(
        plan=compiled.plan,
        first_decode=compiled.first_decode,
        model_sha256=model.sha256,
        prompt_tokens=workload.prompt,
        shape=shape_of(compiled),
    )


def _prepare_lora(
    model: Model, fmt: inference.Format, workload: LoraWorkload, caps: Caps, options: Mapping[str, Any]
) -> Prepared:
    _refuse(options, "chunk", "prefill or decode")
    lora = compile_lora_workload(model, fmt, workload, caps, **options)
    steps = len(lora.compiled.plan.steps)
    return Prepared(
        plan=lora.compiled.plan, first_decode=steps, model_sha256=model.sha256, prompt_tokens=None,
        training=lora.about, opening=lora.opening.stop, shape=shape_of(lora.compiled),
    )  # fmt: skip


def _refuse(options: Mapping[str, Any], name: str, of: str) -> None:
    if name in options:
        raise PlanError(f"{name} is an option of {of} alone; leave it out")


@lru_cache(maxsize=1)
def _open_model(spec: str) -> Model:
    """The model of the last case, most likely: its digest is computed once, not once a case."""
    return open_model(spec)


def shape_of(compiled: inference.Compiled) -> dict[str, int]:
    """What the size of a model is made of."""
    config = compiled.config
    return {
        "layers": config.layers, "hidden": config.embedding, "feed_forward": config.feed_forward,
        "heads": config.heads, "kv_heads": config.kv_heads, "vocabulary": config.vocabulary,
        "ternary_weights": compiled.ternary_weights,
    }  # fmt: skip
