"""Model files for engines that read nothing but GGUF: the case's own file where it fits, a temporary one where not."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from tritmark.engine.formats.blocks import TERNARY
from tritmark.engine.formats.gguf_writer import write_gguf
from tritmark.engine.formats.model import Model, open_model

from .base import RunnerError

EMBEDDING, HEAD = "token_embd.weight", "output.weight"


@dataclass(frozen=True, kw_only=True)
class ModelFile:
    """A GGUF file whose ternary tensors have the case's format."""

    path: Path
    sha256: str  # of the file
    model_sha256: str  # of the model that the case names, as our own records have it
    embedding_bytes: int
    tied: bool  # the output head is the embedding


class Worded:
    """A model as others load it: llama.cpp refuses files that say nothing of a tokenizer, and speed needs none."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self.metadata = {"tokenizer.ggml.model": "no_vocab", **model.metadata}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)


class ModelFiles:
    """Files of one model at a time: those made for another one are removed when the next is asked for."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="tritmark-runner-")
        self._model = ""
        self._files: dict[str, ModelFile] = {}

    def file(self, model: str, format: str) -> ModelFile:
        """The file; FormatError where it cannot be written, RunnerError for a format that no file can have."""
        if format not in TERNARY:
            raise RunnerError(
                f"format {format} is repacked while it is loaded, which only tritmark does; "
                f"compare with {' or '.join(format.split('>'))}"
            )
        if model != self._model:
            self._clear()
            self._model = model
        if format not in self._files:
            self._files[format] = self._made(open_model(model), format)
        return self._files[format]

    def close(self) -> None:
        self._folder.cleanup()

    def _made(self, model: Model, format: str) -> ModelFile:
        ternary = {info.type for info in model.tensors.values()} & {*TERNARY}
        path, sha256 = model.path, model.sha256
        if path is None or ternary != {format}:
            path = write_gguf(cast(Model, Worded(model)), Path(self._folder.name) / f"{format}.gguf", format)
            with path.open("rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        embedding = model.tensors.get(EMBEDDING)
        return ModelFile(
            path=path,
            sha256=sha256,
            model_sha256=model.sha256,
            embedding_bytes=embedding.nbytes if embedding else 0,
            tied=HEAD not in model.tensors,
        )

    def _clear(self) -> None:
        for path in Path(self._folder.name).iterdir():
            path.unlink()
        self._files.clear()
