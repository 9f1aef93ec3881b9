"""Conversion: checkpoints of both families become the GGUF that their papers' arithmetic asks for."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import checkpoint_samples as samples
import ml_dtypes
import numpy as np
import pytest

from tritmark.engine.errors import FormatError
from tritmark.engine.formats.blocks import dense
from tritmark.engine.formats.convert import convert, open_source
from tritmark.engine.formats.model import ACTIVATION_KEY, Model, open_model
from tritmark.engine.formats.resident import as_ternary
from tritmark.engine.formats.ternary import unpack

GGUF_NAMES = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
              "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
              "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
              "self_attn.inner_attn_ln": "attn_sub_norm", "mlp.ffn_layernorm": "ffn_sub_norm",
              "self_attn.attn_sub_norm": "attn_sub_norm", "mlp.ffn_sub_norm": "ffn_sub_norm"}


def gguf_name(source: str) -> str:
    if source.startswith("model.layers."):
        _, _, layer, part = source.removesuffix(".weight").split(".", 3)
        return f"blk.{layer}.{GGUF_NAMES[part]}.weight"
    return {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight"}[source]


def trits_and_scale(model: Model, name: str) -> tuple[np.ndarray, float]:
    held = as_ternary(model, name)
    if held is not None:
        return held[0], float(held[1])
    trits, scales = unpack(model.packed(name), model.tensors[name].type)
    assert np.unique(scales).size == 1
    return trits, float(scales[0, 0])


def absmean(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Trits, which of them are beyond doubt, and scale, in float64 from the definition."""
    exact = weights.astype(np.float64)
    scale = max(np.abs(exact).mean(), 1e-5)
    ratio = exact / scale
    clear = np.abs(np.abs(ratio) - 0.5) > 1e-5  # float32 division may fall on either side of a half
    return np.clip(np.round(ratio), -1, 1).astype(np.int8), clear, scale


@pytest.mark.parametrize("kind", ["tq1_0", "tq2_0"])
@pytest.mark.parametrize(("family", "dtype"), [("1bitLLM", np.float32), ("1bitLLM", np.float16),
                                               ("microsoft", ml_dtypes.bfloat16)])
def test_master_weights_become_absmean_trits(family: str, dtype: Any, kind: str, tmp_path: Path) -> None:
    arrays = samples.floats(family, dtype)
    folder = samples.write(tmp_path / "checkpoint", arrays, samples.config(family))
    model = open_model(str(convert(str(folder), tmp_path / "out.gguf", kind)))
    assert set(model.tensors) == {gguf_name(source) for source in arrays}
    for source, weights in arrays.items():
        name = gguf_name(source)
        if "_proj" not in source:
            info = model.tensors[name]
            assert info.type == ("f16" if weights.ndim == 2 else "f32")
            expected = weights.astype(np.float32).astype(np.float16 if weights.ndim == 2 else np.float32)
            values = dense(model.packed(name), info.type, info.cols)
            np.testing.assert_array_equal(values.reshape(weights.shape), expected)
            continue
        assert model.tensors[name].type == ("f16" if weights.shape[1] % 256 else kind)
        expected_trits, clear, expected_scale = absmean(weights)
        trits, scale = trits_and_scale(model, name)
        assert clear.mean() > 0.999
        np.testing.assert_array_equal(trits[clear], expected_trits[clear])
        assert abs(scale / expected_scale - 1) < 2.0**-11


