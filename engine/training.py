"""Training as Plans: a frozen ternary model, an adapter, data and a schedule become programs, steps and probes.

The programs: ``start`` clears the state and draws the adapter's first numbers, ``train`` adds the gradients of one
micro-batch, ``update`` makes an optimiser step of them, ``evaluate`` only writes the loss of a micro-batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
from .models.config import read_config
from .models.lora import STATE, Lora, lora_parameters
from .models.trainable import Adapted, Batches
from .ops.adamw import AdamW, GradientNorm
from .ops.quantize import FINE
from .ops.uniform import Uniform, stream_seed
from .ops.zeros import Zeros
from .plan import Caps, Probe
from .steps import StepRow
from .weights import Image

if TYPE_CHECKING:
    from .schedule import Schedule

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
) -> Compiled:
    """A fine-tuning run; probes "adapter" and "losses" (of each micro-batch).

    The slots "state/..." are all that goes on from one optimiser step to the next.

    ``fine``: activations of 22 bits instead of int8. ``recomputed``: layers, from the first on, that keep only their
    input and are computed again on the way back; all but the last unless told otherwise, whose values are wanted at
    once. ``resumed``: SHA-256 of the file with the
    prefix "state" that these slots are filled from; the steps before it need not be played.
    """
    optimiser = optimiser or Optimiser()
    run = _Run(model, fmt, lora, batches, course, caps, optimiser, activation, fine, recomputed, resumed)
    return run.compiled()


class _Run:
    """The programs of a run and the values they share."""

    def __init__(
        self,
        model: Model,
        fmt: Format,
        lora: Lora,
        batches: MicroBatches,
        course: Course,
        caps: Caps,
        optimiser: Optimiser,
        activation: str | None,
        fine: bool,
        recomputed: int | None,
        resumed: str | None,
    ) -> None:
        self.config = config = read_config(model, activation)
        _check(batches, config.vocabulary)
        self.lora, self.batches, self.caps = lora, batches, caps
        self.optimiser = optimiser
        self.recomputed = config.layers - 1 if recomputed is None else recomputed
        longest = int((batches.spans[..., 1] - batches.spans[..., 0]).max())
        if longest > config.context:
            raise PlanError(f"a document of {longest} tokens exceeds the model's context of {config.context}")
        self.image = Image(model, f"{fmt.resident}/lora/{longest}" + (f"/{resumed}" if resumed else ""))
        self.resumed = resumed is not None
        self.parameters = lora_parameters(lora, config)
        net = BitNet(model, config, fmt.resident, longest)
        self.trainable = Adapted(config, FINE if fine else 1, longest, net, lora, self.parameters)
        self.rows = tuple(course.rows(batches, optimiser))
        self.data = Batches(
            *(
                Value(name, shape, "u32", "input", np.ascontiguousarray(array, "<u4").tobytes())
                for name, array, shape in (
                    ("tokens", batches.tokens, (batches.tokens.size,)),
                    ("labels", batches.labels, (batches.tokens.size,)),
                    ("spans", batches.spans, (batches.tokens.size, 2)),
                )
            )
        )
        self.losses, self.norms, self.held_out = (
            Value(f"{STATE}/{name}", (max(1, sum(row.program == program for row in self.rows)),), role="output")
            for name, program in (("losses", "train"), ("norms", "update"), ("held_out", "evaluate"))
        )

    def graph(self, name: str) -> Graph:
        graph = Graph(name, self.batches.size)
        {"start": self._start, "train": self._train, "update": self._update, "evaluate": self._evaluate}[name](graph)
        return graph

    def _start(self, graph: Graph) -> None:
        """A run may be played again from here: nothing is left of the one before."""
        p = self.parameters
        for value in (p.weights, p.gradients, *p.moments, self.losses, self.norms, self.held_out):
            graph.add(Zeros(), [value], f"{value.id}.zeros")
        for name, part in self.parameters.parts.items():
            if name.endswith(".lora_a"):
                bound = part.shape[1] ** -0.5
                graph.add(Uniform(stream_seed(self.lora.seed, name), bound), [part], name)

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
        graph.add(AdamW(o.beta1, o.beta2, o.eps), [p.weights, p.gradients, *p.moments, norm], "adamw")

    def compiled(self) -> Compiled:
        names = list(dict.fromkeys(row.program for row in self.rows))
        graphs = {name: self.graph(name) for name in names}
        compiler = Compiler(self.caps, self.image, filled=f"{STATE}/" if self.resumed else None)
        programs = {name: compiler.program(graph) for name, graph in graphs.items()}
        probes = [
            Probe(name=name, slot=slot.id, offset=0, bytes=slot.bytes)
            for name, slot in (("adapter", self.parameters.weights), ("losses", self.losses))
        ]
        plan = compiler.plan(programs, self.rows, probes)
        return Compiled(plan, self.image, self.rows, graphs, self.config, len(self.rows))


def _check(batches: MicroBatches, vocabulary: int) -> None:
    if batches.learnt < 1 or not batches.size:
        raise PlanError("there is nothing to learn from: no micro-batch")
    largest = int(batches.tokens.max())
    if largest >= vocabulary:
        raise PlanError(f"token {largest} is outside 0..{vocabulary - 1}; the data was made with another tokenizer")


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
