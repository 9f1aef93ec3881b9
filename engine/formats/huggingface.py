"""A Hugging Face checkpoint folder as a Model: both BitNet families, made ternary tensor by tensor as it is read.

Master weights (1bitLLM/bitnet_b1_58-*, microsoft/bitnet-b1.58-2B-4T-bf16) become round(W / s) clipped to -1..1 with
s = max(mean |W|, 1e-5) over the whole tensor, halves to even as torch rounds. Packed weights
(microsoft/bitnet-b1.58-2B-4T) are u8 (out / 4, in): bit pair i of row r is the code of output row i * out / 4 + r, and
``weight_scale`` multiplies for linear class autobitlinear and divides for bitlinear. A row that is no multiple of 256
weights cannot be a TQ row and comes as f16, which llama.cpp reads and this engine holds as ternary all the same.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FormatError
from .huggingface_tokenizer import read_json, tokenizer_metadata
from .model import ACTIVATION_KEY, TensorInfo, tensor_info
from .ternary import BLOCK, pack

READ_BYTES = 1 << 24  # of a tensor at a time, as f32; sums of magnitudes are defined by it
_LINEAR = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
_NORMS = {
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
    "self_attn.inner_attn_ln": "attn_sub_norm", "mlp.ffn_layernorm": "ffn_sub_norm",  # 1bitLLM
    "self_attn.attn_sub_norm": "attn_sub_norm", "mlp.ffn_sub_norm": "ffn_sub_norm",  # Microsoft
}
_OUTER = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
_LAYER = re.compile(r"model\.layers\.(\d+)\.(.+)")
_DERIVED = (".weight_scale", ".rotary_emb.inv_freq")  # read along with their weight; recomputed by everybody


class HuggingFaceModel:
    """The Model of a checkpoint folder: config.json, *.safetensors with or without an index, tokenizer files."""

    def __init__(self, folder: Path, name: str | None = None) -> None:
        self.path: Path = folder
        self.name = name or folder.resolve().name
        self._config = read_json(folder / "config.json")
        self._shards = _Shards(folder)
        self._sources = self._gguf_names()
        self._require_all_tensors()

    @cached_property
    def sha256(self) -> str:
        """Of the shards' own digests, in name order."""
        return hashlib.sha256("".join(self._shards.digests()).encode()).hexdigest()

    @cached_property
    def tensors(self) -> Mapping[str, TensorInfo]:
        return {name: self._info(name, source) for name, source in sorted(self._sources.items(), key=_file_order)}

    @cached_property
    def metadata(self) -> Mapping[str, Any]:
        heads, width = self._integer("num_attention_heads"), self._integer("hidden_size")
        vocabulary = self.tensors["token_embd.weight"].shape[0]
        return {
            "general.architecture": "bitnet", "general.type": "model", "general.name": self.name,
            "general.quantization_version": 2, ACTIVATION_KEY: self._activation(),
            "bitnet.vocab_size": vocabulary, "bitnet.context_length": self._integer("max_position_embeddings"),
            "bitnet.embedding_length": width, "bitnet.block_count": self._integer("num_hidden_layers"),
            "bitnet.feed_forward_length": self._integer("intermediate_size"),
            "bitnet.attention.head_count": heads,
            "bitnet.attention.head_count_kv": self._integer("num_key_value_heads", heads),
            "bitnet.attention.layer_norm_rms_epsilon": self._number("rms_norm_eps", 1e-5),
            "bitnet.rope.freq_base": self._rope_base(), "bitnet.rope.dimension_count": width // heads,
            "bitnet.rope.scaling.type": "linear", "bitnet.rope.scaling.factor": 1.0,
            **tokenizer_metadata(self.path, self._config, vocabulary),
        }

    def known_scale(self, name: str) -> None:
        """Only reading tells."""

    def packed(self, name: str) -> np.ndarray:
        """uint8 (rows, row_bytes); the whole tensor is in memory once in its source type and once packed."""
        info = tensor_info(self, name)
        source = self._sources[name]
        if not _is_linear(name):
            return self._floats(source, info)
        trits, scale = self._ternary(source, info)
        with np.errstate(over="ignore"):
            stored = np.float16(scale)
        if not np.isfinite(stored) or stored == 0:
            raise FormatError(f"{self.path}: the scale {scale} of {source} does not fit fp16, which TQ blocks need")
        if info.type == "f16":
            return (trits * stored).astype("<f2").view(np.uint8)
        return pack(trits, np.full((info.rows, info.cols // BLOCK), stored), info.type)

    def _ternary(self, source: str, info: TensorInfo) -> tuple[np.ndarray, np.float32]:
        """int8 trits (rows, cols) and their scale."""
        if self._shards.dtype(source) == "U8":
            return self._unpacked(source, info)
        total = sum(float(np.abs(part).sum(dtype=np.float64)) for _, part in self._shards.parts(source))
        scale = np.maximum(np.float32(total / (info.rows * info.cols)), np.float32(1e-5))
        trits = np.empty(info.shape, np.int8)
        for rows, part in self._shards.parts(source):
            if not np.isfinite(part).all():
                raise FormatError(f"{self.path}: {source} holds NaN or infinite weights")
            trits[rows] = np.clip(np.rint(part / scale), -1, 1)
        return trits, scale

    def _unpacked(self, source: str, info: TensorInfo) -> tuple[np.ndarray, np.float32]:
        quarter = info.rows // 4
        trits = np.empty((4, quarter, info.cols), np.int8)
        for rows, part in self._shards.parts(source):
            for pair in range(4):
                codes = part >> 2 * pair & 3
                trits[pair, rows] = np.where(codes == 3, 0, codes.astype(np.int8) - 1)  # 3 is unused: a zero
        scales = [part for _, part in self._shards.parts(f"{source}_scale")]
        if len(scales) != 1 or scales[0].size != 1 or not np.isfinite(scales[0]).all() or scales[0].item() == 0:
            raise FormatError(f"{self.path}: {source}_scale is not one finite number other than 0")
        quantization = self._config.get("quantization_config") or {}
        given = np.float32(scales[0].item())
        multiplies = quantization.get("linear_class") == "autobitlinear"
        return trits.reshape(info.shape), given if multiplies else np.float32(1) / given

    def _floats(self, source: str, info: TensorInfo) -> np.ndarray:
        """Embeddings as f16 and norms as f32."""
        out = np.empty(info.shape, "<f2" if info.type == "f16" else "<f4")
        for rows, part in self._shards.parts(source):
            with np.errstate(over="ignore"):
                out[rows] = part
            if not np.isfinite(out[rows]).all():
                raise FormatError(f"{self.path}: {source} holds values that do not fit {info.type}")
        return out.view(np.uint8).reshape(info.rows, info.row_bytes)

    def _info(self, name: str, source: str) -> TensorInfo:
        shape = self._shards.shape(source)
        if len(shape) not in (1, 2) or 0 in shape or _is_linear(name) != (len(shape) == 2 and "blk." in name):
            raise FormatError(f"{self.path}: {source} has shape {shape}, which is no weight of BitNet")
        if not _is_linear(name):
            return TensorInfo(name, shape, "f16" if len(shape) == 2 else "f32")
        if self._shards.dtype(source) == "U8":
            shape = (4 * shape[0], shape[1])
        return TensorInfo(name, shape, "f16" if shape[1] % BLOCK else "tq2_0")

    def _gguf_names(self) -> dict[str, str]:
        """GGUF name -> checkpoint name of every tensor that a GGUF takes."""
        tied = self._config.get("tie_word_embeddings") is True
        names = {}
        for source in self._shards.names():
            if source.endswith(_DERIVED) or (tied and source.startswith("lm_head.")):
                continue
            names[_gguf_name(source, self.path)] = source
        return names

    def _require_all_tensors(self) -> None:
        parts = sorted({*_LINEAR.values(), *_NORMS.values()})
        wanted = [f"blk.{n}.{part}.weight" for n in range(self._integer("num_hidden_layers")) for part in parts]
        for name in ["token_embd.weight", "output_norm.weight", *wanted]:
            if name not in self._sources:
                raise FormatError(f"{self.path}: the checkpoint lacks {name}; it is incomplete or not BitNet")

    def _integer(self, key: str, default: int | None = None) -> int:
        value = self._config.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 1 << 31:
            raise FormatError(f"{self.path}/config.json: {key} is {value!r}, not a positive integer")
        return value

    def _number(self, key: str, default: float) -> float:
        """A positive number, rounded to the f32 that a GGUF holds."""
        value = self._config.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e30:
            raise FormatError(f"{self.path}/config.json: {key} is {value!r}, not a positive number")
        return float(np.float32(value))

    def _activation(self) -> str:
        activation = self._config.get("hidden_act", "silu")
        if activation not in ("silu", "relu2"):
            raise FormatError(f"{self.path}/config.json: hidden_act {activation!r} is not silu or relu2")
        return str(activation)

    def _rope_base(self) -> float:
        """``rope_theta``, which newer configurations nest in ``rope_parameters``; scaled rotation is refused."""
        nested, scaled = self._config.get("rope_parameters") or {}, self._config.get("rope_scaling") or {}
        if not isinstance(nested, dict) or not isinstance(scaled, dict):
            raise FormatError(f"{self.path}/config.json: rope_parameters and rope_scaling must be objects")
        scaling = (scaled or nested).get("rope_type", scaled.get("type", "default"))
        if scaling != "default":
            raise FormatError(f"{self.path}/config.json: rope scaling {scaling!r} is not supported")
        return self._number("rope_theta", nested.get("rope_theta", 10000.0))


class _Shards:
    """The tensors of all *.safetensors files of a folder, read a few MiB of rows at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        index = folder / "model.safetensors.index.json"
        weight_map = read_json(index).get("weight_map") if index.is_file() else {}
        if not isinstance(weight_map, dict) or not all(isinstance(name, str) for name in weight_map.values()):
            raise FormatError(f"{index}: weight_map is not an object of file names")
        listed = sorted(set(weight_map.values()))
        self._files = [folder / name for name in listed] or sorted(folder.glob("*.safetensors"))
        if not self._files:
            raise FormatError(f"{folder}: no *.safetensors file; convert .bin checkpoints with transformers first")
        self._open = {file: _open_safetensors(file) for file in self._files}
        self._file_of = {name: file for file, handle in self._open.items() for name in handle.keys()}  # noqa: SIM118

    def names(self) -> list[str]:
        return sorted(self._file_of)

    def digests(self) -> Iterator[str]:
        for file in self._files:
            with file.open("rb") as stream:
                yield hashlib.file_digest(stream, "sha256").hexdigest()

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(self._slice(name).get_shape())

    def dtype(self, name: str) -> str:
        return str(self._slice(name).get_dtype())

    def parts(self, name: str) -> Iterator[tuple[slice, np.ndarray]]:
        """Row ranges of a tensor: u8 as it is, any float type as float32."""
        source, shape, dtype = self._slice(name), self.shape(name), self.dtype(name)
        if dtype not in ("U8", "F32", "F16", "BF16"):
            raise FormatError(f"{self._folder}: {name} has type {dtype}; supported are F32, F16, BF16 and packed U8")
        step = max(1, READ_BYTES // (4 * max(1, int(np.prod(shape[1:])))))
        for first in range(0, shape[0] if shape else 1, step):
            rows = slice(first, min(shape[0] if shape else 1, first + step))
            part = source[rows] if shape else self._handle(name).get_tensor(name).reshape(1)
            yield rows, part if dtype == "U8" else part.astype(np.float32)

    def _handle(self, name: str) -> Any:
        if name not in self._file_of:
            raise FormatError(f"{self._folder}: the checkpoint lacks {name}")
        return self._open[self._file_of[name]]

    def _slice(self, name: str) -> Any:
        return self._handle(name).get_slice(name)


def _open_safetensors(file: Path) -> Any:
    try:
        import ml_dtypes  # noqa: F401  gives NumPy the type bfloat16, which safetensors then uses
        from safetensors import SafetensorError, safe_open
    except ImportError:
        raise FormatError("Hugging Face checkpoints need more packages; pip install 'tritmark[hub]'") from None
    try:
        return safe_open(file, framework="np")
    except (SafetensorError, OSError) as error:
        raise FormatError(f"{file}: not a readable safetensors file: {' '.join(str(error).split())}") from None


def _gguf_name(source: str, folder: Path) -> str:
    stem, _, kind = source.rpartition(".")
    layer = _LAYER.fullmatch(stem)
    part = {**_LINEAR, **_NORMS}.get(layer[2]) if layer else _OUTER.get(stem)
    if kind != "weight" or part is None:
        raise FormatError(f"{folder}: {source} is no tensor of a BitNet model this engine knows")
    return f"blk.{layer[1]}.{part}.weight" if layer else f"{part}.weight"


def _is_linear(name: str) -> bool:
    return name.startswith("blk.") and name.split(".")[2] in _LINEAR.values()


def _file_order(item: tuple[str, str]) -> tuple[int, int, str]:
    """Embedding, layers in order, the rest: the order in which a model is read."""
    name = item[0]
    if name.startswith("blk."):
        return 1, int(name.split(".")[1]), name
    return (0 if name == "token_embd.weight" else 2), 0, name
