"""Small training runs: their data, and how a player and the NumPy reference play them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from engine_runs import Array
from imagined_device import CAPS

from tritmark.engine.formats.adapter import read_adapter
from tritmark.engine.formats.blocks import dense
from tritmark.engine.formats.model import Model
from tritmark.engine.graph import Value
from tritmark.engine.inference import Compiled
from tritmark.engine.models.source import Source
from tritmark.engine.reference import Reference
from tritmark.engine.schedule import Schedule
from tritmark.engine.training import UNLABELLED, Course, MicroBatches, slot_of

GOLDEN = Path(__file__).parent.parent.parent / "shared" / "golden"
__all__ = ["CAPS", "GOLDEN"]


@dataclass(frozen=True)
class Spot:
    """A run in NumPy: its reference and the values of its graphs by id."""

    reference: Reference
    values: Mapping[str, Value]

    def array(self, name: str) -> Array:
        """The array behind a state slot, or behind a parameter or gradient: "parameters.blk.0...lora_a"."""
        value = self.values.get(name) or self.values[slot_of(name)]
        return self.reference._array(value, {})


def spot(compiled: Compiled, model: Model, resident: str) -> Spot:
    """``compiled`` in NumPy, nothing played yet."""
    source, slots = Source(model, resident), compiled.plan.slot_by_id
    nodes = [node for graph in compiled.graphs.values() for node in graph.nodes]
    values = {value.id: value for node in nodes for value in (*node.inputs, *node.outputs)}
    weights = [value for value in values.values() if value.role == "weight"]
    constants = {value.id: source.array(slots[value.id]).reshape(value.shape) for value in weights}
    return Spot(Reference(compiled.graphs, constants), values)


def load_adapter(run: Spot, path: Path) -> None:
    """Set the run's parameters to those of an adapter file."""
    adapter = read_adapter(path)
    for name, info in adapter.file.tensors.items():
        run.array(f"parameters.{name}")[...] = dense(adapter.file.packed(name), info.type, info.cols)


def random_batches(count: int, tokens: int, vocabulary: int, seed: int = 1, held_out: int = 0) -> MicroBatches:
    """Micro-batches of random tokens: two documents each, the last third of each supervised."""
    random = np.random.default_rng(seed)
    ids = random.integers(0, vocabulary, (count, tokens), np.uint32)
    labels = np.full((count, tokens), UNLABELLED, np.uint32)
    spans = np.zeros((count, tokens, 2), np.uint32)
    cut = tokens // 3
    for first, end in ((0, cut), (cut, tokens)):
        spans[:, first:end] = (first, end)
        begin = first + (end - first) * 2 // 3
        labels[:, begin : end - 1] = ids[:, begin + 1 : end]
    return MicroBatches(ids, labels, spans, held_out)


def course(steps: Sequence[Sequence[int]], rate: float = 1e-3, evaluated: Sequence[int] = ()) -> Course:
    return Course(steps, Schedule(rate=rate, total=len(steps)), frozenset(evaluated))


def golden_batches(data: Mapping[str, Any], masked: bool = True) -> MicroBatches:
    """The three samples of train_golden.npz, a micro-batch each."""
    ids, labels, mask = (np.stack([data[f"sample{i}/{what}"] for i in range(3)]) for what in ("ids", "labels", "mask"))
    labels = np.where((mask > 0) | (not masked), labels, UNLABELLED).astype(np.uint32)
    spans = np.broadcast_to(np.array([0, ids.shape[1]], np.uint32), (*ids.shape, 2))
    return MicroBatches(ids.astype(np.uint32), labels, spans)
