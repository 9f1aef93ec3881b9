"""What every source of weights looks like to the engine: metadata, tensor infos and packed bytes.

A Model is read-only and lazy: opening one reads names and shapes, and ``packed`` touches one tensor. This module must
not know how any of the sources works; ``open_model`` only picks one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..errors import FormatError
from ..threads import mapped
from .blocks import row_bytes

HASHED_BYTES = 4 << 20  # of a file, as one piece
PYTHON = "python"  # the model that ships: trained on text that every Python carries
ACTIVATION_KEY = "tritmark.activation"  # our own metadata key, "silu" or "relu2": a file of arch "bitnet" cannot say it


@dataclass(frozen=True)
class TensorInfo:
    """Name, logical row-major shape (a linear layer is (out, in)) and ggml type in lower case."""

    name: str
    shape: tuple[int, ...]
    type: str

    @property
    def rows(self) -> int:
        """Number of rows; a vector is one row."""
        return prod(self.shape[:-1])

    @property
    def cols(self) -> int:
        return self.shape[-1]

    @property
    def row_bytes(self) -> int:
        return row_bytes(self.type, self.cols)

    @property
    def nbytes(self) -> int:
        return self.rows * self.row_bytes


class Model(Protocol):
    """A readable model. ``packed`` and ``tensors`` raise FormatError for what cannot be read."""

    @property
    def name(self) -> str:
        """Short human name."""

    @property
    def metadata(self) -> Mapping[str, Any]:
        """GGUF keys to Python values (str, int, float, bool, lists of these)."""

    @property
    def tensors(self) -> Mapping[str, TensorInfo]: ...

    @property
    def sha256(self) -> str:
        """Of the file, or of the recipe that generates the model."""

    @property
    def path(self) -> Path | None:
        """The file, None where there is none."""

    def known_scale(self, name: str) -> np.float32 | None:
        """The single scale of a ternary tensor where it is known unread, else None."""

    def packed(self, name: str) -> np.ndarray:
        """The tensor's bytes exactly as a GGUF stores them: uint8 (rows, row_bytes)."""


def tensor_info(model: Model, name: str) -> TensorInfo:
    """The info of tensor ``name``, FormatError where the model has none of that name."""
    if name not in model.tensors:
        raise FormatError(f"{model.name} has no tensor {name}; the file is incomplete or of another architecture")
    return model.tensors[name]


def content_id(model: Model) -> str:
    """Names what a model holds: of a file, the digest of its pieces' SHA-256, because threads can share that work.

    The file's own SHA-256 takes a second a gigabyte. Models that are made have a recipe, whose digest takes no time.
    """
    if model.path is None:
        return model.sha256
    path = model.path
    pieces = mapped(lambda first: _digest(path, first), range(0, path.stat().st_size, HASHED_BYTES))
    return hashlib.sha256(b"".join(pieces)).hexdigest()


def _digest(path: Path, first: int) -> bytes:
    with path.open("rb", buffering=0) as file:
        file.seek(first)
        return hashlib.sha256(file.read(HASHED_BYTES)).digest()


def open_model(spec: str) -> Model:
    """The model ``spec`` names: the path of a GGUF file, ``synthetic:SIZE`` with an optional ``?seed=N``, "python" (the
    one that ships), "blank:". ``?layers=N`` after it leaves all but the first N layers out.
    """
    from .cut import CutModel, cut_of

    whole, layers = cut_of(spec)
    return _open_whole(whole) if layers is None else CutModel(open_model(whole), layers)


def _open_whole(spec: str) -> Model:
    if spec.startswith("synthetic:"):
        from .synthetic import SyntheticModel

        return SyntheticModel(spec)
    from .blank import SPEC, BlankModel

    if spec == SPEC:
        return BlankModel()
    from .gguf_file import GgufFile

    if spec == PYTHON:
        from ..corpus.shipped import MODEL, checked

        return GgufFile(checked(MODEL))
    return GgufFile(Path(spec))
