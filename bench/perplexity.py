"""Perplexity: how surprised a model (with or without adapters) is by a text, token by token, on a device.

A text is cut into windows of ``context`` tokens. Every token but a text's first is predicted exactly once: a window
begins with the model's mark of a beginning (BOS) where its tokenizer sets one, else with the token before. A plain file
is one text; of a folder, JSON lines or what ships each document is one, closed by EOS, and counted are the tokens that
fine-tuning would learn. The log-sum-exp is done here, in float64.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tritmark.devices.base import Bundle, Device, Session, finished
from tritmark.engine.corpus.named import named_documents
from tritmark.engine.data.documents import is_plain
from tritmark.engine.data.encoding import encode
from tritmark.engine.errors import DataError
from tritmark.engine.formats.model import Model, open_model
from tritmark.engine.inference import Compiled, parse_format
from tritmark.engine.models.adapters import open_adapters
from tritmark.engine.models.config import read_config
from tritmark.engine.scoring import compile_windows
from tritmark.engine.tokenizers import load_tokenizer

from .inquire import own_format, read

CONTEXT = 512  # of a window, unless the model's own is shorter


class Window(NamedTuple):
    """Token ids, and whether each is asked about."""

    ids: list[int]
    counted: list[bool]


@dataclass(frozen=True, kw_only=True)
class Text:
    """Token ids of a text; ``opened``: the first is the mark of a beginning, which starts each window. ``counted``:
    which of them are asked about (None: all).
    """

    ids: Sequence[int]
    opened: bool = False
    counted: Sequence[bool] | None = None

    def windows(self, context: int) -> list[Window]:
        """Windows of at most ``context`` tokens; all but the first of each are to be predicted."""
        if context < 2:
            raise DataError(f"a context of {context} leaves nothing to predict; use at least 2")
        if len(self.ids) < 2:
            raise DataError(f"the text has {len(self.ids)} tokens; there is nothing to predict in fewer than 2")
        firsts = range(0, len(self.ids) - 1, context - 1)
        counted = [True] * len(self.ids) if self.counted is None else self.counted
        return [
            Window([self.ids[0 if self.opened else i], *self.ids[i + 1 : i + context]],
                   [False, *counted[i + 1 : i + context]])
            for i in firsts
        ]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Score:
    """``tokens`` were predicted, at ``nll`` nats each on average."""

    tokens: int
    windows: int
    context: int
    nll: float
    perplexity: float
    model_sha256: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def read_texts(model: Model, data: str) -> list[Text]:
    """The texts of ``data``, a path or what ships by its name (what that holds out), in the model's own tokens."""
    documents, apart = named_documents(data)
    tokenizer = load_tokenizer(model.metadata)
    if apart is None and is_plain(Path(data)):
        ids = tokenizer.encode(documents[0].parts[0][0])
        return [Text(ids=ids, opened=bool(ids) and ids[0] == tokenizer.bos_id)]
    found = encode(documents if apart is None else apart, tokenizer, answers_only=True)
    texts = [
        Text(ids=ids, opened=ids[0] == tokenizer.bos_id, counted=document.learnt.tolist())
        for document in found
        if document.learnt[1:].any() and (ids := document.ids.tolist())
    ]
    if not texts:
        raise DataError(f"{data} has no token to predict")
    return texts


def perplexity(
    device: Device,
    spec: str,
    texts: Sequence[Text],
    *,
    loras: Sequence[str] = (),
    context: int | None = None,
    format: str | None = None,
    activation: str | None = None,
    chunk: int | None = None,
) -> Score:
    """The perplexity of ``texts`` under the model ``spec`` with adapters ``loras``, on ``device``."""
    model = open_model(spec)
    adapters = open_adapters(loras, model)
    fmt = parse_format(format or own_format(model))
    size = min(CONTEXT, read_config(model, activation).context) if context is None else context
    windows = [window for text in texts for window in text.windows(size)]
    with device.session() as session:
        ids = [window.ids for window in windows]
        compiled = compile_windows(
            model, ids, fmt, session.caps, adapters=adapters, activation=activation, chunk=chunk
        )
        session.load(Bundle(plan=compiled.plan, model=spec, format=str(fmt), files=adapters.files))
        total = math.fsum(np.concatenate(list(_surprises(session, compiled, windows))))
    tokens = sum(sum(window.counted) for window in windows)
    nll = total / tokens
    return Score(tokens=tokens, windows=len(windows), context=size, nll=nll, perplexity=_exp(nll),
                 model_sha256=model.sha256)  # fmt: skip


def _surprises(
    session: Session, compiled: Compiled, windows: Sequence[Window]
) -> Iterator[npt.NDArray[np.float64]]:
    """-ln p of the tokens that are asked about, a step at a time."""
    remaining, window = iter(windows), Window([], [])
    for step, row in enumerate(compiled.rows):
        finished(session.play(step, step + 1))
        if row.program == "take":
            window = next(remaining)
            continue
        said = slice(row.position + 1, row.position + row.count + 1)
        wanted = window.ids[said]  # a window's last token predicts none
        if not wanted:
            continue
        size = len(wanted) * compiled.config.vocabulary * 4
        logits = np.frombuffer(read(session, "logits", size), "<f4").reshape(len(wanted), compiled.config.vocabulary)
        yield surprise(logits, wanted)[window.counted[said]]


def surprise(logits: npt.NDArray[np.float32], tokens: Sequence[int]) -> npt.NDArray[np.float64]:
    """-ln softmax(logits (n, V))[token] of n tokens."""
    wide = logits.astype(np.float64)
    top = wide.max(axis=1, keepdims=True)
    logs = np.log(np.exp(wide - top).sum(axis=1)) + top[:, 0]
    found: npt.NDArray[np.float64] = logs - wide[np.arange(len(tokens)), list(tokens)]
    return found


def _exp(nll: float) -> float:
    """e^nll, infinite where a float cannot hold it."""
    return math.exp(nll) if nll < 700 else math.inf
