"""Adapters at inference: GPU and NumPy reference agree on every bit, and both with llama.cpp as far as int8 goes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from adapter_samples import LAYER, random_adapter
from engine_runs import Array, played_logits, reference_run, same_bits, session
from made_models import Recipe, made_model

from tritmark.bench.perplexity import Score, Text, perplexity, surprise
from tritmark.devices.base import Bundle
from tritmark.engine.formats.gguf_writer import write_gguf
from tritmark.engine.formats.model import Model, open_model
from tritmark.engine.inference import compile_generation, compile_logits, parse_format
from tritmark.engine.models.adapters import Adapters, open_adapters
from tritmark.engine.models.source import Source, open_files
from tritmark.engine.plan import Trace
from tritmark.engine.players.wgpu_player import load

TQ2 = parse_format("tq2_0")
TOKENS = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5]
# Rows that no tile divides, grouped heads, an output head of its own: every way a projection is stored and joined.
RECIPES = {
    "ternary": Recipe(kv_heads=2, feed_forward=352, head_type="f16", seed=3),
    "dense down, block scales": Recipe(down_type="q8_0", scales="block", seed=4),
}


def logits(gpu: Any, model: Model, tokens: list[int], adapters: Adapters, resident: str = "tq2_0", **how: Any) -> Array:
    compiled = compile_logits(model, tokens, parse_format(resident), gpu.caps, adapters=adapters, **how)
    return played_logits(gpu, compiled, model, resident, adapters.models)


def reference_logits(gpu: Any, model: Model, tokens: list[int], adapters: Adapters, **how: Any) -> Array:
    compiled = compile_logits(model, tokens, TQ2, gpu.caps, adapters=adapters, **how)
    return np.asarray(reference_run(compiled, model, "tq2_0", adapters.models).arrays["logits_all"])


@pytest.mark.parametrize(("family", "how", "weight"), [("llama", "lora", "1"), ("llama", "lora_half", "0.5"),
                                                       ("ms", "lora", "1"), ("ms", "lora_half", "0.5")])  # fmt: skip
def test_golden_adapter_is_exact_and_agrees_with_llama_cpp(
    gpu: Any, golden: Path, family: str, how: str, weight: str
) -> None:
    """Int8 activations alone move these logits (deviation 4) by 0.08 on average and 0.5 at most."""
    sets = np.load(golden / "logits_tiny.npz")
    tokens = sets[f"{family}/ids"][:12].tolist()
    theirs, plain = (sets[f"{family}/fabric_cpu_f32weights{key}"][:12] for key in (f"_{how}", ""))
    model = open_model(str(golden / f"tiny-{family}.tq2_0.gguf"))
    adapters = open_adapters([f"{golden / f'adapter-random-{family}.gguf'}={weight}"], model)
    ours = logits(gpu, model, tokens, adapters, "tq1_0", activation="silu")
    assert same_bits(ours, reference_logits(gpu, model, tokens, adapters, activation="silu"))
    off = np.abs(ours - theirs)
    assert off.mean() < 0.15 and off.max() < 1
    assert np.abs(plain - theirs).mean() > 20 * off.mean()


@pytest.mark.parametrize("name", RECIPES)
def test_a_prompt_in_chunks_and_tokens_one_by_one_give_the_logits_of_the_whole(
    gpu: Any, tmp_path: Path, name: str
) -> None:
    model = made_model(RECIPES[name])
    names = [f"blk.0.{part}" for part in LAYER] + ([] if RECIPES[name].head_type is None else ["output"])
    adapters = open_adapters([str(random_adapter(tmp_path / "a.gguf", model, names))], model)
    compiled = compile_generation(model, TQ2, TOKENS, 2, gpu.caps, chunk=8, adapters=adapters)
    with session(gpu, compiled, model, "tq2_0", adapters.models) as loaded:
        loaded.play()
        tokens = np.frombuffer(loaded.read("tokens", 0, 4 * (len(TOKENS) + 2)), "<u4").tolist()
        last = np.frombuffer(loaded.read("logits", 0, 4 * compiled.config.vocabulary), "<f4")
    whole = reference_logits(gpu, model, tokens, adapters)
    assert same_bits(last, whole[-1]) and tokens[len(TOKENS)] == whole[len(TOKENS) - 1].argmax()
    assert not same_bits(whole, reference_logits(gpu, model, tokens, Adapters()))


def test_adapters_of_single_projections_change_these_alone(gpu: Any, tmp_path: Path) -> None:
    """One of q, k and v, and one of gate and up: the others beside them are as without it."""
    model = made_model(RECIPES["ternary"])
    for part in ("attn_k", "ffn_up"):
        path = random_adapter(tmp_path / f"{part}.gguf", model, [f"blk.0.{part}"])
        adapters = open_adapters([str(path)], model)
        expected = reference_logits(gpu, model, TOKENS[:3], adapters)
        assert same_bits(logits(gpu, model, TOKENS[:3], adapters), expected)
        assert not same_bits(expected, reference_logits(gpu, model, TOKENS[:3], Adapters()))


def test_an_adapter_whose_b_is_zero_changes_no_value(gpu: Any, tmp_path: Path) -> None:
    """-0 may become 0, so values are compared and not bits."""
    model = made_model(Recipe())
    adapters = open_adapters([str(random_adapter(tmp_path / "a.gguf", model, b=0.0))], model)
    adapted = logits(gpu, model, TOKENS, adapters)
    np.testing.assert_array_equal(adapted, reference_logits(gpu, model, TOKENS, Adapters()))


def test_two_halves_of_an_adapter_are_the_whole(gpu: Any, tmp_path: Path) -> None:
    model = made_model(Recipe())
    path = random_adapter(tmp_path / "a.gguf", model)
    once, twice = open_adapters([str(path)], model), open_adapters([f"{path}=0.5", f"{path}=0.5"], model)
    whole, plain = (reference_logits(gpu, model, TOKENS, adapters) for adapters in (once, Adapters()))
    halves = logits(gpu, model, TOKENS, twice)
    assert np.abs(halves - whole).mean() < 0.02 * np.abs(whole - plain).mean()


class InProcess:
    """This process as a device and a session: the GPU that tests share."""

    def __init__(self, gpu: Any) -> None:
        self.gpu, self.caps = gpu, gpu.caps

    def session(self) -> InProcess:
        return self

    def __enter__(self) -> InProcess:
        return self

    def __exit__(self, *error: object) -> None:
        self.loaded.close()

    def load(self, bundle: Bundle) -> None:
        source = Source(open_model(bundle.model), bundle.format.rpartition(">")[2], open_files(bundle.files))
        self.loaded = load(self.gpu, bundle.plan, source)

    def play(self, first: int, last: int) -> Trace:
        return self.loaded.play(first, last)

    def read(self, slot: str, offset: int, size: int) -> bytes:
        return bytes(self.loaded.read(slot, offset, size))


def test_perplexity_is_that_of_the_logits_whatever_the_chunk(gpu: Any, tmp_path: Path) -> None:
    model = open_model(str(write_gguf(made_model(Recipe()), tmp_path / "made.gguf", "tq2_0")))
    path = random_adapter(tmp_path / "a.gguf", model)
    device: Any = InProcess(gpu)

    def score(loras: list[str], chunk: int | None = None) -> Score:
        return perplexity(device, str(model.path), [Text(ids=TOKENS)], loras=loras, context=5, chunk=chunk)

    adapted = score([f"{path}=0.5"])
    windows = [TOKENS[0:5], TOKENS[4:9], TOKENS[8:11]]
    adapters = open_adapters([f"{path}=0.5"], model)
    expected = [surprise(logits(gpu, model, w, adapters)[:-1], w[1:]) for w in windows]
    assert (adapted.tokens, adapted.windows) == (10, 3) and adapted == score([f"{path}=0.5"], chunk=2)
    assert adapted.nll == pytest.approx(np.concatenate(expected).mean(), rel=1e-12)
    assert adapted.perplexity == pytest.approx(np.exp(adapted.nll)) and score([]).nll != adapted.nll


def tritmark(*arguments: str | Path, status: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tritmark.bench.cli", *map(str, arguments)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert ended.returncode == status, ended.stderr
    return ended


def test_generate_and_logits_take_adapters(gpu: Any, tmp_path: Path) -> None:
    model = open_model("synthetic:tiny")
    path = random_adapter(tmp_path / "a.gguf", model, ["blk.0.attn_v", "blk.1.ffn_down"])
    arguments = ("--model", "synthetic:tiny", "--lora", f"{path}=2", "--lora", path, "--json")
    adapters = open_adapters([f"{path}=2", str(path)], model)
    compiled = compile_generation(model, TQ2, [1, 2, 3], 2, gpu.caps, adapters=adapters)
    with session(gpu, compiled, model, "tq2_0", adapters.models) as loaded:
        loaded.play()
        expected = np.frombuffer(loaded.read("tokens", 12, 12), "<u4").tolist()
    ended = tritmark("generate", *arguments, "--prompt-tokens", "1,2,3", "--tokens", "3")
    assert json.loads(ended.stdout.splitlines()[-1])["tokens"] == expected
    out = tmp_path / "logits"
    tritmark("logits", *arguments, "--tokens", "1,2,3", "--out", out)
    assert same_bits(np.load(out), logits(gpu, model, [1, 2, 3], adapters))


def test_a_merge_says_what_it_cost(gpu: Any, golden: Path, tmp_path: Path) -> None:
    """Dense, the merged model is as likely as the adapted one, but for the int8 activations of the adapter's part."""
    model, text = golden / "tiny-llama.tq2_0.gguf", tmp_path / "text"
    text.write_text("Integers first, and a sealed product everywhere else.")
    arguments = ("--model", model, "--lora", golden / "adapter-random-llama.gguf", "--data", text, "--json")
    ended = tritmark("merge", *arguments, "--out", tmp_path / "merged.gguf")
    found = json.loads(ended.stdout)["perplexity"]
    nll = {name: score["nll"] for name, score in found.items()}
    assert abs(nll["merged"] - nll["adapted"]) < 0.3 * abs(nll["base"] - nll["adapted"])
    again = json.loads(tritmark("perplexity", *arguments).stdout)
    assert again == found["adapted"] and again["tokens"] > 10
