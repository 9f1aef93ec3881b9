"""Logits of a long text as one Plan: windows that start afresh, a chunk of a window a step.

A step's logits are the first rows of the slot "logits", to be read before the next step overwrites them: those of a
whole window of a large vocabulary would exceed what a device lets a buffer hold.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .compile import Compiler
from .errors import PlanError
from .formats.model import Model
from .graph import Graph, Value
from .inference import Compiled, Format, check_tokens, default_chunk
from .models.adapters import Adapters
from .models.bitnet import BitNet
from .models.config import read_config
from .ops.take import Take
from .plan import Caps, Probe
from .steps import StepRow, prefill_rows
from .weights import Image

LOGITS_BYTES = 32 << 20  # most that a step leaves to be read


def compile_windows(
    model: Model,
    windows: Sequence[Sequence[int]],
    fmt: Format,
    caps: Caps,
    *,
    adapters: Adapters | None = None,
    activation: str | None = None,
    chunk: int | None = None,
) -> Compiled:
    """For each of ``windows`` a step "take" and then steps "logits", each of which leaves the logits (count, V) of its
    tokens.
    """
    if not windows:
        raise PlanError("the text has no tokens")
    config, adapters = read_config(model, activation), adapters or Adapters()
    longest = max(map(len, windows))
    for window in windows:
        check_tokens(window, config, longest)
    chunk = min(chunk or default_chunk(caps, config), longest, max(1, LOGITS_BYTES // (4 * config.vocabulary)))
    ids = np.concatenate([np.asarray(window, "<u4") for window in windows])
    text = Value("text", (len(ids),), "u32", "input", ids.tobytes())
    tokens = Value("tokens", (longest,), "u32", "state")
    logits = Value("logits", (chunk, config.vocabulary), role="output")

    image = Image(model, f"{fmt.resident}/{longest}{adapters.layout}")
    net = BitNet(model, config, fmt.resident, longest, adapters)
    graphs = {"take": Graph("take", longest), "logits": Graph("logits", chunk)}
    graphs["take"].add(Take(), [text, tokens], "take")
    net.logits(graphs["logits"], net.hidden(graphs["logits"], tokens), logits, last=False)

    rows = tuple(_rows(windows, chunk))
    compiler = Compiler(caps, image)
    programs = {name: compiler.program(graph) for name, graph in graphs.items()}
    probe = Probe(name="logits", slot="logits", offset=0, bytes=logits.bytes)
    return Compiled(compiler.plan(programs, rows, [probe]), image, rows, graphs, config, len(rows))


def _rows(windows: Sequence[Sequence[int]], chunk: int) -> list[StepRow]:
    rows, first = [], 0
    for window in windows:
        rows.append(StepRow("take", first, len(window), 0))
        steps = prefill_rows(len(window), chunk, last="logits")
        rows += [StepRow("logits", step.position, step.count, 0) for step in steps]
        first += len(window)
    return rows
