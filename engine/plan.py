"""Caps, Plan and Trace: the three values that everything else makes, carries or compares.

A Plan is data only and straight-line: shader texts, buffer slots, named dispatch lists and a table of steps. A player
turns it into a Trace. This module knows their shape, their JSON and what makes a Plan valid for a device; it must not
know models, kernels or any GPU library, and it imports only the standard library.
"""

from __future__ import annotations

import base64
import builtins
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

from .errors import PlanError

PLAN_FORMAT = 1
STEP_STRIDE_BYTES = 256  # WebGPU's largest minUniformBufferOffsetAlignment: one row of the step table
STEP_BINDING = 0  # @binding(0) of every kernel is the step row, bound with a dynamic offset
ROLES = ("weight", "input", "state", "scratch", "output")


@dataclass(frozen=True, kw_only=True)
class Caps:
    """What a device can do. Limits and features carry WebGPU's own camelCase and kebab-case names."""

    adapter: str
    backend: str
    kind: str  # "discrete" | "integrated" | "cpu" | "unknown"
    driver: str
    dialect: str  # the WGSL front end: "naga" | "tint" | "webkit"
    features: tuple[str, ...]
    language_features: tuple[str, ...]
    limits: Mapping[str, int]
    tuned: Mapping[str, str] = field(default_factory=dict)  # product -> the shape of its kernel measured fastest here

    def limit(self, name: str) -> int:
        """The limit ``name``, or PlanError where the device did not report it."""
        if name not in self.limits:
            raise PlanError(f"{self.adapter} reports no limit {name}; probe the device again")
        return self.limits[name]


@dataclass(frozen=True, kw_only=True)
class Range:
    """``bytes`` bytes at ``offset`` of the weight file ``file`` (a key of Plan.files)."""

    file: str
    offset: int
    bytes: int


