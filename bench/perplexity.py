"""Perplexity: how surprised a model (with or without adapters) is by a text, token by token, on a device.

The text is cut into windows of ``context`` tokens. Every token but the text's first is predicted exactly once: a window
begins with the model's mark of a beginning (BOS) where its tokenizer sets one, else with the token before. The
log-sum-exp is done here, in float64.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tritmark.devices.base import Bundle, Device, Session, finished
from tritmark.engine.errors import DataError
from tritmark.engine.formats.model import Model, open_model
from tritmark.engine.inference import Compiled, parse_format
from tritmark.engine.models.adapters import open_adapters
from tritmark.engine.models.config import read_config
from tritmark.engine.scoring import compile_windows
from tritmark.engine.tokenizers import load_tokenizer

from .inquire import own_format, read

CONTEXT = 512  # of a window, unless the model's own is shorter


@dataclass(frozen=True, kw_only=True)
class Text:
    """Token ids of a text; ``opened``: the first is the mark of a beginning, which starts each window."""

    ids: Sequence[int]
    opened: bool = False

    def windows(self, context: int) -> list[list[int]]:
        """Windows of at most ``context`` tokens; all but the first of each are to be predicted."""
        if context < 2:
            raise DataError(f"a context of {context} leaves nothing to predict; use at least 2")
        if len(self.ids) < 2:
            raise DataError(f"the text has {len(self.ids)} tokens; there is nothing to predict in fewer than 2")
        firsts = range(0, len(self.ids) - 1, context - 1)
        return [[self.ids[0 if self.opened else i], *self.ids[i + 1 : i + context]] for i in firsts]


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


def read_text(path: Path) -> str:
    """The UTF-8 text at ``path``."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: byte {error.start} is not UTF-8; --data takes a plain text file") from None


def encoded(model: Model, text: str) -> Text:
    """``text`` as the model's own tokenizer reads it, with the special tokens that its file asks for."""
    tokenizer = load_tokenizer(model.metadata)
    ids = tokenizer.encode(text)
    return Text(ids=ids, opened=bool(ids) and ids[0] == tokenizer.bos_id)


def perplexity(
    device: Device,
    spec: str,
    text: Text | str,
    *,
    loras: Sequence[str] = (),
    context: int | None = None,
    format: str | None = None,
    activation: str | None = None,
    chunk: int | None = None,
) -> Score:
    """The perplexity of ``text`` under the model ``spec`` with adapters ``loras``, on ``device``."""
    model = open_model(spec)
    adapters = open_adapters(loras, model)
    fmt = parse_format(format or own_format(model))
    size = min(CONTEXT, read_config(model, activation).context) if context is None else context
    windows = (encoded(model, text) if isinstance(text, str) else text).windows(size)
    with device.session() as session:
        compiled = compile_windows(
            model, windows, fmt, session.caps, adapters=adapters, activation=activation, chunk=chunk
        )
        session.load(Bundle(plan=compiled.plan, model=spec, format=str(fmt), files=adapters.files))
        total = math.fsum(np.concatenate(list(_surprises(session, compiled, windows))))
    tokens = sum(len(window) - 1 for window in windows)
    nll = total / tokens
    return Score(tokens=tokens, windows=len(windows), context=size, nll=nll, perplexity=_exp(nll),
                 model_sha256=model.sha256)  # fmt: skip


def _surprises(
    session: Session, compiled: Compiled, windows: Sequence[Sequence[int]]
) -> Iterator[npt.NDArray[np.float64]]:
    """-ln p of each predicted token, a step at a time."""
    remaining, window = iter(windows), []
    for step, row in enumerate(compiled.rows):
        finished(session.play(step, step + 1))
        if row.program == "take":
            window = list(next(remaining))
            continue
        wanted = window[row.position + 1 : row.position + row.count + 1]  # a window's last token predicts none
        if not wanted:
            continue
        size = len(wanted) * compiled.config.vocabulary * 4
        logits = np.frombuffer(read(session, "logits", size), "<f4").reshape(len(wanted), compiled.config.vocabulary)
        yield surprise(logits, wanted)


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
