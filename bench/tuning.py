"""Tune: which shape of each kernel is fastest on a device, measured once and kept for every later run there.

Each product of a model (a weight's shape, for one token or for many) is played by itself in every shape that it can
have, the shapes in turn. What won is kept in the user's cache by adapter, driver and front end; `run` compiles with it,
and a record's caps say so. A shape never changes a result, only its time.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import platformdirs

from tritmark.devices.base import Bundle, Device, Session, finished
from tritmark.engine.formats.model import open_model
from tritmark.engine.inference import Compiled, compile_workload, parse_format
from tritmark.engine.lora_workload import LoraWorkload, compile_lora_workload
from tritmark.engine.models.config import read_config
from tritmark.engine.ops.choice import Choice
from tritmark.engine.plan import Caps, Plan
from tritmark.engine.tuning import choices, micro_plan

from . import pace
from .case import Case
from .pace import Pace
from .prepare import prepare
from .workload import parse_workload

WORKLOADS = ("decode:128", "prefill:512", "lora:r8,c128,s1")
BUDGET_S = 60.0
MOST_LAYERS, WEIGHT_BYTES = 8, 128 << 20  # of the model: so many that no cache holds the weights of a product
MOST_SHAPES = 24  # of a product
ROUNDS = 4
STILL_RUNNING = 1.2  # a shape that took this many times the fastest one's time plays no further round
CLEAR = 0.97  # a shape replaces the default where it takes at most this share of its time
WAKE_S = 0.3  # a GPU that idled runs at a low clock


@dataclass(frozen=True, kw_only=True)
class Tuned:
    """What a product's shapes took, ns of a launch, the default first."""

    product: str
    shapes_ns: Mapping[str, float]

    @property
    def default(self) -> str:
        return next(iter(self.shapes_ns))

    @property
    def best(self) -> str:
        """The fastest shape; the default unless another is clearly faster."""
        shape = min(self.shapes_ns, key=self.shapes_ns.__getitem__)
        return shape if self.shapes_ns[shape] <= CLEAR * self.shapes_ns[self.default] else self.default

    @property
    def gain(self) -> float:
        """How many times faster than the default."""
        return self.shapes_ns[self.default] / self.shapes_ns[self.best]


def tune(
    device: Device, model: str, formats: Sequence[str], workloads: Sequence[str], budget_s: float = BUDGET_S
) -> Iterator[Tuned]:
    """What each product's shapes take, as they are measured; products that the time does not suffice for are left
    out. Whatever a device or the compiler refuses is raised.
    """
    end = time.monotonic() + budget_s
    few = few_layers(model)
    with device.session() as session:
        _keep(session.caps, {})  # a cache that cannot be written says so before the work
        plans = list(_plans(few, formats, workloads, session.caps))
        for index, (choice, format, plan) in enumerate(plans):
            left_s = end - time.monotonic()
            if left_s <= 0:
                return
            session.load(Bundle(plan=plan, model=few, format=format))
            until = time.monotonic() + left_s / (len(plans) - index)
            found = Tuned(product=choice.key, shapes_ns=_raced(session, plan, until))
            _keep(session.caps, {found.product: found.best})
            yield found


def measure_paces(device: Device, model: str, formats: Sequence[str], workloads: Sequence[str], budget_s: float) -> int:
    """Measure what every kernel of the model's first layers takes, with the fastest shapes; how many there are."""
    end, count, few = time.monotonic() + budget_s, 0, few_layers(model)
    with device.session() as session:
        caps = tuned(session.caps)
        for format in formats:
            for workload in workloads:
                if time.monotonic() > end:
                    return count
                case = Case(model=few, format=format, workload=workload, device=device.name)
                found = pace.measure(session, prepare(case, caps), few, format)
                _keep(caps, {}, found)
                count += len(found)
    return count


def tuned(caps: Caps) -> Caps:
    """``caps`` with the shapes that were measured to be fastest on this device, if any were."""
    return replace(caps, tuned=_kept(caps)["shapes"])


def paces(caps: Caps) -> dict[str, list[Pace]]:
    """What kernels take on this device, by family, as far as it was measured."""
    return {family: [Pace(*point) for point in points] for family, points in _kept(caps)["paces"].items()}


