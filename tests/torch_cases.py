"""The runs whose losses were computed with PyTorch too (make_torch_golden.py): a model or shape, data and settings."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from engine_runs import Array
from imagined_device import CAPS
from made_models import MadeModel, Recipe, made_model
from training_runs import random_batches, spot

from tritmark.engine.formats.blank import BlankModel
from tritmark.engine.inference import Compiled, parse_format
from tritmark.engine.models.config import Config
from tritmark.engine.models.latent import latent_parameters
from tritmark.engine.models.lora import Lora
from tritmark.engine.pretraining import compile_pretraining
from tritmark.engine.schedule import Schedule
from tritmark.engine.training import Course, MicroBatches, compile_lora


@dataclass(frozen=True)
class Case:
    """LoRA on a made model, ten steps with fine activations."""

    recipe: Recipe
    lora: Lora = field(default_factory=lambda: Lora(rank=4, alpha=8.0))
    rate: float = 3e-3
    decay: float = 0.1
    steps: int = 10

    @cached_property
    def batches(self) -> MicroBatches:
        return random_batches(3, 24, self.recipe.vocabulary)

    def model(self) -> MadeModel:
        return made_model(self.recipe)

    def compiled(self) -> Compiled:
        course = Course(
            [[step % 3] for step in range(self.steps)], Schedule(rate=self.rate, total=self.steps, decay=self.decay)
        )
        return compile_lora(self.model(), parse_format("tq2_0"), self.lora, self.batches, course, CAPS, fine=True)


@dataclass(frozen=True)
class Full:
    """Full training of a small shape from its first numbers, ten steps with fine activations."""

    config: Config
    rate: float = 3e-3
    decay: float = 0.1
    steps: int = 10

    @cached_property
    def batches(self) -> MicroBatches:
        return random_batches(3, 24, self.config.vocabulary)

    def compiled(self) -> Compiled:
        course = Course(
            [[step % 3] for step in range(self.steps)], Schedule(rate=self.rate, total=self.steps, decay=self.decay)
        )
        return compile_pretraining(self.config, self.batches, course, CAPS, fine=True)

    def first_parameters(self) -> dict[str, Array]:
        """Every tensor before the first step."""
        compiled = self.compiled()
        run = spot(compiled, BlankModel(), "tq2_0")
        run.reference.play(compiled.rows[:1])
        return latent_parameters(self.config).arrays(run.array("parameters").copy())


FULL = {
    "silu": Full(Config("bitnet", 64, 96, 2, 4, 4, 70, 64, 1e-5, 10000.0, 1.0, "silu", True)),
    "relu2, shared keys": Full(Config("bitnet", 64, 96, 2, 4, 2, 70, 64, 1e-5, 10000.0, 1.0, "relu2", True)),
}
CASES = {
    "silu": Case(Recipe(layers=2)),
    "relu2, shared keys": Case(Recipe(layers=2, kv_heads=2, feed_forward=512, architecture="bitnet-b1.58")),
}


def first_parameters(case: Case) -> dict[str, Array]:
    """The adapter before the first step, by the names of its file."""
    compiled = case.compiled()
    run = spot(compiled, case.model(), "tq2_0")
    run.reference.play(compiled.rows[:1])
    names = [name for name in run.values if name.startswith("parameters.")]
    return {name.removeprefix("parameters."): run.array(name).copy() for name in names}
