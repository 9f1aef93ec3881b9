"""Fine-tuning teaches: the model that ships, on the instruction set that ships."""

from __future__ import annotations

from itertools import islice

from training_runs import CAPS, course, spot

from tritmark.bench.course import read
from tritmark.engine.corpus.named import named_documents
from tritmark.engine.data.dataset import Shape
from tritmark.engine.formats.model import open_model
from tritmark.engine.inference import parse_format
from tritmark.engine.models.lora import Lora
from tritmark.engine.tokenizers import load_tokenizer
from tritmark.engine.training import compile_lora

STEPS = 16
FALL = 0.1  # of the loss of documents it has not seen; 4.61 to 4.06 when this was written


def test_the_loss_of_documents_held_out_falls() -> None:
    model = open_model("python")
    documents, apart = named_documents("instructions")
    assert apart is not None
    made = read(list(islice(documents, 24)), apart[:4], load_tokenizer(model.metadata), Shape(64, 64), "instructions")
    steps = course([[i] for i in range(STEPS)], rate=5e-3, evaluated=(0, STEPS))
    compiled = compile_lora(model, parse_format("tq2_0"), Lora(), made.batches, steps, CAPS, recomputed=0)
    played = spot(compiled, model, "tq2_0")
    played.reference.play(compiled.rows)
    before, after = played.array("held_out").reshape(2, -1).sum(axis=1)
    assert after < (1 - FALL) * before
