"""Training as Plans: a frozen ternary model, an adapter, data and a schedule become programs, steps and probes.

The programs: ``start`` clears the state and draws the adapter's first numbers, ``train`` adds the gradients of one
micro-batch, ``update`` makes an optimiser step of them, ``evaluate`` only writes the loss of a micro-batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from .compile import Compiler
from .errors import PlanError
from .formats.model import Model
from .grad import backward
from .graph import Graph, Value
from .inference import Compiled, Format
from .models.bitnet import BitNet
from .models.config import Config, read_config
from .models.lora import Lora, lora_parameters
from .models.parameters import STATE, Parameters
from .models.trainable import Adapted, Batches, Trainable
from .ops.adamw import AdamW, GradientNorm
from .ops.fill import Fill
from .ops.op import Op
from .ops.quantize import FINE
from .ops.uniform import Uniform, stream_seed
from .plan import Caps, Probe
from .steps import StepRow
from .weights import Image

if TYPE_CHECKING:
    from .schedule import Schedule
    from .volumes import Volume

U32 = npt.NDArray[np.uint32]
UNLABELLED = 0xFFFFFFFF


@dataclass(frozen=True)
class MicroBatches:
    """Tokens and labels (n, M), spans (n, M, 2), as engine/data makes them. The last ``held_out`` are not learnt from.
    """

    tokens: U32
    labels: U32
    spans: U32
    held_out: int = 0

    @property
    def learnt(self) -> int:
        return len(self.tokens) - self.held_out

    @property
    def size(self) -> int:
        """Tokens of a micro-batch."""
        return int(self.tokens.shape[1])

    @property
    def longest(self) -> int:
        """Most tokens of a document."""
        return int((self.spans[..., 1] - self.spans[..., 0]).max())

    def tokens_of(self, indices: Sequence[int]) -> int:
        """Tokens of some micro-batches, padding (documents of one token, which teach nothing) left out."""
        spans = self.spans[list(indices)]
        return int((spans[..., 1] - spans[..., 0] > 1).sum())

    def supervised(self, indices: Sequence[int]) -> int:
        """Labelled tokens of some micro-batches."""
        return int((self.labels[list(indices)] != UNLABELLED).sum())


@dataclass(frozen=True)
class Optimiser:
    """AdamW's constants, and the global norm that gradients are clipped to (None: not)."""

    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    clip: float | None = 1.0


@dataclass(frozen=True)
class Course:
    """What a run learns from, in order: an optimiser step for each of ``steps`` (indices of its micro-batches), and the
    steps (1-based; 0 is before the first) after which the held-out micro-batches are evaluated.
    """

    steps: Sequence[Sequence[int]]
    schedule: Schedule
    evaluated: frozenset[int] = frozenset()

    def rows(self, batches: MicroBatches, optimiser: Optimiser) -> Iterator[StepRow]:
        micro = 0
        evaluations = iter(range(len(self.evaluated) * batches.held_out))
        yield StepRow("start", 0, 1, 0)
        if 0 in self.evaluated:
            yield from _evaluation(batches, evaluations)
        for step, indices in enumerate(self.steps, 1):
            share = 1 / max(1, batches.supervised(indices))
            for index in indices:
                yield StepRow("train", index * batches.size, batches.size, micro, share)
                micro += 1
            rate = self.schedule.rate_at(step)
            yield StepRow(
                "update", 0, 1, step - 1, rate=rate, keep=1 - rate * self.schedule.decay_at(step),
                unbias1=1 / (1 - optimiser.beta1**step), unbias2=1 / (1 - optimiser.beta2**step),
            )  # fmt: skip
            if step in self.evaluated:
                yield from _evaluation(batches, evaluations)


def _evaluation(batches: MicroBatches, draws: Iterator[int]) -> Iterator[StepRow]:
    """Rows that write the losses of the held-out micro-batches; together they are their mean loss."""
    held_out = range(batches.learnt, len(batches.tokens))
    share = 1 / max(1, batches.supervised(held_out))
    for index in held_out:
        yield StepRow("evaluate", index * batches.size, batches.size, next(draws), share)


def compile_lora(
    model: Model,
    fmt: Format,
    lora: Lora,
    batches: MicroBatches,
    course: Course,
    caps: Caps,
    *,
    optimiser: Optimiser | None = None,
    activation: str | None = None,
    fine: bool = False,
    recomputed: int | None = None,
    resumed: str | None = None,
    volume: Volume | None = None,
) -> Compiled:
    """A fine-tuning run; probes "adapter" and "losses" (of each micro-batch).

    The slots "state/..." are all that goes on from one optimiser step to the next.

    ``fine``: activations of 22 bits instead of int8. ``recomputed``: layers, from the first on, that keep only their
    input and are computed again on the way back; all but the last, whose values are wanted at once, unless told
    otherwise. ``resumed``: SHA-256 of the file with the prefix "state" that these slots are filled from; the steps
    before it need not be played. ``volume``: only this part of the run, with its own data.
    """
    config = read_config(model, activation)
    longest = batches.longest
    parameters = lora_parameters(lora, config)
    net = BitNet(model, config, fmt.resident, longest)
    learner = Learner(
        trainable=Adapted(config, FINE if fine else 1, longest, net, lora, parameters),
        parameters=parameters,
        image=Image(model, f"{fmt.resident}/lora/{longest}" + (f"/{resumed}" if resumed else "")),
        starts={
            name: Uniform(stream_seed(lora.seed, name), shape[1] ** -0.5)
            for name, shape in parameters.shapes.items()
            if name.endswith(".lora_a")
        },
    )
    return compile_run(
        learner, batches, course, caps, optimiser or Optimiser(), recomputed, f"{STATE}/" if resumed else None, volume
    )


