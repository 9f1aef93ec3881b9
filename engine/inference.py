"""Inference as Plans: a model, a resident format and a workload become programs, steps and probes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .compile import Compiler
from .errors import PlanError
from .formats.model import Model
from .graph import Graph, Value
from .models.adapters import Adapters
from .models.bitnet import BitNet
from .models.config import Config, read_config
from .ops.sample import Sample, Sampling
from .plan import Caps, Plan, Probe
from .steps import StepRow, decode_rows, prefill_rows
from .weights import TERNARY, Image, Weight

_WORKLOAD = re.compile(r"(prefill|decode):(\d+)(?:@(\d+))?")


@dataclass(frozen=True)
class Format:
    """The type a file ships its ternary weights in and the type they are resident in."""

    shipped: str
    resident: str

    def __str__(self) -> str:
        return self.shipped if self.shipped == self.resident else f"{self.shipped}>{self.resident}"


def parse_format(text: str) -> Format:
    """``tq1_0``, ``tq2_0``, ``tq1_0>tq2_0``."""
    shipped, arrow, held = text.partition(">")
    if shipped not in TERNARY or (arrow and held not in TERNARY):
        raise PlanError(f"format {text!r} is unknown; use tq1_0, tq2_0, tq1_0>tq2_0 or tq2_0>tq1_0")
    return Format(shipped, held or shipped)


@dataclass(frozen=True)
class Workload:
    """``prefill:N``: N prompt tokens. ``decode:N@D``: N generated tokens after D positions (at least the first
    token).
    """

    kind: str
    tokens: int
    depth: int = 0

    @classmethod
    def parse(cls, text: str) -> Workload:
        match = _WORKLOAD.fullmatch(text)
        if not match or int(match[2]) == 0 or (match[1] == "prefill" and match[3]):
            raise PlanError(f"workload {text!r} is unknown; use prefill:512, decode:128 or decode:128@512")
        return cls(match[1], int(match[2]), int(match[3] or 0))

    def __str__(self) -> str:
        return f"{self.kind}:{self.tokens}" + (f"@{self.depth}" if self.depth else "")

    @property
    def prompt(self) -> int:
        """Prompt tokens: a decode run starts from one token, or from its depth."""
        return self.tokens if self.kind == "prefill" else max(1, self.depth)

    @property
    def generated(self) -> int:
        """Decode steps after the first token that the prompt itself yields."""
        return self.tokens if self.kind == "decode" else 0


@dataclass(frozen=True)
class Compiled:
    """A Plan with the image its weights come from, its rows and graphs (for the reference)."""

    plan: Plan
    image: Image
    rows: tuple[StepRow, ...]
    graphs: dict[str, Graph]
    config: Config
    first_decode: int

    @property
    def ternary_weights(self) -> int:
        """How many weights are held as trits."""
        ops = (node.op for graph in self.graphs.values() for node in graph.nodes)
        held = {weight.id: weight for op in ops if isinstance(weight := getattr(op, "weight", None), Weight)}
        return sum(weight.rows * weight.cols for weight in held.values() if weight.ternary)


def synthetic_prompt(vocabulary: int, tokens: int) -> list[int]:
    """A fixed prompt for benchmarks: ids spread over the vocabulary by a multiplicative hash."""
    return [(7 + i * 2654435761) % (1 << 32) % vocabulary for i in range(tokens)]


def compile_workload(
    model: Model,
    fmt: Format,
    workload: Workload,
    caps: Caps,
    *,
    activation: str | None = None,
    chunk: int | None = None,
    sampling: Sampling | None = None,
) -> Compiled:
    """The benchmark Plan of ``workload``; probes "tokens" (all ids) and "logits" (of the last step)."""
    config = read_config(model, activation)
    prompt = synthetic_prompt(config.vocabulary, workload.prompt)
    return compile_generation(
        model, fmt, prompt, workload.generated, caps, activation=activation, chunk=chunk, sampling=sampling
    )


def compile_generation(
    model: Model,
    fmt: Format,
    prompt: Sequence[int],
    generate: int,
    caps: Caps,
    *,
    activation: str | None = None,
    chunk: int | None = None,
    sampling: Sampling | None = None,
    adapters: Adapters | None = None,
) -> Compiled:
    """Prefill of ``prompt`` in chunks, which yields the first token, then ``generate`` decode steps, a token each."""
    longest = len(prompt) + generate
    family = _Family(model, fmt, prompt, longest, caps, activation, chunk, sampling or Sampling(), adapters)
    rows = [*prefill_rows(len(prompt), family.chunk), *decode_rows(len(prompt), generate)]
    probes = [
        Probe(name="tokens", slot="tokens", offset=0, bytes=(len(prompt) + generate + 1) * 4),
        Probe(name="logits", slot="logits", offset=0, bytes=family.config.vocabulary * 4),
    ]
    return family.compiled(rows, probes)


def compile_logits(
    model: Model,
    tokens: Sequence[int],
    fmt: Format,
    caps: Caps,
    *,
    activation: str | None = None,
    chunk: int | None = None,
    adapters: Adapters | None = None,
) -> Compiled:
    """Logits of all positions: slot and probe "logits_all", f32 (len(tokens), V)."""
    family = _Family(model, fmt, tokens, len(tokens), caps, activation, chunk, Sampling(), adapters)
    size = len(tokens) * family.config.vocabulary * 4
    probe = Probe(name="logits", slot="logits_all", offset=0, bytes=size)
    return family.compiled(list(prefill_rows(len(tokens), len(tokens), last="logits")), [probe])


class _Family:
    """The programs that share one model's buffers."""

    def __init__(
        self,
        model: Model,
        fmt: Format,
        prompt: Sequence[int],
        longest: int,
        caps: Caps,
        activation: str | None,
        chunk: int | None,
        sampling: Sampling,
        adapters: Adapters | None,
    ) -> None:
        self.config = config = read_config(model, activation)
        check_tokens(prompt, config, longest)
        self.caps, self.sampling = caps, sampling
        adapters = adapters or Adapters()
        self.image = Image(model, f"{fmt.resident}/{longest}{adapters.layout}")
        self.net = BitNet(model, config, fmt.resident, longest, adapters)
        self.chunk = min(chunk or default_chunk(caps, config), len(prompt))
        ids = np.asarray(prompt, "<u4").tobytes()
        self.tokens = Value("tokens", (longest + 1,), "u32", "input", ids)
        self.last_logits = Value("logits", (1, config.vocabulary), role="output")
        self.all_logits = Value("logits_all", (len(prompt), config.vocabulary), role="output")

    def graph(self, name: str) -> Graph:
        graph = Graph(name, 1 if name == "decode" else self.all_logits.shape[0] if name == "logits" else self.chunk)
        x = self.net.hidden(graph, self.tokens)
        if name == "logits":
            self.net.logits(graph, x, self.all_logits, last=False)
        elif name != "prefill":
            self.net.logits(graph, x, self.last_logits, last=True)
            graph.add(Sample(self.sampling), [self.last_logits, self.tokens], "sample")
        return graph

    def compiled(self, rows: Sequence[StepRow], probes: Sequence[Probe]) -> Compiled:
        names = list(dict.fromkeys(row.program for row in rows))
        graphs = {name: self.graph(name) for name in names}
        compiler = Compiler(self.caps, self.image)
        programs = {name: compiler.program(graph) for name, graph in graphs.items()}
        first_decode = next((i for i, row in enumerate(rows) if row.program == "decode"), len(rows))
        return Compiled(
            compiler.plan(programs, rows, probes), self.image, tuple(rows), graphs, self.config, first_decode
        )


def check_tokens(tokens: Sequence[int], config: Config, longest: int) -> None:
    """Raise PlanError for an empty prompt, ids outside the vocabulary, or more positions than the context."""
    if not tokens:
        raise PlanError("the prompt has no tokens")
    for token in tokens:
        if not 0 <= token < config.vocabulary:
            raise PlanError(f"token {token} is outside the vocabulary 0..{config.vocabulary - 1}")
    if longest > config.context:
        raise PlanError(
            f"{longest} positions exceed the model's context of {config.context}; shorten the prompt or the run"
        )


def default_chunk(caps: Caps, config: Config) -> int:
    """Prompt tokens a step: bounded work on a processor, and activations below the binding limit."""
    uniform = caps.limit("maxUniformBufferBindingSize") // max(config.feed_forward, config.embedding) // 8 * 8
    most = max(8, min(32, uniform)) if caps.kind == "cpu" else 512
    widest = max(2 * config.feed_forward, config.embedding + 2 * config.kv_width) * 4
    return max(1, min(most, caps.limit("maxStorageBufferBindingSize") // widest))
