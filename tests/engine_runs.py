"""Runs of the engine that tests compare: a Plan played on the GPU, and the same graphs run by the NumPy reference."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from tritmark.engine.compile import Compiler
from tritmark.engine.formats.model import Model
from tritmark.engine.graph import Graph, Node, Value
from tritmark.engine.inference import Compiled
from tritmark.engine.models.source import Source
from tritmark.engine.plan import Caps, Plan, Trace
from tritmark.engine.players.wgpu_player import Session, load
from tritmark.engine.reference import DTYPES, Reference

Array = np.ndarray[Any, Any]
Files = Mapping[str, Model]  # beside the model's, as models/source.py takes them


@contextmanager
def session(
    gpu: Any, compiled: Compiled, model: Model, resident: str, files: Files | None = None
) -> Iterator[Session]:
    """``compiled`` loaded on ``gpu``; its buffers are freed at the end."""
    loaded = load(gpu, compiled.plan, Source(model, resident, files or {}))
    try:
        yield loaded
    finally:
        loaded.close()


def play(gpu: Any, compiled: Compiled, model: Model, resident: str) -> Trace:
    with session(gpu, compiled, model, resident) as loaded:
        return loaded.play()


def played_logits(
    gpu: Any, compiled: Compiled, model: Model, resident: str, files: Files | None = None
) -> Array:
    """The bytes behind the probe "logits" as f32 (positions, V)."""
    probe = next(p for p in compiled.plan.probes if p.name == "logits")
    with session(gpu, compiled, model, resident, files) as loaded:
        loaded.play()
        data = loaded.read(probe.slot, probe.offset, probe.bytes)
    return np.frombuffer(data, "<f4").reshape(-1, compiled.config.vocabulary)


def reference_run(compiled: Compiled, model: Model, resident: str, files: Files | None = None) -> Reference:
    """The NumPy reference after all steps of ``compiled``."""
    reference = unplayed(compiled, model, resident, files)
    reference.play(compiled.rows)
    return reference


def unplayed(compiled: Compiled, model: Model, resident: str, files: Files | None = None) -> Reference:
    """The NumPy reference of ``compiled`` before its first step."""
    source = Source(model, resident, files or {})
    used = (value for graph in compiled.graphs.values() for node in graph.nodes for value in node.inputs)
    weights = {value.id: value.shape for value in used if value.role == "weight"}
    slots = compiled.plan.slot_by_id
    constants = {name: source.array(slots[name]).reshape(shape) for name, shape in weights.items()}
    return Reference(compiled.graphs, constants)


def same_bits(a: Array, b: Array) -> bool:
    """Whether two arrays hold the same bits (so that 0 and -0 differ and NaN equals itself)."""
    return a.shape == b.shape and a.tobytes() == b.tobytes()


def exposed(compiled: Compiled, caps: Caps) -> Compiled:
    """The same run with a slot of its own for every value, so that all of them can be read at the end."""
    renamed: dict[str, Value] = {}

    def kept(value: Value) -> Value:
        return renamed.setdefault(value.id, replace(value, role="output") if value.role == "scratch" else value)

    graphs = {}
    for name, graph in compiled.graphs.items():
        nodes = [Node(n.op, tuple(map(kept, n.inputs)), tuple(map(kept, n.outputs)), n.label) for n in graph.nodes]
        graphs[name] = Graph(graph.name, graph.tokens, nodes)
    compiler = Compiler(caps, compiled.image)
    programs = {name: compiler.program(graph) for name, graph in graphs.items()}
    plan = compiler.plan(programs, compiled.rows, compiled.plan.probes)
    return replace(compiled, plan=plan, graphs=graphs)


def read_value(loaded: Session, value: Value) -> Array:
    """A value as the reference holds it: int8 codes lie as [token / 8][quad][token mod 8][4] on the device."""
    array = np.frombuffer(loaded.read(value.id, 0, value.bytes), DTYPES[value.dtype])[:value.elements]
    if value.dtype == "i8":
        array = array.reshape(-1, value.shape[1] // 4, 8, 4).transpose(0, 2, 1, 3)
    return array.reshape(value.shape)


def differing(gpu: Any, compiled: Compiled, model: Model, resident: str) -> list[str]:
    """Labels of nodes whose values differ between GPU and reference, first one first; fused values are not seen."""
    shown = exposed(compiled, gpu.caps)
    reference = reference_run(shown, model, resident)
    found = []
    with session(gpu, shown, model, resident) as loaded:
        loaded.play()
        for graph in shown.graphs.values():
            for node in graph.nodes:
                readable = [value for value in node.outputs if value.id in shown.plan.slot_by_id]
                if not all(same_bits(read_value(loaded, v), reference.arrays[v.id]) for v in readable):
                    found.append(f"{graph.name}/{node.label}")
    return found


def rewritten(plan: Plan, old: str, new: str) -> Plan:
    """``plan`` with one module's text changed and everything hashed again."""
    key, text = next((k, t) for k, t in plan.modules.items() if old in t)
    changed = text.replace(old, new)
    fresh = hashlib.sha256(changed.encode()).hexdigest()
    programs = {name: tuple(replace(d, module=fresh if d.module == key else d.module) for d in ds)
                for name, ds in plan.programs.items()}
    modules = {fresh if k == key else k: changed if k == key else t for k, t in plan.modules.items()}
    return replace(plan, modules=modules, programs=programs)
