"""Pretraining: text and a shape become a ternary model, all of it learnt, as a GGUF like any other.

The tokenizer is trained on the text first, or taken from what ships or from a model. ``python`` is text that needs no
file: the language reference and docstrings that every Python carries.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from tritmark.devices.base import Bundle, Device, Session
from tritmark.engine.corpus.named import named_documents
from tritmark.engine.corpus.shipped import tokenizer_metadata
from tritmark.engine.data.dataset import Dataset, Shape
from tritmark.engine.data.documents import Document
from tritmark.engine.formats import resident
from tritmark.engine.formats.blank import SPEC as BLANK
from tritmark.engine.formats.blocks import dense
from tritmark.engine.formats.gguf_writer import write_gguf
from tritmark.engine.formats.learnt import LearntModel
from tritmark.engine.formats.model import Model, open_model, tensor_info
from tritmark.engine.models.config import Config, read_config
from tritmark.engine.models.latent import latent_parameters
from tritmark.engine.models.parameters import Parameters
from tritmark.engine.ops.ternarize import ternarized
from tritmark.engine.pretraining import BETA2, compile_pretraining
from tritmark.engine.tokenizers import load_tokenizer
from tritmark.engine.tokenizers.train import train_byte_pairs
from tritmark.engine.training import Optimiser
from tritmark.engine.volumes import Volume

from . import checkpoint
from .case import CaseError
from .checkpoint import Checkpoint
from .course import planned, read, settings_of_data
from .lesson import Keeping, Lesson, Outcome, Watch, unprobed

SHIPPED = "shipped"


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to learn from and what the model is to be. ``data``: a path, or "python". ``tokenizer``: "shipped", a model
    to take it from, or a number of tokens to learn. ``start``: a model to go on from, whose shape and tokenizer hold.
    """

    data: str
    out: Path
    shape: Shape
    start: Path | None = None
    tokenizer: str = "2048"
    embedding: int = 512
    feed_forward: int = 1280
    layers: int = 4
    heads: int = 8
    kv_heads: int = 8
    activation: str = "silu"
    type: str = "tq1_0"
    epochs: int = 1
    accumulation: int = 1
    schedule: str = "two_stage"
    rate: float = 1.5e-3
    rate_second: float | None = None
    decay: float = 0.1
    warmup: float = 0.05
    clip: float | None = 1.0
    dropout: float = 0.0
    evaluate_steps: int | None = None
    checkpoint_dir: Path | None = None
    checkpoint_steps: int = 500
    resume: bool = False


def pretrain(device: Device, request: Request, watch: Watch, stops: Callable[[], bool] = lambda: False) -> Outcome:
    """Run ``request``; ``stops`` and errors as in ``finetune``."""
    documents, apart = named_documents(request.data)
    begun = open_model(str(request.start)) if request.start else None
    tokens = _tokenizer(str(request.start) if request.start else request.tokenizer, documents)
    made = read(documents, apart, load_tokenizer(tokens), request.shape, request.data)
    config = _config_begun(begun) if begun else config_of(request, len(tokens["tokenizer.ggml.tokens"]))
    course = planned(
        made.batches, request.shape.seed, epochs=request.epochs, accumulation=request.accumulation,
        warmup=request.warmup, evaluate_steps=request.evaluate_steps, kind=request.schedule, rate=request.rate,
        decay=request.decay, second_rate=request.rate_second,
    )  # fmt: skip
    settings = settings_of(request, made, config) | ({"start": begun.sha256} if begun else {})
    keeping = Keeping.beside(request.out, request.checkpoint_dir, request.checkpoint_steps)
    parameters = latent_parameters(config)
    request.out.parent.mkdir(parents=True, exist_ok=True)
    resumed = keeping.resumed(settings) if request.resume else None
    optimiser = Optimiser(beta2=BETA2, clip=request.clip)

    @contextmanager
    def opened(volume: Volume, state: Checkpoint | None) -> Iterator[Session]:
        with device.session() as session:
            compiled = compile_pretraining(
                config, made.batches, course, session.caps, seed=request.shape.seed, dropout=request.dropout,
                optimiser=optimiser, volume=volume, **_kept(state),
            )  # fmt: skip
            files = {"state": str(state.path)} if state else {}
            session.load(Bundle(plan=unprobed(compiled.plan), model=BLANK, format="tq2_0", files=files))
            yield session

    rows = tuple(course.rows(made.batches, optimiser))
    lesson = Lesson(keeping, made, course, settings, rows, parameters.elements, opened, watch)
    with _first_state(request.out.parent, parameters, None if resumed else begun) as first:
        arrays = parameters.arrays(lesson.play(resumed or first, stops))
    about = {**_metadata(config), **tokens, "tritmark.training": json.dumps(settings, sort_keys=True)}
    model = LearntModel(request.out.stem, about, arrays, ternarized)
    return lesson.outcome(write_gguf(model, request.out, request.type))