def few_layers(model: str) -> str:
    """The model's first layers: so many that no cache holds the weights of a product."""
    opened = open_model(model)
    layers = read_config(opened).layers
    layer_bytes = sum(info.nbytes for name, info in opened.tensors.items() if name.startswith("blk.0."))
    few = min(layers, MOST_LAYERS, -(-WEIGHT_BYTES // max(1, layer_bytes)))
    return model if few == layers else f"{model}{'&' if '?' in model else '?'}layers={few}"


def _plans(
    model: str, formats: Sequence[str], workloads: Sequence[str], caps: Caps
) -> Iterator[tuple[Choice, str, Plan]]:
    """Every product once, with its format and the micro-Plan of its first shapes."""
    seen: set[str] = set()
    for format in formats:
        for workload in workloads:
            compiled = _compiled(model, format, workload, caps)
            rows = {row.program: row for row in compiled.rows}
            for program, row in rows.items():
                graph = compiled.graphs[program]
                for key, (choice, nodes) in choices(graph, caps).items():
                    if key not in seen:
                        few = Choice(key, choice.shapes[:MOST_SHAPES])
                        yield few, format, micro_plan(graph, few, nodes, row, caps, compiled.image)
                    seen.add(key)


def _compiled(model: str, format: str, text: str, caps: Caps) -> Compiled:
    opened, fmt, workload = open_model(model), parse_format(format), parse_workload(text)
    if isinstance(workload, LoraWorkload):
        return compile_lora_workload(opened, fmt, workload, caps).compiled
    return compile_workload(opened, fmt, workload, caps)


def _raced(session: Session, plan: Plan, until: float) -> dict[str, float]:
    """ns of a launch of each shape, the least of several plays; a slow shape plays once."""
    found: dict[str, float] = {}
    launches = {shape: len(program) for shape, program in plan.programs.items()}
    awake = min(until, time.monotonic() + WAKE_S)
    while session.caps.kind != "cpu" and time.monotonic() < awake:
        finished(session.play(0, 1))
    for turn in range(ROUNDS):
        for step, shape in enumerate(launches):
            if found and time.monotonic() > until:
                return found
            if turn == 0:
                finished(session.play(step, step + 1))  # drivers compile a kernel when it first runs
            if turn == 0 or found[shape] <= STILL_RUNNING * min(found.values()):
                launch_ns = _step_ns(session, step) / launches[shape]
                found[shape] = min(launch_ns, found.get(shape, launch_ns))
    return found


def _step_ns(session: Session, step: int) -> float:
    timed = "timestamp-query" in session.caps.features
    trace = finished(session.play(step, step + 1, "step" if timed else "wall"))
    return float(trace.steps[0].gpu_ns or trace.wall_ns) if timed else float(trace.wall_ns)


def _file(caps: Caps) -> Path:
    """Where the shapes of a device are kept."""
    name = hashlib.sha256(f"{caps.adapter}/{caps.driver}/{caps.backend}/{caps.dialect}".encode()).hexdigest()[:16]
    return platformdirs.user_cache_path("tritmark") / "tuned" / f"{name}.json"


def _kept(caps: Caps) -> dict[str, Any]:
    file = _file(caps)
    return {"shapes": {}, "paces": {}, **(json.loads(file.read_text()) if file.is_file() else {})}


def _keep(caps: Caps, shapes: Mapping[str, str], found: Mapping[str, Sequence[Pace]] | None = None) -> None:
    """Add to what is kept of a device; a newer pace replaces one of the same work."""
    kept = _kept(caps)
    for family, points in (found or {}).items():
        known = {(size, operations): ns for size, operations, ns in kept["paces"].get(family, [])}
        known |= {(point.bytes, point.operations): point.launch_ns for point in points}
        kept["paces"][family] = [[*work, ns] for work, ns in known.items()]
    kept["shapes"] |= shapes
    about = {"adapter": caps.adapter, "driver": caps.driver, "backend": caps.backend, "dialect": caps.dialect}
    file = _file(caps)
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    part.write_text(json.dumps({**about, **kept}, indent=1))
    part.replace(file)
