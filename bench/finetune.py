"""Fine-tuning: a model, a data set and settings become an adapter, a step at a time on one device.

The whole run is a Plan before it begins; this module plays it, writes down what it sees, and keeps it safe. Everything
that decides the adapter's bytes is in ``settings``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tritmark.devices.base import Bundle, Device, Session
from tritmark.engine import inference
from tritmark.engine.corpus.named import named_documents
from tritmark.engine.data.dataset import Dataset, Shape
from tritmark.engine.formats.adapter import write_adapter
from tritmark.engine.formats.model import Model, open_model
from tritmark.engine.models.config import read_config
from tritmark.engine.models.lora import Lora, lora_parameters
from tritmark.engine.tokenizers import load_tokenizer
from tritmark.engine.training import Optimiser, compile_lora
from tritmark.engine.volumes import Volume

from .checkpoint import Checkpoint
from .course import planned, read, settings_of_data
from .inquire import own_format
from .lesson import Keeping, Lesson, Outcome, Watch, unprobed


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to learn and how. ``warmup``: steps, or below 1 a part of all. ``patience``: evaluations without a better
    held-out loss after which the run ends (None: never). ``evaluate_steps``: between evaluations (None: an epoch).
    """

    model: str
    data: str
    out: Path
    shape: Shape
    format: str | None = None
    lora: Lora = field(default_factory=Lora)
    optimiser: Optimiser = field(default_factory=Optimiser)
    epochs: int = 1
    accumulation: int = 1
    schedule: str = "constant"
    rate: float = 1e-4
    rate_min: float = 0.0
    decay: float = 0.01
    warmup: float = 0.0
    evaluate_steps: int | None = None
    patience: int | None = None
    fine: bool = False
    recomputed: int | None = None
    activation: str | None = None
    checkpoint_dir: Path | None = None
    checkpoint_steps: int = 100
    resume: bool = False


def finetune(device: Device, request: Request, watch: Watch, stops: Callable[[], bool] = lambda: False) -> Outcome:
    """Run ``request``. ``stops`` is asked after each step: a run that is to stop keeps a checkpoint and raises
    TrainingError, as one does whose loss is no number.
    """
    model = open_model(request.model)
    documents, apart = named_documents(request.data)
    dataset = read(documents, apart, load_tokenizer(model.metadata), request.shape, request.data)
    course = planned(
        dataset.batches, request.shape.seed, epochs=request.epochs, accumulation=request.accumulation,
        warmup=request.warmup, evaluate_steps=request.evaluate_steps, kind=request.schedule, rate=request.rate,
        rate_min=request.rate_min, decay=request.decay,
    )  # fmt: skip
    settings = settings_of(request, model, dataset)
    keeping = Keeping.beside(request.out, request.checkpoint_dir, request.checkpoint_steps, request.patience)
    resumed = keeping.resumed(settings) if request.resume else None
    parameters = lora_parameters(request.lora, read_config(model, request.activation))
    request.out.parent.mkdir(parents=True, exist_ok=True)
    fmt = inference.parse_format(request.format or own_format(model))

    @contextmanager
    def opened(volume: Volume, state: Checkpoint | None) -> Iterator[Session]:
        with device.session() as session:
            compiled = compile_lora(
                model, fmt, request.lora, dataset.batches, course, session.caps, optimiser=request.optimiser,
                activation=request.activation, fine=request.fine, recomputed=request.recomputed,
                resumed=state.sha256 if state else None, volume=volume,
            )  # fmt: skip
            files = {"state": str(state.path)} if state else {}
            session.load(Bundle(plan=unprobed(compiled.plan), model=request.model, format=str(fmt), files=files))
            yield session

    rows = tuple(course.rows(dataset.batches, request.optimiser))
    lesson = Lesson(keeping, dataset, course, settings, rows, parameters.elements, opened, watch)
    weights = lesson.play(resumed, stops)
    about = {"general.name": f"{model.name} LoRA", "tritmark.training": json.dumps(settings, sort_keys=True)}
    tensors = parameters.arrays(weights)
    return lesson.outcome(write_adapter(request.out, model, request.lora.alpha, tensors, about))


def settings_of(request: Request, model: Model, dataset: Dataset) -> dict[str, Any]:
    """All that decides the adapter's bytes. The format is not among them: both give the same."""
    names = ("epochs", "accumulation", "schedule", "rate", "rate_min", "decay", "warmup", "fine", "activation")
    return {
        "model": model.sha256,
        **settings_of_data(dataset, request.shape.seed),
        "lora": {**asdict(request.lora), "modules": sorted(request.lora.modules)},
        "optimiser": asdict(request.optimiser),
        **{name: getattr(request, name) for name in names},
        "evaluate_steps": request.evaluate_steps,
        "patience": request.patience,
    }
