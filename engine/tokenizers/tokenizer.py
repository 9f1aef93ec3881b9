"""A model's tokenizer from its GGUF metadata: special tokens and spaces are handled here, merging in two families."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from ..errors import FormatError
from .byte_pairs import BytePairs
from .chat import KEY as CHAT_TEMPLATE
from .chat import render_chat, render_chats
from .spm import Spm
from .stream import TextStream
from .vocabulary import PREFIX, Kind, Vocabulary, is_utf8, read_flag, read_vocabulary

SILENT = {Kind.CONTROL, Kind.UNKNOWN}  # tokens that are no text


class Family(Protocol):
    """What the kinds of vocabulary differ in."""

    space_prefix: bool  # text that begins, or follows a special token, gets a space before it

    def encode(self, text: str) -> list[int]:
        """Ids of ``text``, in which nothing is a special token."""

    def piece(self, index: int) -> bytes:
        """The bytes that a token of ordinary text stands for."""


FAMILIES: dict[str, Callable[[Vocabulary, Mapping[str, Any]], Family]] = {  # tokenizer.ggml.model
    "llama": Spm, "gpt2": BytePairs,
}


def load_tokenizer(metadata: Mapping[str, Any]) -> Tokenizer:
    """The tokenizer that ``metadata`` (GGUF keys) describes; FormatError where it is missing, unknown or damaged."""
    model = metadata.get(PREFIX + "model")
    if model is None:
        raise FormatError(f"the model has no tokenizer ({PREFIX}model is missing); give token ids instead of text")
    if not isinstance(model, str) or model not in FAMILIES:
        raise FormatError(f"the tokenizer model {model!r:.40} is not supported; known are {', '.join(FAMILIES)}")
    vocabulary = read_vocabulary(metadata)
    return Tokenizer(vocabulary, FAMILIES[model](vocabulary, metadata), metadata)


class Tokenizer:
    """Ids as llama.cpp gives them; ``decode`` undoes ``encode``. ``eos_ids``: every token that ends an answer."""

    def __init__(self, vocabulary: Vocabulary, family: Family, metadata: Mapping[str, Any]) -> None:
        self._vocabulary, self._family, self._specials = vocabulary, family, vocabulary.specials()
        self._special_ids = {index for _, index in self._specials}
        self._starts = _marks(metadata, "bos", vocabulary.bos_id, default=vocabulary.bos_id is not None)
        self._ends = _marks(metadata, "eos", vocabulary.eos_id, default=False)
        self._template = _chat_template(metadata)
        self.bos_id, self.eos_id, self.eos_ids = vocabulary.bos_id, vocabulary.eos_id, vocabulary.eos_ids

    @property
    def vocab_size(self) -> int:
        return len(self._vocabulary.tokens)

    @property
    def has_chat_template(self) -> bool:
        """Whether ``chat`` and ``encode_chat`` have a format to write; False for 1bitLLM's models."""
        return self._template is not None

    def encode(
        self, text: str, add_special: bool = True, parse_special: bool = True, goes_on: bool = False
    ) -> list[int]:
        """Token ids of ``text``. ``add_special``: with the BOS and EOS the file asks for. ``parse_special``: "<s>" and
        the like in ``text`` are the special tokens; otherwise they are letters (user-defined tokens always match).
        ``goes_on``: ``text`` continues one that was encoded before it."""
        if not is_utf8(text):
            raise FormatError("the text is not valid Unicode (it holds a lone surrogate); give it as UTF-8")
        ids = list(self._starts) if add_special else []
        opens = not goes_on  # SentencePiece puts a space before the first word, and before the first after a special
        for part in self._split(text, parse_special):
            if isinstance(part, str):
                ids += self._family.encode(" " + part if opens and self._family.space_prefix else part)
            else:
                ids.append(part)
            opens = not isinstance(part, str)
        return ids + self._ends if add_special else ids

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ``ids``; control tokens are no text, bytes that are no UTF-8 become U+FFFD."""
        stream = self.stream(from_start=True)
        return "".join([stream.push(index) for index in ids]) + stream.flush()

    def stream(self, from_start: bool = False) -> TextStream:
        """For the tokens of an answer as they come. ``from_start``: no text came before them, so the space that
        encoding puts before the first word is left out."""
        return TextStream(self._piece, self._is_special, self._family.space_prefix, from_start)

    def chat(self, messages: Sequence[Mapping[str, str]], add_generation_prompt: bool = True) -> str:
        """``messages`` in the model's own chat format. The text holds its special tokens, mostly BOS too: see
        ``encode_chat``. FormatError where the model has no template, or the template refuses."""
        if self._template is None:
            raise FormatError(f"the model has no chat format ({CHAT_TEMPLATE} is missing); use a plain prompt")
        return render_chat(
            self._template, messages, add_generation_prompt=add_generation_prompt, **self._chat_marks()
        )

    def _chat_marks(self) -> dict[str, str]:
        return {"bos_token": self._token_text(self.bos_id), "eos_token": self._token_text(self.eos_id)}

    def chats(self, conversations: Sequence[tuple[Sequence[Mapping[str, str]], bool]]) -> list[str]:
        """``chat`` of many (messages, add_generation_prompt), which takes little longer than of one."""
        if self._template is None:
            raise FormatError(f"the model has no chat format ({CHAT_TEMPLATE} is missing); use plain text")
        return render_chats(self._template, conversations, **self._chat_marks())

    def encode_chat(self, messages: Sequence[Mapping[str, str]], add_generation_prompt: bool = True) -> list[int]:
        """Token ids of ``chat``, with BOS once, whether or not the template writes it."""
        ids = self.encode(self.chat(messages, add_generation_prompt), add_special=False)
        return ids if ids[:1] == self._starts else self._starts + ids

    def _split(self, text: str, parse_special: bool) -> list[str | int]:
        """``text`` cut at special tokens: the longest special is cut out everywhere first, then the next."""
        parts: list[str | int] = [text] if text else []
        for special, index in self._specials:
            if special in text and (parse_special or self._vocabulary.kinds[index] not in SILENT):
                parts = [piece for part in parts for piece in _cut(part, special, index)]
        return parts

    def _piece(self, index: int) -> bytes:
        if not 0 <= index < self.vocab_size:
            raise FormatError(f"token {index} is beyond the vocabulary of {self.vocab_size:,}")
        kind = self._vocabulary.kinds[index]
        if kind == Kind.USER_DEFINED:
            return self._vocabulary.tokens[index].encode()
        return b"" if kind in SILENT else self._family.piece(index)

    def _is_special(self, index: int) -> bool:
        return index in self._special_ids

    def _token_text(self, index: int | None) -> str:
        return "" if index is None else self._vocabulary.tokens[index]


def _cut(part: str | int, special: str, index: int) -> list[str | int]:
    if isinstance(part, int):
        return [part]
    marked = [piece for text in part.split(special) for piece in (text, index)][:-1]
    return [piece for piece in marked if piece != ""]


def _marks(metadata: Mapping[str, Any], name: str, index: int | None, default: bool) -> list[int]:
    """The id that encoding adds at one end of a text, or nothing."""
    if not read_flag(metadata, f"add_{name}_token", default):
        return []
    if index is None:
        raise FormatError(f"{PREFIX}add_{name}_token is true, but {PREFIX}{name}_token_id is missing")
    return [index]


def _chat_template(metadata: Mapping[str, Any]) -> str | None:
    template = metadata.get(CHAT_TEMPLATE)
    if template is not None and not isinstance(template, str):
        raise FormatError(f"{CHAT_TEMPLATE} is {type(template).__name__}, not text; the file is damaged")
    return template
