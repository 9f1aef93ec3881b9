"""Graphs to a Plan: fuse, lower every node, tile below the binding limit, give every value a slot.

Slots of scratch values are whole buffers, shared by values whose lifetimes do not meet: WebGPU tracks usage per buffer,
so parts of one arena could not be read and written in the same dispatch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from .errors import PlanError
from .fuse import fuse
from .graph import Graph, Node, Value
from .ops.ternary_product import DOT_FEATURE
from .plan import Binding, Caps, Cost, Dispatch, Plan, Probe, Slot
from .steps import COLUMNS, StepRow
from .weights import WIDE_FEATURE, Image, Weight
from .wgsl import Constant, Parameter, render

RANGE_BYTES = 16
RANGE_STRIDE_BYTES = 256


@dataclass(frozen=True)
class Window:
    """Part of a slot, to be bound."""

    slot: str
    offset: int
    bytes: int


@dataclass
class _Pool:
    """Scratch buffers, reused first fit by size."""

    sizes: dict[str, int] = field(default_factory=dict)
    free: list[str] = field(default_factory=list)
    holders: dict[str, str] = field(default_factory=dict)  # value id -> slot id

    def take(self, value: Value) -> None:
        fitting = [slot for slot in self.free if self.sizes[slot] >= value.bytes]
        slot = min(fitting, key=self.sizes.__getitem__, default=None)
        if slot is None:
            slot = f"scratch.{len(self.sizes)}"
            self.sizes[slot] = value.bytes
        else:
            self.free.remove(slot)
        self.holders[value.id] = slot

    def release(self, value: Value) -> None:
        self.free.append(self.holders[value.id])


@dataclass
class Compiler:
    """Collects what the programs of one Plan share: weights, persistent values, scratch, modules.

    ``filled``: persistent values whose id begins so are filled from a file, like weights.
    """

    caps: Caps
    image: Image
    filled: str | None = None
    modules: dict[str, str] = field(default_factory=dict)
    slots: dict[str, Slot] = field(default_factory=dict)
    ranges: list[tuple[int, int]] = field(default_factory=list)
    pool: _Pool = field(default_factory=_Pool)
    dispatches: list[Dispatch] = field(default_factory=list)
    temporary: list[Value] = field(default_factory=list)

    def program(self, graph: Graph) -> tuple[Dispatch, ...]:
        """The dispatch list of ``graph``; its scratch is free again afterwards."""
        graph = fuse(graph, self.caps)
        self.dispatches = []
        last_use = {value: index for index, node in enumerate(graph.nodes) for value in (*node.inputs, *node.outputs)}
        for index, node in enumerate(graph.nodes):
            self._lower(node)
            for value in dict.fromkeys((*node.inputs, *node.outputs)):  # in order: equal cases, equal plans
                if value.role == "scratch" and last_use[value] == index:
                    self.pool.release(value)
        return tuple(self.dispatches)

    def _lower(self, node: Node) -> None:
        for value in node.outputs:
            if value.role == "scratch" and value.id not in self.pool.holders:
                self.pool.take(value)
        node.op.lower(node, self)
        for value in self.temporary:
            self.pool.release(value)
        self.temporary = []

    def dispatch(
        self,
        kernel: str,
        constants: Mapping[str, Constant],
        buffers: Mapping[str, object],
        grid: tuple[int | str, int | str, int | str],
        label: str,
        cost: Cost,
        includes: Mapping[str, str] | None = None,
    ) -> None:
        module = render(kernel, constants, includes)
        missing = {p.name for p in module.parameters} ^ buffers.keys()
        if missing:
            raise PlanError(f"{label}: {kernel}.wgsl and its op disagree on the buffers {sorted(missing)}")
        self.modules[module.hash] = module.text
        bindings = tuple(self._binding(parameter, buffers[parameter.name]) for parameter in module.parameters)
        self.dispatches.append(Dispatch(module=module.hash, bindings=bindings, grid=grid, label=label, cost=cost))

    def tile_ranges(self, weight: Weight, multiple: int) -> Sequence[tuple[int, int, dict[str, object]]]:
        """Cut the tiles of ``weight`` so that each part is bindable: below the limit, at an aligned offset."""
        if weight.id not in self.slots:
            self.slots[weight.id] = Slot(
                id=weight.id, bytes=weight.bytes, role="weight", ranges=(self.image.reserve(weight.id, weight.bytes),)
            )
        step = multiple
        while step * weight.tile_bytes % self.caps.limit("minStorageBufferOffsetAlignment"):
            step += multiple
        limit = self.caps.limit("maxStorageBufferBindingSize")
        most = weight.tiles if weight.bytes <= limit else limit // (step * weight.tile_bytes) * step
        if most == 0:
            raise PlanError(
                f"{weight.id}: one tile of {step * weight.tile_bytes:,} bytes exceeds the binding limit {limit:,}"
            )
        found: list[tuple[int, int, dict[str, object]]] = []
        for first in range(0, weight.tiles, most):
            tiles = min(most, weight.tiles - first)
            window = Window(weight.id, first * weight.tile_bytes, tiles * weight.tile_bytes)
            found.append((first, tiles, {"weights": window, "range": self._range(first, tiles)}))
        return found

    def scales(self, weight: Weight) -> Window:
        """The whole buffer of the scales of ``weight``."""
        name = f"{weight.id}.scales"
        if name not in self.slots:
            self.slots[name] = Slot(
                id=name, bytes=weight.scale_bytes, role="weight", ranges=(self.image.reserve(name, weight.scale_bytes),)
            )
        return Window(name, 0, weight.scale_bytes)

    def _range(self, first: int, tiles: int) -> Window:
        if (first, tiles) not in self.ranges:
            self.ranges.append((first, tiles))
        return Window("ranges", self.ranges.index((first, tiles)) * RANGE_STRIDE_BYTES, RANGE_BYTES)

    def _binding(self, parameter: Parameter, target: object) -> Binding:
        window = self._window(target)
        return Binding(slot=window.slot, offset=window.offset, bytes=window.bytes, access=parameter.access)

    def _window(self, target: object) -> Window:
        if isinstance(target, Window):
            return target
        assert isinstance(target, Value)
        if target.role != "scratch":
            whole = target.whole or target
            self.keep(whole)
            return Window(whole.id, target.offset, target.bytes)
        if target.id not in self.pool.holders:
            self.pool.take(target)
            self.temporary.append(target)
        return Window(self.pool.holders[target.id], 0, target.bytes)

    def keep(self, value: Value) -> None:
        """Give a persistent value its own slot."""
        if value.id not in self.slots:
            from_file = value.role == "weight" or (self.filled is not None and value.id.startswith(self.filled))
            ranges = (self.image.reserve(value.id, value.bytes),) if from_file else ()
            self.slots[value.id] = Slot(
                id=value.id, bytes=value.bytes, role=value.role, inline=value.inline, ranges=ranges
            )

    def plan(
        self, programs: Mapping[str, tuple[Dispatch, ...]], rows: Iterable[StepRow], probes: Sequence[Probe]
    ) -> Plan:
        """The Plan of all ``programs``."""
        table = b"".join(
            first.to_bytes(4, "little") + tiles.to_bytes(4, "little") + bytes(RANGE_STRIDE_BYTES - 8)
            for first, tiles in self.ranges
        )
        slots = [*self.slots.values()]
        if table:
            slots.append(Slot(id="ranges", bytes=len(table), role="input", inline=table))
        slots += [Slot(id=slot, bytes=size, role="scratch") for slot, size in self.pool.sizes.items()]
        return Plan(
            modules=self.modules,
            slots=tuple(slots),
            programs=programs,
            columns=COLUMNS,
            steps=tuple(row.to_step() for row in rows),
            probes=tuple(probes),
            files={self.image.file: self.image.bytes},
            features=self._features(),
        )

    def _features(self) -> tuple[str, ...]:
        """What the shader texts need beyond WebGPU's core."""
        wide = any("array<u64>" in text for text in self.modules.values())
        dot = any("return dot4I8Packed" in text for text in self.modules.values())
        return (*((WIDE_FEATURE,) if wide else ()), *((DOT_FEATURE,) if dot else ()))
