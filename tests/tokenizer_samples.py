"""Small vocabularies of both families as GGUF metadata."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tritmark.engine.tokenizers.byte_pairs import byte_letters

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
BYTE_TEXTS = [f"<0x{byte:02X}>" for byte in range(256)]
TEMPLATE = ("{% for message in messages %}{% if loop.first %}{{ bos_token }}{% endif %}"
            "{{ message['role'] | capitalize }}: {{ message['content'] | trim }}<|eot_id|>{% endfor %}"
            "{% if add_generation_prompt %}{{ 'Assistant: ' }}{% endif %}")


def keys(**values: Any) -> dict[str, Any]:
    return {f"tokenizer.ggml.{name}": value for name, value in values.items()}


def spm(pieces: Mapping[str, float], **changes: Any) -> dict[str, Any]:
    """<unk>, <s>, </s>, 256 byte tokens, then ``pieces`` with their scores, a control and a user-defined token."""
    rows = [("<unk>", 0.0, UNKNOWN), ("<s>", 0.0, CONTROL), ("</s>", 0.0, CONTROL),
            *((text, 0.0, BYTE) for text in BYTE_TEXTS), *((text, score, NORMAL) for text, score in pieces.items()),
            ("<pad>", -1000.0, CONTROL), ("<line>", -1001.0, USER_DEFINED)]
    texts, scores, kinds = map(list, zip(*rows, strict=True))
    base = keys(model="llama", pre="default", tokens=texts, scores=scores, token_type=kinds, bos_token_id=1,
                eos_token_id=2, unknown_token_id=0, add_bos_token=True, add_eos_token=False)
    return base | keys(**changes)


def byte_pairs(merges: list[tuple[str, str]], extra: tuple[str, ...] = (), **changes: Any) -> dict[str, Any]:
    """The 256 bytes, what ``merges`` make, ``extra`` tokens that no merge makes, and three control tokens."""
    normal = list(dict.fromkeys([*byte_letters(), *(left + right for left, right in merges), *extra]))
    specials = ["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"]
    base = keys(model="gpt2", pre="llama-bpe", tokens=normal + specials, merges=[" ".join(pair) for pair in merges],
                token_type=[NORMAL] * len(normal) + [CONTROL] * len(specials), bos_token_id=len(normal),
                eos_token_id=len(normal) + 1, add_bos_token=True)
    return {**base, **keys(**changes), "tokenizer.chat_template": TEMPLATE}