@dataclass(frozen=True)
class Learner:
    """What learns: its graph, its parameters, where its frozen weights come from, and the ops that draw the first
    numbers of those parameters that do not start at zero.
    """

    trainable: Trainable
    parameters: Parameters
    image: Image
    starts: Mapping[str, Op]


def compile_run(
    learner: Learner,
    batches: MicroBatches,
    course: Course,
    caps: Caps,
    optimiser: Optimiser,
    recomputed: int | None,
    filled: str | None,
    volume: Volume | None = None,
) -> Compiled:
    """The Plan of a run of ``learner``, or of a volume of it. ``filled``: how slots begin that a file fills: all of the
    state, or a part.
    """
    _check(batches, learner.trainable.config)
    return _Run(learner, batches, course, caps, optimiser, recomputed, filled, volume).compiled()


class _Run:
    """The programs of a run and the values they share."""

    def __init__(
        self,
        learner: Learner,
        batches: MicroBatches,
        course: Course,
        caps: Caps,
        optimiser: Optimiser,
        recomputed: int | None,
        filled: str | None,
        volume: Volume | None,
    ) -> None:
        self.learner, self.trainable, self.parameters = learner, learner.trainable, learner.parameters
        self.config = self.trainable.config
        self.batches, self.caps, self.optimiser, self.filled = batches, caps, optimiser, filled
        self.recomputed = self.config.layers - 1 if recomputed is None else recomputed
        rows = tuple(course.rows(batches, optimiser))
        self.rows = volume.played(rows, batches.size) if volume else rows
        self.programs = tuple(dict.fromkeys(row.program for row in rows))  # a volume has all the state, used or not
        held = volume.batches(batches) if volume else batches
        count = held.tokens.size
        self.data = Batches(
            _input("tokens", held.tokens, (count,)),
            _input("labels", held.labels, (count,)),
            _input("spans", held.spans, (count, 2)),
        )
        self.losses, self.norms, self.held_out = (
            Value(f"{STATE}/{name}", (max(1, sum(row.program == program for row in rows)),), role="output")
            for name, program in (("losses", "train"), ("norms", "update"), ("held_out", "evaluate"))
        )

    def graph(self, name: str) -> Graph:
        graph = Graph(name, self.batches.size, learns=name == "train")
        {"start": self._start, "train": self._train, "update": self._update, "evaluate": self._evaluate}[name](graph)
        return graph

    def _start(self, graph: Graph) -> None:
        """A run may be played again from here: nothing is left of the one before."""
        p = self.parameters
        for value in (p.weights, p.gradients, *p.moments, self.losses, self.norms, self.held_out):
            graph.add(Fill(), [value], f"{value.id}.zeros")
        for name, op in self.learner.starts.items():
            graph.add(op, [p.parts[name]], name)

    def _train(self, graph: Graph) -> None:
        logits, layers = self.trainable.forward(graph, self.data)
        forward = list(graph.nodes)
        self.trainable.loss(graph, self.data, logits, self.losses)
        backward(graph, forward, {logits: logits}, self.parameters.gradient_of, layers[: self.recomputed])

    def _evaluate(self, graph: Graph) -> None:
        logits, _ = self.trainable.forward(graph, self.data)
        self.trainable.loss(graph, self.data, logits, self.held_out)

    def _update(self, graph: Graph) -> None:
        p, o = self.parameters, self.optimiser
        most = o.clip if o.clip is not None else float(np.finfo(np.float32).max)
        (norm,) = graph.add(GradientNorm(most), [p.gradients, self.norms], "gradient_norm")
        for group, decays in p.groups():
            graph.add(AdamW(o.beta1, o.beta2, o.eps, decays), [*group, norm], "adamw" if decays else "adamw.vectors")

    def compiled(self) -> Compiled:
        graphs = {name: self.graph(name) for name in self.programs}
        compiler = Compiler(self.caps, self.learner.image, filled=self.filled)
        programs = {name: compiler.program(graph) for name, graph in graphs.items()}
        probes = [
            Probe(name=name, slot=slot.id, offset=0, bytes=slot.bytes)
            for name, slot in (("adapter", self.parameters.weights), ("losses", self.losses))
        ]
        plan = compiler.plan(programs, self.rows, probes)
        return Compiled(plan, self.learner.image, self.rows, graphs, self.config, len(self.rows))


def _input(name: str, array: U32, shape: tuple[int, ...]) -> Value:
    return Value(name, shape, "u32", "input", np.ascontiguousarray(array, "<u4").tobytes())


def _check(batches: MicroBatches, config: Config) -> None:
    if batches.learnt < 1 or not batches.size:
        raise PlanError("there is nothing to learn from: no micro-batch")
    largest, vocabulary = int(batches.tokens.max()), config.vocabulary
    if largest >= vocabulary:
        raise PlanError(f"token {largest} is outside 0..{vocabulary - 1}; the data was made with another tokenizer")
    if batches.longest > config.context:
        raise PlanError(f"a document of {batches.longest} tokens exceeds the model's context of {config.context}")


def slot_of(name: str) -> str:
    """The slot that holds the run's ``name``: "parameters", "moments.1", "losses", "norms", "held_out"."""
    return f"{STATE}/{name}"


def step_rows(rows: Sequence[StepRow]) -> tuple[range, list[range]]:
    """The rows before the first optimiser step, and those of each: its micro-batches, the update, the evaluation."""
    programs = [row.program for row in rows]
    begin = programs.index("train")
    firsts = [at for at in range(begin, len(rows)) if programs[at] == "train" and programs[at - 1] != "train"]
    ends = [*firsts[1:], len(rows)]
    return range(begin), [range(first, end) for first, end in zip(firsts, ends, strict=True)]