def _kept(found: Checkpoint | None) -> dict[str, Any]:
    """What the compiler is told of a checkpoint; that of step 0 holds nothing but weights."""
    return {} if found is None else {"resumed" if found.step else "begun": found.sha256}


@contextmanager
def _first_state(folder: Path, parameters: Parameters, model: Model | None) -> Iterator[Checkpoint | None]:
    """A checkpoint of step 0 with the weights of ``model``, dequantised where it holds them so; in ``folder`` for as
    long as it is needed.
    """
    if model is None:
        yield None
        return
    weights = np.zeros(parameters.elements, np.float32)
    for name, part in parameters.arrays(weights).items():
        info = tensor_info(model, name)
        scale = resident.outer_scale(model, name)
        part[...] = (dense(model.packed(name), info.type, info.cols) * scale).reshape(part.shape)
    with TemporaryDirectory(dir=folder, prefix="start-") as passing:
        yield checkpoint.read(checkpoint.save(Path(passing), 0, {}, {"parameters": weights}, Lesson.UNTOLD))


def _tokenizer(asked: str, documents: Iterable[Document]) -> Mapping[str, Any]:
    """The metadata of the tokenizer that was asked for."""
    if asked == SHIPPED:
        return tokenizer_metadata()
    if asked.isdigit():
        return train_byte_pairs((text for document in documents for text, _ in document.parts), int(asked))
    metadata = open_model(asked).metadata
    return {key: value for key, value in metadata.items() if key.startswith("tokenizer.")}


def config_of(request: Request, vocabulary: int) -> Config:
    """The shape that was asked for. CaseError where it cannot be."""
    r = request
    if r.embedding % r.heads or r.heads % r.kv_heads or r.embedding // r.heads % 4:
        raise CaseError(f"{r.embedding} dimensions do not split into {r.heads} heads shared by {r.kv_heads}")
    if r.embedding % 32 or r.feed_forward % 4:
        raise CaseError("--embedding must be a multiple of 32 and --feed-forward of 4")
    return Config(
        architecture="bitnet", embedding=r.embedding, feed_forward=r.feed_forward, layers=r.layers, heads=r.heads,
        kv_heads=r.kv_heads, vocabulary=vocabulary, context=r.shape.context, eps=float(np.float32(1e-5)),
        rope_base=10000.0, rope_scale=1.0, activation=r.activation, tied=True,
    )  # fmt: skip


def _config_begun(model: Model) -> Config:
    """The shape of a model to go on from. CaseError where what is learnt could not hold it."""
    config = read_config(model)
    if not config.tied or config.rope_scale != 1.0 or config.architecture != "bitnet":
        raise CaseError(f"{model.name} has a head of its own, scaled positions or another architecture than bitnet")
    return config


def _metadata(config: Config) -> dict[str, Any]:
    """GGUF's keys of a model of this shape."""
    return {
        "general.architecture": "bitnet", "bitnet.vocab_size": config.vocabulary,
        "bitnet.context_length": config.context, "bitnet.embedding_length": config.embedding,
        "bitnet.block_count": config.layers, "bitnet.feed_forward_length": config.feed_forward,
        "bitnet.attention.head_count": config.heads, "bitnet.attention.head_count_kv": config.kv_heads,
        "bitnet.attention.layer_norm_rms_epsilon": config.eps, "bitnet.rope.freq_base": config.rope_base,
        "bitnet.rope.dimension_count": config.head, "tritmark.activation": config.activation,
    }  # fmt: skip


def settings_of(request: Request, made: Dataset, config: Config) -> dict[str, Any]:
    """All that decides the model's bytes."""
    names = "epochs accumulation schedule rate rate_second decay warmup clip dropout evaluate_steps"
    told = {name: getattr(request, name) for name in names.split()}
    return {**settings_of_data(made, request.shape.seed), "config": asdict(config), **told}
