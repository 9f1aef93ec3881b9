"""Small Hugging Face checkpoints of both BitNet families, written as real safetensors files with random weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from safetensors.numpy import save_file

E, F, LAYERS, HEADS, KV_HEADS, VOCABULARY = 256, 352, 2, 4, 2, 300
LINEAR = {"self_attn.q_proj": (E, E), "self_attn.k_proj": (128, E), "self_attn.v_proj": (128, E),
          "self_attn.o_proj": (E, E), "mlp.gate_proj": (F, E), "mlp.up_proj": (F, E), "mlp.down_proj": (E, F)}
OUTER_NORMS = {"input_layernorm": E, "post_attention_layernorm": E}
NORMS = {"1bitLLM": {**OUTER_NORMS, "self_attn.inner_attn_ln": E, "mlp.ffn_layernorm": F},
         "microsoft": {**OUTER_NORMS, "self_attn.attn_sub_norm": E, "mlp.ffn_sub_norm": F}}
LLAMA3_SPLIT = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
                r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")

Arrays = dict[str, np.ndarray]


def config(family: str, **changes: Any) -> dict[str, Any]:
    base = {"hidden_size": E, "intermediate_size": F, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS,
            "num_key_value_heads": KV_HEADS, "vocab_size": VOCABULARY, "rms_norm_eps": 1e-5,
            "tie_word_embeddings": True}
    if family == "1bitLLM":
        return {**base, "architectures": ["BitnetForCausalLM"], "hidden_act": "silu", "max_position_embeddings": 2048,
                "rope_theta": 10000.0, "bos_token_id": 1, "eos_token_id": 2, **changes}
    return {**base, "architectures": ["BitNetForCausalLM"], "hidden_act": "relu2", "max_position_embeddings": 4096,
            "rope_theta": 500000.0, **changes}


def floats(family: str, dtype: Any, seed: int = 0) -> Arrays:
    """Every tensor with normal master weights."""
    random = np.random.default_rng(seed)

    def normal(*shape: int, mean: float = 0.0, std: float = 0.02) -> np.ndarray:
        return random.normal(mean, std, shape).astype(dtype)

    arrays = {"model.embed_tokens.weight": normal(VOCABULARY, E), "model.norm.weight": normal(E, mean=1, std=0.1)}
    for layer in range(LAYERS):
        prefix = f"model.layers.{layer}"
        arrays |= {f"{prefix}.{part}.weight": normal(*shape) for part, shape in LINEAR.items()}
        arrays |= {f"{prefix}.{part}.weight": normal(size, mean=1, std=0.1) for part, size in NORMS[family].items()}
    return arrays


def packed(seed: int = 0) -> tuple[Arrays, Arrays, dict[str, float]]:
    """A packed Microsoft checkpoint, the trits it holds and the scales it names."""
    random = np.random.default_rng(seed)
    arrays, trits, scales = floats("microsoft", ml_dtypes.bfloat16, seed), {}, {}
    for layer in range(LAYERS):
        for part, (rows, cols) in LINEAR.items():
            name = f"model.layers.{layer}.{part}.weight"
            trits[name] = random.integers(-1, 2, (rows, cols), np.int8)
            quarters = (trits[name] + 1).astype(np.uint8).reshape(4, rows // 4, cols)
            arrays[name] = quarters[0] | quarters[1] << 2 | quarters[2] << 4 | quarters[3] << 6
            scale = np.array([random.uniform(0.5, 2)], ml_dtypes.bfloat16)
            arrays[f"{name}_scale"], scales[name] = scale, float(scale[0])
    return arrays, trits, scales


def write(folder: Path, arrays: Arrays, settings: dict[str, Any], shards: int = 1) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(settings))
    if shards == 1:
        save_file(arrays, folder / "model.safetensors")
        return folder
    weight_map = {}
    for shard in range(shards):
        file = f"model-{shard + 1:05}-of-{shards:05}.safetensors"
        part = {name: arrays[name] for name in sorted(arrays)[shard::shards]}
        save_file(part, folder / file)
        weight_map |= dict.fromkeys(part, file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    return folder


def byte_pair_tokenizer() -> dict[str, Any]:
    """tokenizer.json with a byte alphabet, two merges and Llama 3's split and special tokens."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = [chr(byte) for byte in printable] + [chr(256 + index) for index in range(256 - len(printable))]
    vocabulary = {text: index for index, text in enumerate([*letters, "th", "the"])}
    special = ["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"]
    return {
        "model": {"type": "BPE", "vocab": vocabulary, "merges": ["t h", ["th", "e"]], "ignore_merges": True},
        "added_tokens": [{"id": 258 + index, "content": text, "special": True} for index, text in enumerate(special)],
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": LLAMA3_SPLIT}, "behavior": "Isolated", "invert": False},
            {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}]},
    }
