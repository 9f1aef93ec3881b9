"""Full training as Plans: every weight of a ternary model learnt, from nothing or from a checkpoint."""

from __future__ import annotations

from .formats.blank import BlankModel
from .inference import Compiled
from .models.config import Config
from .models.latent import Latent, latent_parameters
from .models.parameters import STATE
from .ops.fill import Fill
from .ops.op import Op
from .ops.quantize import FINE
from .ops.uniform import Uniform, stream_seed
from .plan import Caps
from .training import Course, Learner, MicroBatches, Optimiser, compile_run, slot_of
from .volumes import Volume
from .weights import Image

SPREAD = 0.02  # standard deviation of first weights
BETA2 = 0.95  # b1.58 papers: Adam with 0.9 and 0.95


def compile_pretraining(
    config: Config,
    batches: MicroBatches,
    course: Course,
    caps: Caps,
    *,
    seed: int = 42,
    optimiser: Optimiser | None = None,
    dropout: float = 0.0,
    fine: bool = False,
    recomputed: int | None = 0,
    resumed: str | None = None,
    begun: str | None = None,
    volume: Volume | None = None,
) -> Compiled:
    """A run that learns all of a model of shape ``config``; its slots and probes are those of ``compile_lora``.

    ``begun``: SHA-256 of the file that holds the parameters alone, of a model to go on from; its step ``start`` need
    not be played.
    """
    parameters = latent_parameters(config)
    learner = Learner(
        trainable=Latent(config, FINE if fine else 1, batches.longest, parameters, dropout, seed),
        parameters=parameters,
        image=Image(BlankModel(), f"pretraining/{resumed or begun or ''}"),
        starts={name: _start(name, shape, seed) for name, shape in parameters.shapes.items()},
    )
    optimiser = optimiser or Optimiser(beta2=BETA2)
    filled = f"{STATE}/" if resumed else slot_of("parameters") if begun else None
    return compile_run(learner, batches, course, caps, optimiser, recomputed, filled, volume)


def _start(name: str, shape: tuple[int, ...], seed: int) -> Op:
    """Norms start at one, matrices uniform with the usual spread; ternary scales follow the weights."""
    return Fill(1.0) if len(shape) == 1 else Uniform(stream_seed(seed, name), 3**0.5 * SPREAD)