@pytest.mark.parametrize(("linear_class", "divides"), [("autobitlinear", False), ("bitlinear", True), (None, True)])
@pytest.mark.parametrize("shards", [1, 3])
def test_packed_weights_keep_their_trits_and_scale_as_the_linear_class_says(
        linear_class: str | None, divides: bool, shards: int, tmp_path: Path) -> None:
    arrays, trits, scales = samples.packed()
    quantization = {"quant_method": "bitnet", "quantization_mode": "offline", "linear_class": linear_class}
    settings = samples.config("microsoft", quantization_config=quantization)
    folder = samples.write(tmp_path / "checkpoint", arrays, settings, shards)
    model = open_model(str(convert(str(folder), tmp_path / "out.gguf", "tq1_0")))
    assert len(model.tensors) == 11 * samples.LAYERS + 2
    for source, expected in trits.items():
        found, scale = trits_and_scale(model, gguf_name(source))
        np.testing.assert_array_equal(found, expected)
        assert scale == np.float16(1 / np.float32(scales[source]) if divides else scales[source])


def test_ties_round_to_even_as_torch_rounds(tmp_path: Path) -> None:
    """|W| is 0.5, 1 or 1.5 with mean 1, so that W / s hits 0.5 and 1.5 exactly: 0.5 goes to 0."""
    arrays = samples.floats("1bitLLM", np.float32)
    weights = np.tile(np.array([0.5, -0.5, 1.5, -1.5, 1, -1, 1, -1], np.float32), (256, 32))
    arrays["model.layers.0.self_attn.q_proj.weight"] = weights
    model = open_source(str(samples.write(tmp_path / "checkpoint", arrays, samples.config("1bitLLM"))))
    trits, scale = trits_and_scale(model, "blk.0.attn_q.weight")
    assert scale == 1 and trits[0, :8].tolist() == [0, 0, 1, -1, 1, -1, 1, -1]


def test_packed_code_3_is_a_zero(tmp_path: Path) -> None:
    arrays, _, _ = samples.packed()
    name = "model.layers.1.self_attn.o_proj.weight"
    arrays[name][:] = 0b11_10_01_00
    folder = samples.write(tmp_path / "checkpoint", arrays, samples.config("microsoft"))
    trits, _ = trits_and_scale(open_source(str(folder)), "blk.1.attn_output.weight")
    assert [set(trits[64 * pair : 64 * pair + 64].ravel()) for pair in range(4)] == [{-1}, {0}, {1}, {0}]


def test_both_types_of_a_checkpoint_hold_the_same_values(tmp_path: Path) -> None:
    folder = samples.write(tmp_path / "checkpoint", samples.floats("1bitLLM", np.float32), samples.config("1bitLLM"))
    first, second = (open_model(str(convert(str(folder), tmp_path / f"{kind}.gguf", kind)))
                     for kind in ("tq1_0", "tq2_0"))
    for name, info in first.tensors.items():
        other = second.tensors[name]
        np.testing.assert_array_equal(dense(first.packed(name), info.type, info.cols),
                                      dense(second.packed(name), other.type, other.cols))


def test_metadata_say_what_the_configuration_says(tmp_path: Path) -> None:
    settings = samples.config("microsoft")
    folder = samples.write(tmp_path / "bitnet-2b", samples.floats("microsoft", ml_dtypes.bfloat16), settings)
    metadata = open_model(str(convert(str(folder), tmp_path / "out.gguf", "tq2_0"))).metadata
    assert metadata["general.name"] == "bitnet-2b" and metadata["general.architecture"] == "bitnet"
    assert metadata[ACTIVATION_KEY] == "relu2" and metadata["general.file_type"] == 37
    expected = {"vocab_size": 300, "context_length": 4096, "embedding_length": 256, "block_count": 2,
                "feed_forward_length": 352, "attention.head_count": 4, "attention.head_count_kv": 2,
                "rope.freq_base": 500000.0, "rope.dimension_count": 64,
                "attention.layer_norm_rms_epsilon": float(np.float32(1e-5))}
    assert {key: metadata[f"bitnet.{key}"] for key in expected} == expected
    assert not any(key.startswith("tokenizer.") for key in metadata)


