"""Tokenizer files of a Hugging Face checkpoint as GGUF metadata (tokenizer.ggml.*).

tokenizer.model (SentencePiece) wins over tokenizer.json (byte-level BPE), as in llama.cpp's converter. A folder without
either gives no keys: the model then computes, but reads and writes token ids only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import FormatError

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)  # tokenizer.ggml.token_type
ADDED_SCORE = -1000.0  # below every merge, so that added tokens are only matched whole
# How Llama 3 cuts text before the merges; llama.cpp calls it "llama-bpe".
LLAMA3_SPLIT = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
                r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")


def read_json(path: Path) -> dict[str, Any]:
    """The object in ``path``; FormatError where it is missing or something else."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FormatError(f"{path}: no such file; is this a Hugging Face checkpoint?") from None
    except (OSError, ValueError, RecursionError) as error:
        raise FormatError(f"{path}: not readable as JSON: {error}") from None
    if not isinstance(value, dict):
        raise FormatError(f"{path}: holds {type(value).__name__}, not an object")
    return value


def tokenizer_metadata(folder: Path, config: Mapping[str, Any], vocabulary: int) -> dict[str, Any]:
    """All tokenizer keys for ``vocabulary`` rows of the embedding; missing ids are filled with unused tokens."""
    try:
        return _metadata(folder, config, vocabulary)
    except (AttributeError, KeyError, TypeError, ValueError) as error:  # files of another shape than documented
        raise FormatError(f"{folder}: its tokenizer files are damaged ({type(error).__name__}: {error})") from None


def _metadata(folder: Path, config: Mapping[str, Any], vocabulary: int) -> dict[str, Any]:
    settings = _optional_json(folder / "tokenizer_config.json")
    if (folder / "tokenizer.model").is_file():
        keys, tokens = _sentencepiece(folder / "tokenizer.model")
    elif (folder / "tokenizer.json").is_file():
        keys, tokens = _byte_pairs(folder / "tokenizer.json")
    else:
        return {}
    for index, (text, special) in _added_tokens(folder, settings).items():
        tokens[index] = (text, ADDED_SCORE, CONTROL if special else USER_DEFINED)
    if tokens and max(tokens) >= vocabulary:
        raise FormatError(f"{folder}: token {max(tokens)} lies beyond the {vocabulary} rows of the embedding")
    rows = [tokens.get(index, (f"[PAD{index}]", ADDED_SCORE, UNUSED)) for index in range(vocabulary)]
    keys["tokenizer.ggml.tokens"] = [text for text, _, _ in rows]
    if keys["tokenizer.ggml.model"] == "llama":
        keys["tokenizer.ggml.scores"] = [score for _, score, _ in rows]
    keys["tokenizer.ggml.token_type"] = [kind for _, _, kind in rows]
    return keys | _special_ids(keys["tokenizer.ggml.tokens"], config, settings) | _chat_template(folder, settings)


Token = tuple[str, float, int]  # text, score, type


def _optional_json(path: Path) -> dict[str, Any]:
    return read_json(path) if path.is_file() else {}


def _sentencepiece(path: Path) -> tuple[dict[str, Any], dict[int, Token]]:
    try:
        from sentencepiece import SentencePieceProcessor
    except ImportError:
        raise FormatError(f"{path} needs the package sentencepiece; pip install 'tritmark[hub]'") from None
    processor = SentencePieceProcessor()
    try:
        processor.LoadFromSerializedProto(path.read_bytes())
    except (OSError, RuntimeError) as error:
        raise FormatError(f"{path}: not a SentencePiece model: {' '.join(str(error).split())}") from None
    tokens = {}
    for index in range(processor.vocab_size()):
        kinds = ((processor.is_unknown, UNKNOWN), (processor.is_control, CONTROL), (processor.is_unused, UNUSED),
                 (processor.is_byte, BYTE))
        kind = next((kind for test, kind in kinds if test(index)), NORMAL)
        tokens[index] = (processor.id_to_piece(index), float(processor.get_score(index)), kind)
    pieces = processor.encode("a", out_type=str)
    return {"tokenizer.ggml.model": "llama", "tokenizer.ggml.pre": "default",
            "tokenizer.ggml.unknown_token_id": processor.unk_id(),
            "tokenizer.ggml.add_space_prefix": bool(pieces) and pieces[0].startswith("\u2581")}, tokens


def _byte_pairs(path: Path) -> tuple[dict[str, Any], dict[int, Token]]:
    data = read_json(path)
    model = data.get("model") or {}
    if model.get("type") != "BPE" or model.get("byte_fallback") or not isinstance(model.get("vocab"), dict):
        raise FormatError(f"{path}: not byte-level BPE; a SentencePiece model needs its tokenizer.model file")
    if LLAMA3_SPLIT not in _split_patterns(data.get("pre_tokenizer") or {}):
        raise FormatError(f"{path}: its pre-tokenizer is not Llama 3's, the only one BitNet checkpoints use")
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in model.get("merges", [])]
    keys = {"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "llama-bpe", "tokenizer.ggml.merges": merges}
    return keys, {index: (text, 0.0, NORMAL) for text, index in model["vocab"].items()}


def _split_patterns(pre_tokenizer: Mapping[str, Any]) -> list[str]:
    """The regular expressions of a pre-tokenizer, or of the steps of a sequence of them."""
    steps = pre_tokenizer.get("pretokenizers", [pre_tokenizer])
    return [step["pattern"]["Regex"] for step in steps if "Regex" in (step.get("pattern") or {})]


def _added_tokens(folder: Path, settings: Mapping[str, Any]) -> dict[int, tuple[str, bool]]:
    """id -> (text, whether it is a control token), from the three places that list them, the most detailed last."""
    added = {index: (text, False) for text, index in _optional_json(folder / "added_tokens.json").items()}
    for token in _optional_json(folder / "tokenizer.json").get("added_tokens", []):
        added[token["id"]] = (token["content"], token.get("special", False))
    for index, token in settings.get("added_tokens_decoder", {}).items():
        added[int(index)] = (token["content"], token.get("special", False))
    return added


def _special_ids(tokens: list[str], config: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """bos, eos, padding: config.json's id, else the id of tokenizer_config.json's text."""
    ids = {text: index for index, text in enumerate(tokens)}
    keys: dict[str, Any] = {"tokenizer.ggml.add_bos_token": bool(settings.get("add_bos_token", True)),
                            "tokenizer.ggml.add_eos_token": bool(settings.get("add_eos_token", False))}
    for key, name in (("bos", "bos"), ("eos", "eos"), ("pad", "padding")):
        given = config.get(f"{key}_token_id")
        given = given[0] if isinstance(given, list) and given else given
        text = settings.get(f"{key}_token")
        text = text.get("content") if isinstance(text, dict) else text
        chosen = given if isinstance(given, int) else ids.get(str(text))
        if chosen is not None and 0 <= chosen < len(tokens):
            keys[f"tokenizer.ggml.{name}_token_id"] = chosen
    if "<|eot_id|>" in ids:
        keys["tokenizer.ggml.eot_token_id"] = ids["<|eot_id|>"]
    return keys


def _chat_template(folder: Path, settings: Mapping[str, Any]) -> dict[str, str]:
    template = settings.get("chat_template")
    if isinstance(template, list):  # several named ones
        template = next((entry["template"] for entry in template if entry.get("name") == "default"), None)
    if template is None and (folder / "chat_template.jinja").is_file():
        template = (folder / "chat_template.jinja").read_text(encoding="utf-8")
    return {"tokenizer.chat_template": template} if isinstance(template, str) else {}
