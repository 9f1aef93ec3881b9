"""Fine-tuning: a model, a data set and settings become an adapter, a step at a time on one device.

The whole run is a Plan before it begins; this module plays it, writes down what it sees, and keeps it safe. Everything
that decides the adapter's bytes is in ``settings``.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from tritmark.devices.base import Bundle, Device, Session, finished
from tritmark.engine import inference
from tritmark.engine.data.dataset import Dataset, Shape, read_dataset
from tritmark.engine.data.order import epochs
from tritmark.engine.errors import EngineError, TrainingError
from tritmark.engine.formats.adapter import write_adapter
from tritmark.engine.formats.model import Model, open_model
from tritmark.engine.models.config import read_config
from tritmark.engine.models.lora import Lora, lora_parameters
from tritmark.engine.schedule import Schedule
from tritmark.engine.steps import StepRow
from tritmark.engine.tokenizers import load_tokenizer
from tritmark.engine.training import Course, MicroBatches, Optimiser, compile_lora, slot_of, step_rows

from . import checkpoint
from .checkpoint import Checkpoint
from .inquire import own_format, read
from .metrics import Metrics

F32 = npt.NDArray[np.float32]
STATE = ("parameters", "moments.1", "moments.2", "losses", "norms", "held_out")


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to learn and how. ``warmup``: steps, or below 1 a part of all. ``patience``: evaluations without a better
    held-out loss after which the run ends (None: never). ``evaluate_steps``: between evaluations (None: an epoch).
    """

    model: str
    data: Path
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

    @property
    def checkpoints(self) -> Path:
        """Where checkpoints lie: as asked, or beside the adapter until it is there."""
        return self.checkpoint_dir or self.out.with_suffix(".checkpoints")


class Watch(Protocol):
    """Who follows a run."""

    def begun(self, dataset: Dataset, done: int, steps: int) -> None:
        """The run is compiled and loaded; ``done`` of its steps were done before."""

    def step(self, line: Mapping[str, Any]) -> None:
        """A step is done; ``line`` is its line of the metrics."""

    def warn(self, text: str) -> None:
        """Something went wrong that need not end the run."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a run gave. Held-out losses are None where nothing was held out."""

    adapter: Path
    sha256: str
    steps: int
    loss: float
    held_out_before: float | None
    held_out_after: float | None
    metrics: Path


def finetune(device: Device, request: Request, watch: Watch, stops: Callable[[], bool] = lambda: False) -> Outcome:
    """Run ``request``. ``stops`` is asked after each step: a run that is to stop keeps a checkpoint and raises
    TrainingError, as one does whose loss is no number.
    """
    model = open_model(request.model)
    dataset = read_dataset(request.data, load_tokenizer(model.metadata), request.shape)
    course = course_of(request, dataset.batches)
    settings = settings_of(request, model, dataset)
    resumed = checkpoint.newest(request.checkpoints) if request.resume else None
    if resumed:
        checkpoint.check(resumed, settings)
    request.out.parent.mkdir(parents=True, exist_ok=True)
    with device.session() as session:
        fmt = inference.parse_format(request.format or own_format(model))
        compiled = compile_lora(
            model, fmt, request.lora, dataset.batches, course, session.caps, optimiser=request.optimiser,
            activation=request.activation, fine=request.fine, recomputed=request.recomputed,
            resumed=resumed.sha256 if resumed else None,
        )  # fmt: skip
        files = {"state": str(resumed.path)} if resumed else {}
        session.load(Bundle(plan=compiled.plan, model=request.model, format=str(fmt), files=files))
        run = _Run(request, model, dataset, course, settings, compiled.rows, session, watch)
        run.play(resumed, stops)
        return run.outcome()


