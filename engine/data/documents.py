"""Documents from files: what is said, which of it is learnt, and where it stands.

A file of JSON lines holds one object a line: ``{"text": ...}``, ``{"prompt": ..., "completion": ...}`` or
``{"messages": [{"role": ..., "content": ...}, ...]}``; other keys are ignored. Any other file is one document of plain
text; a folder is its text files in the order of their names.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import DataError

TEXT_SUFFIXES = (".txt", ".md", ".rst", ".py")
ROLES = ("system", "user", "assistant")


@dataclass(frozen=True)
class Document:
    """``where`` names it in messages. Either ``parts``, (text, learnt), or ``messages`` of a chat."""

    where: str
    parts: tuple[tuple[str, bool], ...] = ()
    messages: tuple[Mapping[str, str], ...] = ()


def read_documents(path: Path) -> Iterator[Document]:
    """The documents of a file or folder. DataError, naming file and line, for what cannot be read."""
    files = sorted(file for file in path.rglob("*") if file.suffix in TEXT_SUFFIXES) if path.is_dir() else [path]
    if not files:
        raise DataError(f"{path} holds no text file ({', '.join(TEXT_SUFFIXES)}) or .jsonl")
    empty = True
    for file in files:
        for document in _lines(file) if _holds_json(file) else [_text(file)]:
            empty = False
            yield document
    if empty:
        raise DataError(f"{path} is empty; there is nothing to learn from")


def is_plain(path: Path) -> bool:
    """Whether ``path`` is a file of plain text: one document."""
    return path.is_file() and not _holds_json(path)


def _holds_json(path: Path) -> bool:
    """By name, or because its first line is a JSON object."""
    if path.suffix in (".jsonl", ".ndjson"):
        return True
    if path.suffix in TEXT_SUFFIXES:
        return False
    first = next(_numbered(path), (1, ""))[1]
    try:
        return isinstance(json.loads(first), dict)
    except ValueError:
        return False


def _text(path: Path) -> Document:
    text = "\n".join(line for _, line in _numbered(path))
    if not text.strip():
        raise DataError(f"{path} is empty; there is nothing to learn from")
    return Document(str(path), ((text, True),))


def _lines(path: Path) -> Iterator[Document]:
    for number, line in _numbered(path):
        if line.strip():
            yield _document(f"{path} line {number}", line)


def _numbered(path: Path) -> Iterator[tuple[int, str]]:
    try:
        with path.open("rb") as file:
            for number, raw in enumerate(file, 1):
                yield number, raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text ({error.reason}); convert it first") from None


def _document(where: str, line: str) -> Document:
    try:
        data = json.loads(line)
    except ValueError as error:
        raise DataError(f"{where} is not JSON: {error}") from None
    if not isinstance(data, dict):
        raise DataError(f"{where} is not a JSON object")
    if "messages" in data:
        return Document(where, messages=_messages(where, data["messages"]))
    if "prompt" in data or "completion" in data:
        return Document(where, ((_string(where, data, "prompt"), False), (_string(where, data, "completion"), True)))
    if "text" in data:
        return Document(where, ((_string(where, data, "text"), True),))
    raise DataError(f"{where} has neither text, prompt and completion, nor messages")


def _string(where: str, data: Mapping[str, Any], key: str) -> str:
    value = data.get(key)
    if not isinstance(value, str):
        raise DataError(f"{where}: {key!r} is {'missing' if key not in data else 'no text'}")
    if not value:
        raise DataError(f"{where}: {key!r} is empty")
    return value


def _messages(where: str, value: Any) -> tuple[Mapping[str, str], ...]:
    if not isinstance(value, list) or not value:
        raise DataError(f"{where}: 'messages' is not a list of messages")
    found = []
    for message in value:
        if not isinstance(message, dict) or message.get("role") not in ROLES:
            raise DataError(f"{where}: a message has no role of {', '.join(ROLES)}")
        found.append({"role": message["role"], "content": _string(where, message, "content")})
    return tuple(found)