def test_an_untied_head_is_kept_and_a_tied_copy_is_dropped(tmp_path: Path) -> None:
    arrays = samples.floats("1bitLLM", np.float32)
    arrays["lm_head.weight"] = arrays["model.embed_tokens.weight"] * 2
    tied = samples.write(tmp_path / "tied", arrays, samples.config("1bitLLM"))
    untied = samples.write(tmp_path / "untied", arrays, samples.config("1bitLLM", tie_word_embeddings=False))
    assert "output.weight" not in open_source(str(tied)).tensors
    assert open_source(str(untied)).tensors["output.weight"].type == "f16"


def test_byte_pair_tokenizer_files_become_metadata(tmp_path: Path) -> None:
    folder = samples.write(tmp_path / "checkpoint", samples.floats("microsoft", ml_dtypes.bfloat16),
                           samples.config("microsoft", eos_token_id=[259, 260]))
    (folder / "tokenizer.json").write_text(json.dumps(samples.byte_pair_tokenizer()))
    (folder / "tokenizer_config.json").write_text(json.dumps({
        "bos_token": {"content": "<|begin_of_text|>"},
        "chat_template": [{"name": "default", "template": "{{ messages }}"}]}))
    found = open_model(str(convert(str(folder), tmp_path / "out.gguf", "tq1_0"))).metadata
    tokens = found["tokenizer.ggml.tokens"]
    assert (found["tokenizer.ggml.model"], found["tokenizer.ggml.pre"]) == ("gpt2", "llama-bpe")
    assert found["tokenizer.ggml.merges"] == ["t h", "th e"] and tokens[256:259] == ["th", "the", "<|begin_of_text|>"]
    assert len(tokens) == 300 and tokens[299] == "[PAD299]"
    assert found["tokenizer.ggml.token_type"][255:262] == [1, 1, 1, 3, 3, 3, 5]
    ids = {key: found[f"tokenizer.ggml.{key}_token_id"] for key in ("bos", "eos", "eot")}
    assert ids == {"bos": 258, "eos": 259, "eot": 260}
    assert found["tokenizer.ggml.add_bos_token"] is True and found["tokenizer.chat_template"] == "{{ messages }}"


def test_sentencepiece_files_become_metadata(tmp_path: Path) -> None:
    sentencepiece = pytest.importorskip("sentencepiece")
    (tmp_path / "text").write_text("the quick brown fox jumps over the lazy dog\n" * 50)
    sentencepiece.SentencePieceTrainer.train(
        input=str(tmp_path / "text"), model_prefix=str(tmp_path / "tokenizer"), vocab_size=292, model_type="bpe",
        byte_fallback=True, minloglevel=2, hard_vocab_limit=False)
    folder = samples.write(tmp_path / "checkpoint", samples.floats("1bitLLM", np.float32), samples.config("1bitLLM"))
    (tmp_path / "tokenizer.model").rename(folder / "tokenizer.model")
    (folder / "added_tokens.json").write_text('{"<line>": 299, "<pad>": 298}')
    (folder / "tokenizer_config.json").write_text(json.dumps({
        "added_tokens_decoder": {"298": {"content": "<pad>", "special": True}},
        "pad_token": "<pad>", "add_bos_token": True}))
    found = open_model(str(convert(str(folder), tmp_path / "out.gguf", "tq1_0"))).metadata
    tokens, kinds, scores = (found[f"tokenizer.ggml.{key}"] for key in ("tokens", "token_type", "scores"))
    processor = sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))
    count = processor.vocab_size()
    assert tokens[:count] == [processor.id_to_piece(index) for index in range(count)]
    assert scores[:count] == [processor.get_score(index) for index in range(count)]
    assert kinds[:4] == [2, 3, 3, 6] and kinds[298:] == [3, 4] and tokens[298:] == ["<pad>", "<line>"]
    assert found["tokenizer.ggml.model"] == "llama" and found["tokenizer.ggml.add_space_prefix"] is True
    ids = {key: found[f"tokenizer.ggml.{key}_token_id"] for key in ("bos", "eos", "padding", "unknown")}
    assert ids == {"bos": 1, "eos": 2, "padding": 298, "unknown": 0}


