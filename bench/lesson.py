"""A lesson: one training run played on one device, watched, written down and kept safe."""

from __future__ import annotations

import hashlib
import math
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from tritmark.devices.base import Session, finished
from tritmark.engine.data.dataset import Dataset
from tritmark.engine.errors import EngineError, TrainingError
from tritmark.engine.plan import Plan
from tritmark.engine.steps import StepRow
from tritmark.engine.training import Course, slot_of, step_rows
from tritmark.engine.volumes import Volume, volumes

from . import checkpoint
from .checkpoint import Checkpoint
from .inquire import read
from .metrics import Metrics

F32 = npt.NDArray[np.float32]
Opening = Callable[[Volume, Checkpoint | None], AbstractContextManager[Session]]  # from a state, or from nothing
VOLUME_TOKENS = 1 << 22  # 64 MiB of data on the device at a time
STATE = ("parameters", "moments.1", "moments.2", "losses", "norms", "held_out")


@dataclass(frozen=True, kw_only=True)
class Keeping:
    """Where a run leaves what. ``passing``: checkpoints go when the run is done. ``patience``: evaluations without a
    better held-out loss after which the run ends (None: never).
    """

    out: Path
    checkpoints: Path
    checkpoint_steps: int
    passing: bool
    patience: int | None = None

    @classmethod
    def beside(cls, out: Path, folder: Path | None, steps: int, patience: int | None = None) -> Keeping:
        """Checkpoints in ``folder``, or beside ``out`` until that is there."""
        checkpoints = folder or out.with_suffix(".checkpoints")
        return cls(
            out=out, checkpoints=checkpoints, checkpoint_steps=steps, passing=folder is None, patience=patience
        )

    def resumed(self, settings: Mapping[str, Any]) -> Checkpoint:
        """The newest checkpoint; CaseError where there is none, or it is of a run with other settings."""
        found = checkpoint.newest(self.checkpoints)
        checkpoint.check(found, settings)
        return found


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

    path: Path
    sha256: str
    steps: int
    loss: float
    held_out_before: float | None
    held_out_after: float | None
    metrics: Path

    def __str__(self) -> str:
        lines = [f"{self.path}  sha256 {self.sha256}", f"{self.steps:,} steps, last loss {self.loss:.4f}"]
        if self.held_out_before is not None and self.held_out_after is not None:
            change = self.held_out_after / self.held_out_before - 1
            lines.append(f"held-out loss {self.held_out_before:.4f} -> {self.held_out_after:.4f} ({change:+.1%})")
        return "\n".join([*lines, f"metrics: {self.metrics} and its .svg"])


def unprobed(plan: Plan) -> Plan:
    """``plan`` without probes: a play ends with their digests, and every step of a lesson is a play."""
    return replace(plan, probes=())