def course_of(request: Request, batches: MicroBatches) -> Course:
    """The steps of a run: every epoch shuffled anew and cut into groups of ``accumulation`` micro-batches."""
    order, size = epochs(batches.learnt, request.shape.seed, request.epochs), batches.learnt
    steps = [
        order[at : min(at + request.accumulation, first + size)]
        for first in range(0, len(order), size)
        for at in range(first, first + size, request.accumulation)
    ]
    total, each = len(steps), -(-size // request.accumulation)
    warmup = round(request.warmup * total) if request.warmup < 1 else int(request.warmup)
    schedule = Schedule(request.schedule, request.rate, request.rate_min, total, min(warmup, total), request.decay)
    every = request.evaluate_steps or each
    evaluated = {*range(0, total, every), total} if batches.held_out else set()
    return Course(steps, schedule, frozenset(evaluated))


def settings_of(request: Request, model: Model, dataset: Dataset) -> dict[str, Any]:
    """All that decides the adapter's bytes. The format is not among them: both give the same."""
    arrays = (dataset.batches.tokens, dataset.batches.labels, dataset.batches.spans)
    digest = hashlib.sha256(b"".join(np.ascontiguousarray(array, "<u4").tobytes() for array in arrays)).hexdigest()
    names = ("epochs", "accumulation", "schedule", "rate", "rate_min", "decay", "warmup", "fine", "activation")
    return {
        "model": model.sha256,
        "data": digest,
        "held_out": dataset.batches.held_out,
        "seed": request.shape.seed,
        "lora": {**asdict(request.lora), "modules": sorted(request.lora.modules)},
        "optimiser": asdict(request.optimiser),
        **{name: getattr(request, name) for name in names},
        "evaluate_steps": request.evaluate_steps,
        "patience": request.patience,
    }


class _Run:
    """A loaded run and what was seen of it."""

    def __init__(
        self,
        request: Request,
        model: Model,
        dataset: Dataset,
        course: Course,
        settings: Mapping[str, Any],
        rows: Sequence[StepRow],
        session: Session,
        watch: Watch,
    ) -> None:
        self.request, self.model, self.dataset, self.course = request, model, dataset, course
        self.settings, self.rows, self.session, self.watch = settings, rows, session, watch
        self.opening, self.steps = step_rows(rows)
        self.parameters = lora_parameters(request.lora, read_config(model, request.activation))
        self.metrics_path = request.out.with_suffix(".metrics.jsonl")
        self.memory: dict[str, Any] = {"before": None, "best": None, "worse": 0}  # held-out losses
        self.best: F32 | None = None  # parameters at the best of them, where the run may end early
        self.done = 0

    def play(self, resumed: Checkpoint | None, stops: Callable[[], bool]) -> None:
        self.done = resumed.step if resumed else 0
        self.metrics = Metrics(self.metrics_path, self.done)
        if resumed:
            self._remember(resumed)
        else:
            self._open()
        self.watch.begun(self.dataset, self.done, len(self.steps))
        while self.done < len(self.steps) and not self._has_learnt():
            line = self._step(self.done + 1)
            self.done += 1
            self.metrics.add(line)
            self.watch.step(line)
            if stops():
                path = self._save()
                raise TrainingError(f"stopped after step {self.done}; go on with --resume (from {path})")
            if self.request.checkpoint_steps and self.done % self.request.checkpoint_steps == 0:
                self._save_if_possible()
        self.metrics.draw()

    def _step(self, step: int) -> dict[str, Any]:
        """Play an optimiser step and the evaluation after it; the line that tells of them."""
        rows = self.steps[step - 1]
        started = time.perf_counter_ns()
        update = next(at for at in rows if self.rows[at].program == "update")
        finished(self.session.play(rows.start, update + 1))
        wall_ns = time.perf_counter_ns() - started
        micro = [self.rows[at].draw for at in rows if self.rows[at].program == "train"]
        loss = float(self._log("losses", micro).astype(np.float64).sum())
        [norm] = self._log("norms", [step - 1])
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise self._broken(step, micro)
        indices = self.course.steps[step - 1]
        tokens = self.dataset.batches.tokens_of(indices)
        line = {
            "step": step, "loss": loss, "gradient_norm": float(norm), "rate": self.course.schedule.rate_at(step),
            "tokens": tokens, "supervised_tokens": self.dataset.batches.supervised(indices), "wall_ns": wall_ns,
            "tps": tokens * 1e9 / wall_ns,
        }  # fmt: skip
        if update + 1 < rows.stop:
            finished(self.session.play(update + 1, rows.stop))
            line["held_out_loss"] = self._evaluated(rows)
        return line

    def _evaluated(self, rows: range) -> float:
        """The held-out loss after these rows; the best adapter so far is kept."""
        draws = [self.rows[at].draw for at in rows if self.rows[at].program == "evaluate"]
        loss = float(self._log("held_out", draws).astype(np.float64).sum())
        if self.memory["best"] is None or loss < self.memory["best"]:
            self.memory |= {"best": loss, "worse": 0}
            self.best = self._state("parameters") if self._may_end_early else None
        else:
            self.memory["worse"] += 1
        return loss

    def _open(self) -> None:
        """Clear the state, draw the first numbers, and evaluate what was not learnt yet."""
        finished(self.session.play(self.opening.start, self.opening.stop))
        if len(self.opening) > 1:
            self.memory["before"] = self._evaluated(self.opening)
            self.metrics.add({"step": 0, "held_out_loss": self.memory["before"]})

    def _remember(self, resumed: Checkpoint) -> None:
        """How the evaluations of a resumed run went, so that it ends when and as it would have ended."""
        self.memory = dict(resumed.memory)
        if self.memory["best"] is not None and self._may_end_early:
            self.best = resumed.vector("best")

    @property
    def _may_end_early(self) -> bool:
        return self.request.patience is not None

    def _has_learnt(self) -> bool:
        return self.request.patience is not None and self.memory["worse"] >= self.request.patience

    def _log(self, name: str, indices: Sequence[int]) -> F32:
        first, count = min(indices), max(indices) - min(indices) + 1
        return np.frombuffer(self.session.read(slot_of(name), 4 * first, 4 * count), "<f4")

    def _state(self, name: str) -> F32:
        sizes = {"losses": "train", "norms": "update", "held_out": "evaluate"}
        rows = max(1, sum(row.program == sizes.get(name) for row in self.rows))
        count = rows if name in sizes else self.parameters.elements
        return np.frombuffer(read(self.session, slot_of(name), 4 * count), "<f4")

    def _broken(self, step: int, micro: Sequence[int]) -> TrainingError:
        """The optimiser left everything as it was before this step: that is saved, without the loss that is none."""
        state = {name: array.copy() for name, array in self._whole_state().items()}
        state["losses"][list(micro)] = 0
        state["norms"][step - 1] = 0
        path = checkpoint.save(self.request.checkpoints, step - 1, self.settings, state, self.memory)
        return TrainingError(
            f"the loss of step {step} is no finite number; try a lower --learning-rate (the state before it: {path})"
        )

    def _save(self) -> Path:
        return checkpoint.save(self.request.checkpoints, self.done, self.settings, self._whole_state(), self.memory)

    def _whole_state(self) -> dict[str, F32]:
        best = {} if self.best is None else {"best": self.best}
        return {name: self._state(name) for name in STATE} | best

    def _save_if_possible(self) -> None:
        """A full disk must not end a run that may still end well."""
        try:
            self._save()
        except (EngineError, OSError) as error:
            self.watch.warn(f"no checkpoint of step {self.done}: {error}")

    def outcome(self) -> Outcome:
        """Write the adapter; the checkpoints beside it have done their work."""
        weights = self._state("parameters") if self.best is None else self.best
        firsts, shapes = self.parameters.firsts, self.parameters.shapes
        tensors = {
            name: weights[firsts[name] : firsts[name] + math.prod(shape)].reshape(shape)
            for name, shape in shapes.items()
        }
        settings = json.dumps(self.settings, sort_keys=True)
        about = {"general.name": f"{self.model.name} LoRA", "tritmark.training": settings}
        write_adapter(self.request.out, self.model, self.request.lora.alpha, tensors, about)
        if self.request.checkpoint_dir is None:
            shutil.rmtree(self.request.checkpoints, ignore_errors=True)
        return Outcome(
            adapter=self.request.out,
            sha256=hashlib.sha256(self.request.out.read_bytes()).hexdigest(),
            steps=self.done,
            loss=self.metrics.losses[-1][1],
            held_out_before=self.memory["before"],
            held_out_after=self.memory["best"] if self._may_end_early else self._last_held_out(),
            metrics=self.metrics_path,
        )

    def _last_held_out(self) -> float | None:
        return self.metrics.held_out[-1][1] if self.metrics.held_out else None
