"""Dropout: whom it reaches, and that gradients pass its mask."""

from __future__ import annotations

import numpy as np
import pytest
from training_runs import CAPS, course, random_batches, spot

from tritmark.engine.formats.blank import BlankModel
from tritmark.engine.formats.model import open_model
from tritmark.engine.inference import Compiled, parse_format
from tritmark.engine.models.config import Config
from tritmark.engine.models.lora import Lora
from tritmark.engine.ops.dropout import Dropout
from tritmark.engine.pretraining import compile_pretraining
from tritmark.engine.training import compile_lora

CONFIG = Config("bitnet", 64, 96, 2, 4, 2, 70, 64, 1e-5, 10000.0, 1.0, "silu", True)
BATCHES = random_batches(2, 24, 70, held_out=1)


def pretrained(dropout: float, fine: bool = False) -> Compiled:
    return compile_pretraining(CONFIG, BATCHES, course([[0]], evaluated=(0,)), CAPS, dropout=dropout, fine=fine)


def fine_tuned() -> Compiled:
    steps, lora = course([[0]], evaluated=(0,)), Lora(rank=2, dropout=0.3)
    return compile_lora(open_model("synthetic:tiny"), parse_format("tq2_0"), lora, BATCHES, steps, CAPS)


@pytest.mark.parametrize("made", [pretrained(0.3), fine_tuned()], ids=["all weights", "adapter"])
def test_what_learns_drops_and_what_is_evaluated_does_not(made: Compiled) -> None:
    drops = {name: any(isinstance(node.op, Dropout) for node in graph.nodes) for name, graph in made.graphs.items()}
    assert drops == {"start": False, "train": True, "evaluate": False, "update": False}


def test_losses_differ_where_dropout_acts_and_only_there() -> None:
    losses = {}
    for dropout in (0.0, 0.5):
        made = pretrained(dropout)
        played = spot(made, BlankModel(), "tq2_0")
        played.reference.play(made.rows)
        losses[dropout] = [played.array(name)[0] for name in ("held_out", "losses")]
    assert losses[0.0][0] == losses[0.5][0] and losses[0.0][1] != losses[0.5][1]


def test_the_gradient_under_dropout_is_the_slope_of_the_loss() -> None:
    """Along embeddings and norms, which no rounding stands before but activations of 22 bits."""
    made = pretrained(0.3, fine=True)
    played = spot(made, BlankModel(), "tq2_0")
    start, (train,) = made.rows[:1], [row for row in made.rows if row.program == "train"]
    played.reference.play([*start, train])
    embedding = played.array("parameters.token_embd.weight")
    gradient = played.array("gradients.token_embd.weight").copy()
    size = float(np.linalg.norm(gradient.astype(np.float64)))
    at, losses = embedding.copy(), []
    for sign in (1, -1):
        embedding[:] = at + np.float32(sign * 1e-3 / size) * gradient
        played.reference.play([train])
        losses.append(float(played.array("losses")[0]))
    assert (losses[0] - losses[1]) / 2e-3 == pytest.approx(size, rel=0.02)