class Lesson:
    """A run and what was seen of it. ``elements``: how many numbers are learnt."""

    UNTOLD: ClassVar[Mapping[str, Any]] = {"before": None, "best": None, "worse": 0}  # held-out losses of no run yet

    def __init__(
        self,
        keeping: Keeping,
        dataset: Dataset,
        course: Course,
        settings: Mapping[str, Any],
        rows: Sequence[StepRow],
        elements: int,
        opened: Opening,
        watch: Watch,
    ) -> None:
        self.keeping, self.dataset, self.course, self.settings = keeping, dataset, course, settings
        self.rows, self.elements, self.opened, self.watch = rows, elements, opened, watch
        self.opening, self.steps = step_rows(rows)
        self.session: Session
        self.volume: Volume
        self.metrics_path = keeping.out.with_suffix(".metrics.jsonl")
        self.memory: dict[str, Any] = dict(self.UNTOLD)
        self.best: F32 | None = None  # parameters at the best of them, where the run may end early
        self.done = 0

    def play(self, resumed: Checkpoint | None, stops: Callable[[], bool]) -> F32:
        """Play the run, or what is left of it, and return what was learnt: at the best evaluation where the run may
        end early, else at the end.
        """
        self.done = resumed.step if resumed else 0
        if resumed:
            self._remember(resumed)
        state, remaining = resumed, self._remaining()
        for volume in remaining:
            with self.opened(volume, state) as session:
                self.volume, self.session = volume, session
                if volume is remaining[0]:
                    self._begin(fresh=resumed is None)
                self._play_volume(stops)
                if volume is remaining[-1] or self._has_learnt():
                    learnt = self._state("parameters") if self.best is None else self.best
                    break
                state = checkpoint.read(self._save())
        self.metrics.draw()
        return learnt

    def _remaining(self) -> list[Volume]:
        """The volumes that are not done, or the last: what was learnt is read from it."""
        found = volumes(self.rows, self.dataset.batches.size, VOLUME_TOKENS)
        reached = self.steps[self.done].start if self.done < len(self.steps) else len(self.rows)
        return [volume for volume in found if volume.rows.stop > reached] or found[-1:]

    def _begin(self, fresh: bool) -> None:
        """What comes before the first step, once a player has taken the run."""
        self.metrics = Metrics(self.metrics_path, self.done)
        if fresh:
            self._play(range(1))
        if self.done == 0:
            self._open()
        self.watch.begun(self.dataset, self.done, len(self.steps))

    def _play(self, rows: range) -> None:
        """Play these rows of the run, which the loaded volume holds."""
        first = self.volume.rows.start
        finished(self.session.play(rows.start - first, rows.stop - first))

    def _play_volume(self, stops: Callable[[], bool]) -> None:
        """Its steps that are not done, unless the run ends before."""
        last = self.volume.rows.stop
        while self.done < len(self.steps) and self.steps[self.done].start < last and not self._has_learnt():
            line = self._step(self.done + 1)
            self.done += 1
            self.metrics.add(line)
            self.watch.step(line)
            if stops():
                path = self._save()
                raise TrainingError(f"stopped after step {self.done}; go on with --resume (from {path})")
            if self.keeping.checkpoint_steps and self.done % self.keeping.checkpoint_steps == 0:
                self._save_if_possible()

    def _step(self, step: int) -> dict[str, Any]:
        """Play an optimiser step and the evaluation after it; the line that tells of them."""
        rows = self.steps[step - 1]
        started = time.perf_counter_ns()
        update = next(at for at in rows if self.rows[at].program == "update")
        self._play(range(rows.start, update + 1))
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
            self._play(range(update + 1, rows.stop))
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
        """Evaluate what was not learnt yet."""
        if len(self.opening) > 1:
            self._play(range(1, self.opening.stop))
            self.memory["before"] = self._evaluated(self.opening)
            self.metrics.add({"step": 0, "held_out_loss": self.memory["before"]})

    def _remember(self, resumed: Checkpoint) -> None:
        """How the evaluations of a resumed run went, so that it ends when and as it would have ended."""
        self.memory = dict(resumed.memory)
        if self.memory["best"] is not None and self._may_end_early:
            self.best = resumed.vector("best")

    @property
    def _may_end_early(self) -> bool:
        return self.keeping.patience is not None

    def _has_learnt(self) -> bool:
        return self.keeping.patience is not None and self.memory["worse"] >= self.keeping.patience

    def _log(self, name: str, indices: Sequence[int]) -> F32:
        first, count = min(indices), max(indices) - min(indices) + 1
        return np.frombuffer(self.session.read(slot_of(name), 4 * first, 4 * count), "<f4")

    def _state(self, name: str) -> F32:
        sizes = {"losses": "train", "norms": "update", "held_out": "evaluate"}
        rows = max(1, sum(row.program == sizes.get(name) for row in self.rows))
        count = rows if name in sizes else self.elements
        return np.frombuffer(read(self.session, slot_of(name), 4 * count), "<f4")

    def _broken(self, step: int, micro: Sequence[int]) -> TrainingError:
        """The optimiser left everything as it was before this step: that is saved, without the loss that is none."""
        state = {name: array.copy() for name, array in self._whole_state().items()}
        state["losses"][list(micro)] = 0
        state["norms"][step - 1] = 0
        path = checkpoint.save(self.keeping.checkpoints, step - 1, self.settings, state, self.memory)
        return TrainingError(
            f"the loss of step {step} is no finite number; try a lower --learning-rate (the state before it: {path})"
        )

    def _save(self) -> Path:
        return checkpoint.save(self.keeping.checkpoints, self.done, self.settings, self._whole_state(), self.memory)

    def _whole_state(self) -> dict[str, F32]:
        best = {} if self.best is None else {"best": self.best}
        return {name: self._state(name) for name in STATE} | best

    def _save_if_possible(self) -> None:
        """A full disk must not end a run that may still end well."""
        try:
            self._save()
        except (EngineError, OSError) as error:
            self.watch.warn(f"no checkpoint of step {self.done}: {error}")

    @property
    def held_out_after(self) -> float | None:
        """The held-out loss of what was learnt."""
        if self._may_end_early:
            return self.memory["best"]
        return self.metrics.held_out[-1][1] if self.metrics.held_out else None

    def outcome(self, path: Path) -> Outcome:
        """What the run gave, its result written to ``path``; checkpoints that nobody asked for have done their work."""
        if self.keeping.passing:
            shutil.rmtree(self.keeping.checkpoints, ignore_errors=True)
        return Outcome(
            path=path,
            sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
            steps=self.done,
            loss=self.metrics.losses[-1][1],
            held_out_before=self.memory["before"],
            held_out_after=self.held_out_after,
            metrics=self.metrics_path,
        )
