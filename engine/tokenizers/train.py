"""A byte-level BPE tokenizer learnt from text, as the metadata that a GGUF file carries.

The merges are learnt by the `tokenizers` library, with the pieces of byte_pairs.py. The same documents give the same
tokenizer, in whatever order they come. All 256 bytes are tokens, so any text can be written.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from ..errors import DataError
from .byte_pairs import byte_letters, pre_tokenizer
from .chat import KEY as CHAT_TEMPLATE
from .vocabulary import PREFIX, Kind

SIZE = 2048  # tokens
BEGIN, END, USER, ASSISTANT, SYSTEM, PAD = SPECIALS = (
    "<|begin|>", "<|end|>", "<|user|>", "<|assistant|>", "<|system|>", "<|pad|>",
)  # fmt: skip
FREQUENCY_MIN = 2  # a pair that came once is no token
# The format of Phi-3: llama.cpp takes any template with these marks for it where it does not run Jinja.
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>\\n' + message['content'] + '<|end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}"
)


def train_byte_pairs(texts: Iterable[str], size: int = SIZE) -> dict[str, Any]:
    """The metadata of a tokenizer of exactly ``size`` tokens: see ``load_tokenizer``.

    DataError where ``size`` has no room for the bytes, or the texts do not give that many tokens.
    """
    return tokenizer_metadata(train_library(texts, size))


def train_library(texts: Iterable[str], size: int = SIZE) -> Any:
    """The same as an object of the `tokenizers` library, which writes no BEGIN of its own."""
    from tokenizers import Tokenizer
    from tokenizers.models import BPE
    from tokenizers.trainers import BpeTrainer

    least = len(byte_letters()) + len(SPECIALS)
    if size < least:
        raise DataError(f"a vocabulary of {size:,} tokens is too small: bytes and special tokens alone are {least}")
    library = Tokenizer(BPE(ignore_merges=True))
    library.pre_tokenizer = pre_tokenizer()
    trainer = BpeTrainer(vocab_size=size, min_frequency=FREQUENCY_MIN, show_progress=False,
                         special_tokens=list(SPECIALS), initial_alphabet=sorted(byte_letters()))  # fmt: skip
    library.train_from_iterator((_without_specials(text) for text in texts), trainer)
    if library.get_vocab_size() < size:
        raise DataError(f"the text gives {library.get_vocab_size():,} tokens, not {size:,}; ask for fewer or give more")
    return library


def tokenizer_metadata(library: Any) -> dict[str, Any]:
    """GGUF's keys for what ``train_library`` returned."""
    model = json.loads(library.to_str())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].__getitem__)
    ids = {f"{name}_token_id": model["vocab"][text] for name, text in
           (("bos", BEGIN), ("eos", END), ("eot", END), ("unknown", PAD), ("padding", PAD))}  # fmt: skip
    keys = {
        "model": "gpt2",
        "pre": "llama-bpe",
        "tokens": tokens,
        "token_type": [int(Kind.CONTROL if text in SPECIALS else Kind.NORMAL) for text in tokens],
        "merges": [pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"]],
        **ids,
        "add_bos_token": True,
        "add_eos_token": False,
    }
    return {**{PREFIX + name: value for name, value in keys.items()}, CHAT_TEMPLATE: TEMPLATE}


def _without_specials(text: str) -> str:
    """Special tokens that stand in a text are not learnt as words: merges would build them from letters."""
    for special in SPECIALS:
        text = text.replace(special, "\n")
    return text