@dataclass(frozen=True, kw_only=True)
class Slot:
    """A GPU buffer. Initial content: zero, or ``inline`` bytes, or weight-file ranges laid end to end."""

    id: str
    bytes: int
    role: str
    inline: builtins.bytes | None = None
    ranges: tuple[Range, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Binding:
    """Part of a slot, bound at the kernel's next free binding number (1, 2, ...)."""

    slot: str
    offset: int
    bytes: int
    access: str  # "uniform" | "read" | "read_write"


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Least bytes moved and arithmetic operations of one dispatch."""

    bytes: int = 0
    operations: int = 0


@dataclass(frozen=True, kw_only=True)
class Dispatch:
    """One kernel launch. A grid entry is a number of workgroups or the name of a step column."""

    module: str
    bindings: tuple[Binding, ...]
    grid: tuple[int | str, int | str, int | str]
    label: str
    cost: Cost = field(default_factory=Cost)


@dataclass(frozen=True, kw_only=True)
class Step:
    """One row of the step table: the program it runs and the u32 value of every column."""

    program: str
    values: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Probe:
    """Bytes of a slot that a player reads back after the last step and digests (SHA-256)."""

    name: str
    slot: str
    offset: int
    bytes: int
    expect: str | None = None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A run, as a value."""

    modules: Mapping[str, str]  # SHA-256 of the text -> WGSL text
    slots: tuple[Slot, ...]
    programs: Mapping[str, tuple[Dispatch, ...]]
    columns: tuple[str, ...]
    steps: tuple[Step, ...]
    probes: tuple[Probe, ...]
    files: Mapping[str, int]  # weight file id -> bytes
    features: tuple[str, ...] = ()
    flavour: str = "exact"  # "exact" | "fast"
    format: int = PLAN_FORMAT

    @cached_property
    def slot_by_id(self) -> dict[str, Slot]:
        return {slot.id: slot for slot in self.slots}

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the canonical JSON: equal Plans, equal hashes."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True, separators=(",", ":")).encode()).hexdigest()

    @cached_property
    def shader_hash(self) -> str:
        """SHA-256 over the sorted hashes of all modules."""
        return hashlib.sha256("".join(sorted(self.modules)).encode()).hexdigest()

    def bytes_by_role(self) -> dict[str, int]:
        """GPU bytes by slot role, the step table counted as ``steps``."""
        totals = dict.fromkeys(ROLES, 0)
        for slot in self.slots:
            totals[slot.role] += slot.bytes
        return {**totals, "steps": len(self.steps) * STEP_STRIDE_BYTES}

    @property
    def peak_gpu_bytes(self) -> int:
        """All buffers of a loaded Plan; they live from load to close, so the sum is the peak."""
        return sum(self.bytes_by_role().values())

    def step_grid(self, dispatch: Dispatch, step: Step) -> tuple[int, int, int]:
        """The grid of ``dispatch`` in ``step``, its named columns looked up."""
        x, y, z = (g if isinstance(g, int) else step.values[self.columns.index(g)] for g in dispatch.grid)
        return x, y, z

    def to_json(self) -> dict[str, Any]:
        slots = [
            {**asdict(s), "inline": base64.b64encode(s.inline).decode() if s.inline is not None else None}
            for s in self.slots
        ]
        return {
            "format": self.format,
            "flavour": self.flavour,
            "features": list(self.features),
            "files": dict(self.files),
            "modules": dict(self.modules),
            "slots": slots,
            "programs": {name: [asdict(d) for d in dispatches] for name, dispatches in self.programs.items()},
            "columns": list(self.columns),
            "steps": [[s.program, *s.values] for s in self.steps],
            "probes": [asdict(p) for p in self.probes],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Plan:
        if data.get("format") != PLAN_FORMAT:
            raise PlanError(
                f"plan format {data.get('format')!r} is not {PLAN_FORMAT}; use the same tritmark on both sides"
            )
        return cls(
            modules=data["modules"],
            files=data["files"],
            columns=tuple(data["columns"]),
            features=tuple(data["features"]),
            flavour=data["flavour"],
            slots=tuple(_slot_from_json(s) for s in data["slots"]),
            programs={name: tuple(_dispatch_from_json(d) for d in ds) for name, ds in data["programs"].items()},
            steps=tuple(Step(program=row[0], values=tuple(row[1:])) for row in data["steps"]),
            probes=tuple(Probe(**p) for p in data["probes"]),
        )


@dataclass(frozen=True, kw_only=True)
class StepTime:
    """When a played step ended, in nanoseconds since the play began, and its GPU time where timestamps exist."""

    step: int
    end_ns: int | None
    gpu_ns: int | None = None


@dataclass(frozen=True, kw_only=True)
class DispatchTime:
    """GPU time of one dispatch (timing "dispatch" only): a profile, never a ranking."""

    step: int
    label: str
    gpu_ns: int


@dataclass(frozen=True, kw_only=True)
class Trace:
    """What happened when a player played steps of a Plan. A failed one says why and has no digests."""

    plan_hash: str
    player: str
    status: str  # "ok" | "failed"
    reason: str | None
    timing: str  # "wall" | "step" | "dispatch"
    wall_ns: int
    steps: tuple[StepTime, ...]
    digests: Mapping[str, str]  # probe name -> SHA-256
    ledger: Mapping[str, int]  # live GPU bytes by role
    ledger_peak_bytes: int
    dispatches: tuple[DispatchTime, ...] = ()
    encode_ns: int = 0  # the player's own work: encoding and submitting, as far as nothing waits in it

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Trace:
        return cls(
            **{
                **data,
                "steps": tuple(StepTime(**s) for s in data["steps"]),
                "dispatches": tuple(DispatchTime(**d) for d in data["dispatches"]),
            }
        )


def _slot_from_json(data: Mapping[str, Any]) -> Slot:
    inline = None if data["inline"] is None else base64.b64decode(data["inline"])
    return Slot(
        id=data["id"],
        bytes=data["bytes"],
        role=data["role"],
        inline=inline,
        ranges=tuple(Range(**r) for r in data["ranges"]),
    )


def _dispatch_from_json(data: Mapping[str, Any]) -> Dispatch:
    x, y, z = data["grid"]
    return Dispatch(
        module=data["module"],
        bindings=tuple(Binding(**b) for b in data["bindings"]),
        grid=(x, y, z),
        label=data["label"],
        cost=Cost(**data["cost"]),
    )


def validate(plan: Plan, caps: Caps) -> None:
    """Raise PlanError with the first reason why ``plan`` cannot run on a device with ``caps``."""
    for problem in problems(plan, caps):
        raise PlanError(problem)


def problems(plan: Plan, caps: Caps) -> Iterator[str]:
    """Every reason why ``plan`` cannot run on a device with ``caps``, most fundamental first."""
    if plan.format != PLAN_FORMAT:
        yield f"plan format {plan.format} is not {PLAN_FORMAT}"
    for feature in plan.features:
        if feature not in caps.features and feature not in caps.language_features:
            yield f"{caps.adapter} lacks the feature {feature} that the plan requires"
    if len(plan.slot_by_id) != len(plan.slots):
        yield "two slots share an id"
    yield from _module_problems(plan)
    for slot in plan.slots:
        yield from _slot_problems(plan, slot, caps)
    for name, dispatches in plan.programs.items():
        for dispatch in dispatches:
            yield from _dispatch_problems(plan, f"{name}/{dispatch.label}", dispatch, caps)
    yield from _step_problems(plan, caps)
    for probe in plan.probes:
        yield from _window_problems(plan, f"probe {probe.name}", probe.slot, probe.offset, probe.bytes)


def _module_problems(plan: Plan) -> Iterator[str]:
    for key, text in plan.modules.items():
        if hashlib.sha256(text.encode()).hexdigest() != key:
            yield f"module {key[:12]} does not hash to its key; the plan was altered"


def _slot_problems(plan: Plan, slot: Slot, caps: Caps) -> Iterator[str]:
    if slot.role not in ROLES:
        yield f"slot {slot.id}: unknown role {slot.role}"
    if slot.bytes <= 0 or slot.bytes % 4:
        yield f"slot {slot.id}: {slot.bytes} bytes is not a positive multiple of 4"
    if slot.bytes > caps.limit("maxBufferSize"):
        most = caps.limit("maxBufferSize")
        yield f"slot {slot.id} needs {slot.bytes:,} bytes; {caps.adapter} allows buffers of {most:,}"
    if slot.inline is not None and slot.ranges:
        yield f"slot {slot.id} has both inline and file content"
    if slot.inline is not None and len(slot.inline) > slot.bytes:
        yield f"slot {slot.id}: inline content exceeds its {slot.bytes} bytes"
    if slot.ranges and sum(r.bytes for r in slot.ranges) > slot.bytes:
        yield f"slot {slot.id}: file ranges exceed its {slot.bytes} bytes"
    for part in slot.ranges:
        if part.file not in plan.files:
            yield f"slot {slot.id} reads the unlisted file {part.file}"
        elif part.offset < 0 or part.bytes <= 0 or part.offset + part.bytes > plan.files[part.file]:
            yield f"slot {slot.id} reads beyond the end of {part.file}"


def _dispatch_problems(plan: Plan, where: str, dispatch: Dispatch, caps: Caps) -> Iterator[str]:
    if dispatch.module not in plan.modules:
        yield f"{where} uses the unlisted module {dispatch.module[:12]}"
    storage = [b for b in dispatch.bindings if b.access != "uniform"]
    most = caps.limit("maxStorageBuffersPerShaderStage")
    if len(storage) > most:
        yield f"{where} binds {len(storage)} storage buffers; {caps.adapter} allows {most}"
    for binding in dispatch.bindings:
        yield from _binding_problems(plan, where, binding, caps)
    written = {b.slot for b in dispatch.bindings if b.access == "read_write"}
    for slot in written:
        if sum(b.slot == slot for b in dispatch.bindings) > 1:
            yield f"{where} binds {slot} twice although it writes it"
    for entry in dispatch.grid:
        if isinstance(entry, str) and entry not in plan.columns:
            yield f"{where}: the grid names the unknown step column {entry}"
        if isinstance(entry, int) and not 0 < entry <= caps.limit("maxComputeWorkgroupsPerDimension"):
            yield f"{where}: a grid side of {entry} is outside 1..{caps.limit('maxComputeWorkgroupsPerDimension')}"


def _binding_problems(plan: Plan, where: str, binding: Binding, caps: Caps) -> Iterator[str]:
    kinds = {"uniform": "Uniform", "read": "Storage", "read_write": "Storage"}
    if binding.access not in kinds:
        yield f"{where}: unknown access {binding.access}"
        return
    yield from _window_problems(plan, where, binding.slot, binding.offset, binding.bytes)
    kind = kinds[binding.access]
    if binding.offset % caps.limit(f"min{kind}BufferOffsetAlignment"):
        yield f"{where}: offset {binding.offset} into {binding.slot} is not aligned"
    limit = caps.limit(f"max{kind}BufferBindingSize")
    if binding.bytes > limit:
        yield f"{where} binds {binding.bytes:,} bytes of {binding.slot}; {caps.adapter} allows {limit:,}"


def _window_problems(plan: Plan, where: str, slot_id: str, offset: int, size: int) -> Iterator[str]:
    slot = plan.slot_by_id.get(slot_id)
    if slot is None:
        yield f"{where} refers to the unknown slot {slot_id}"
    elif offset < 0 or size <= 0 or offset + size > slot.bytes:
        yield f"{where}: bytes {offset}..{offset + size} lie outside {slot_id} ({slot.bytes} bytes)"


def _step_problems(plan: Plan, caps: Caps) -> Iterator[str]:
    if len(plan.columns) * 4 > STEP_STRIDE_BYTES:
        yield f"{len(plan.columns)} step columns do not fit {STEP_STRIDE_BYTES} bytes"
    for index, step in enumerate(plan.steps):
        if step.program not in plan.programs:
            yield f"step {index} runs the unknown program {step.program}"
        if len(step.values) != len(plan.columns):
            yield f"step {index} has {len(step.values)} values for {len(plan.columns)} columns"
        elif any(not 0 <= value < 1 << 32 for value in step.values):
            yield f"step {index} has a value that is no u32"
    limit = caps.limit("maxComputeWorkgroupsPerDimension")
    named = {entry for program in plan.programs.values() for d in program for entry in d.grid if isinstance(entry, str)}
    for column in sorted(named & set(plan.columns)):
        at = plan.columns.index(column)
        if any(len(s.values) > at and not 0 < s.values[at] <= limit for s in plan.steps):
            yield f"the grid column {column} leaves 1..{limit}"