def broken(folder: Path, how: str) -> None:
    """Damage the checkpoint in ``folder``."""
    settings = json.loads((folder / "config.json").read_text())
    if how == "no weights":
        (folder / "model.safetensors").unlink()
    elif how == "cut weights":
        content = (folder / "model.safetensors").read_bytes()
        (folder / "model.safetensors").write_bytes(content[: len(content) // 2])
    elif how == "config is a list":
        (folder / "config.json").write_text("[]")
    elif how == "config is cut":
        (folder / "config.json").write_text('{"hidden')
    elif how == "no config":
        (folder / "config.json").unlink()
    else:
        (folder / "config.json").write_text(json.dumps({**settings, **CHANGES[how]}))


CHANGES: dict[str, dict[str, Any]] = {
    "gelu": {"hidden_act": "gelu"}, "size is text": {"hidden_size": "many"}, "more layers": {"num_hidden_layers": 3},
    "scaled rope": {"rope_scaling": {"rope_type": "yarn", "factor": 4}}, "theta is text": {"rope_theta": "1e4"},
    "rope is a list": {"rope_parameters": [1]},
}


@pytest.mark.parametrize(("how", "expected"), [
    ("no weights", "no *.safetensors"), ("cut weights", "not a readable safetensors"),
    ("config is a list", "not an object"), ("config is cut", "not readable as JSON"), ("no config", "no such file"),
    ("gelu", "hidden_act 'gelu'"), ("size is text", "hidden_size is 'many'"), ("more layers", "lacks blk.2."),
    ("scaled rope", "rope scaling 'yarn'"), ("theta is text", "rope_theta is '1e4'"), ("rope is a list", "objects")])
def test_broken_checkpoint_is_refused_in_one_line_and_leaves_nothing(how: str, expected: str, tmp_path: Path) -> None:
    folder = samples.write(tmp_path / "checkpoint", samples.floats("1bitLLM", np.float32), samples.config("1bitLLM"))
    broken(folder, how)
    (tmp_path / "out").mkdir()
    with pytest.raises(FormatError) as caught:
        convert(str(folder), tmp_path / "out" / "model.gguf", "tq1_0")
    assert expected in str(caught.value) and "\n" not in str(caught.value)
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize(("name", "value", "expected"), [
    ("model.layers.0.mlp.up_proj.weight", np.nan, "NaN or infinite weights"),
    ("model.norm.weight", np.inf, "do not fit f32"), ("model.embed_tokens.weight", 1e6, "do not fit f16"),
    ("model.layers.0.mlp.up_proj.weight", 1e12, "does not fit fp16"),
])
def test_weights_that_no_gguf_can_hold_are_refused(name: str, value: float, expected: str, tmp_path: Path) -> None:
    arrays = samples.floats("1bitLLM", np.float32)
    arrays[name].flat[5] = value
    folder = samples.write(tmp_path / "checkpoint", arrays, samples.config("1bitLLM"))
    with pytest.raises(FormatError, match=expected):
        convert(str(folder), tmp_path / "out.gguf", "tq2_0")
    assert not (tmp_path / "out.gguf").exists()


@pytest.mark.parametrize("content", ['{"model": 3}', '{"model": {"type": "BPE", "vocab": {"a": "b"}}}', "[1]", "{",
                                     '{"added_tokens": [{"content": "x"}]}'])
def test_damaged_tokenizer_files_are_refused(content: str, tmp_path: Path) -> None:
    folder = samples.write(tmp_path / "checkpoint", samples.floats("1bitLLM", np.float32), samples.config("1bitLLM"))
    (folder / "tokenizer.json").write_text(content)
    with pytest.raises(FormatError):
        convert(str(folder), tmp_path / "out.gguf", "tq2_0")
    (folder / "tokenizer.json").unlink()
    (folder / "model.safetensors.index.json").write_text('{"weight_map": [1, 2]}')
    with pytest.raises(FormatError, match="weight_map"):
        convert(str(folder), tmp_path / "out.gguf", "tq2_0")


def test_a_packed_weight_without_its_scale_is_refused(tmp_path: Path) -> None:
    arrays, _, _ = samples.packed()
    del arrays["model.layers.1.mlp.up_proj.weight_scale"]
    folder = samples.write(tmp_path / "checkpoint", arrays, samples.config("microsoft"))
    with pytest.raises(FormatError, match=r"lacks model\.layers\.1\.mlp\.up_proj\.weight_scale"):
        convert(str(folder), tmp_path / "out.gguf", "tq2_0")


def test_a_tensor_of_another_architecture_is_named(tmp_path: Path) -> None:
    arrays = samples.floats("1bitLLM", np.float32)
    arrays["model.layers.0.self_attn.q_proj.bias"] = np.zeros(256, np.float32)
    folder = samples.write(tmp_path / "checkpoint", arrays, samples.config("1bitLLM"))
    with pytest.raises(FormatError, match=r"q_proj\.bias is no tensor of a BitNet model"):
        open_source(str(folder))


def test_gguf_and_synthetic_sources_are_repacked(tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    first = convert("synthetic:tiny", tmp_path / "a.gguf", "tq1_0", lambda *step: seen.append(step))
    assert len(seen) == 24 and seen[-1] == ("output_norm.weight", 24, 24)
    second = convert(str(first), tmp_path / "b.gguf", "tq2_0")
    direct = convert("synthetic:tiny", tmp_path / "c.gguf", "tq2_0")
    assert second.read_bytes() == direct.read_bytes()


def test_a_file_can_be_converted_onto_itself(tmp_path: Path) -> None:
    path = convert("synthetic:tiny", tmp_path / "a.gguf", "tq1_0")
    expected = convert("synthetic:tiny", tmp_path / "b.gguf", "tq2_0").read_bytes()
    assert convert(str(path), path, "tq2_0").read_bytes() == expected


@pytest.mark.parametrize("source", ["nothing-here", "nothing/here.gguf", "synthetic:nothing", "three/part/name"])
def test_a_source_that_is_nothing_is_refused(source: str, tmp_path: Path) -> None:
    with pytest.raises(FormatError):
        convert(source, tmp_path / "out.gguf", "tq1_0")


def test_a_repository_name_is_downloaded_once_and_read_as_a_folder(tmp_path: Path,
                                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    folder = samples.write(tmp_path / "5f3c", samples.floats("1bitLLM", np.float32), samples.config("1bitLLM"))
    asked = []

    def snapshot_download(repository: str, **options: Any) -> str:
        asked.append((repository, sorted(options)))
        return str(folder)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    model = open_source("1bitLLM/bitnet_b1_58-large")
    assert asked == [("1bitLLM/bitnet_b1_58-large", ["allow_patterns", "ignore_patterns"])]
    assert model.metadata["general.name"] == "bitnet_b1_58-large"


def test_a_failed_download_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def snapshot_download(repository: str, **options: Any) -> str:
        raise OSError("connection lost\nand a long story")

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    with pytest.raises(FormatError, match=r"^cannot download 1bitLLM/bitnet_b1_58-large: connection lost$"):
        open_source("1bitLLM/bitnet_b1_58-large")


@pytest.mark.parametrize(("package", "source"), [("huggingface_hub", "owner/name"), ("ml_dtypes", "folder")])
def test_a_missing_extra_names_the_command_that_installs_it(package: str, source: str, tmp_path: Path,
                                                            monkeypatch: pytest.MonkeyPatch) -> None:
    folder = samples.write(tmp_path / "checkpoint", samples.floats("1bitLLM", np.float32), samples.config("1bitLLM"))
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(FormatError, match=r"pip install 'tritmark\[hub\]'"):
        open_source(str(folder) if source == "folder" else source)
