"""What every source of weights looks like to the engine: metadata, tensor infos and packed bytes.

A Model is read-only and lazy: opening one reads names and shapes, and ``packed`` touches one tensor. This module must
not know how any of the sources works; ``open_model`` only picks one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..errors import FormatError
from .blocks import row_bytes

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

    @property
    def one_scale(self) -> bool:
        """Whether each ternary tensor is known, unread, to have a single scale."""

    def packed(self, name: str) -> np.ndarray:
        """The tensor's bytes exactly as a GGUF stores them: uint8 (rows, row_bytes)."""


def tensor_info(model: Model, name: str) -> TensorInfo:
    """The info of tensor ``name``, FormatError where the model has none of that name."""
    if name not in model.tensors:
        raise FormatError(f"{model.name} has no tensor {name}; the file is incomplete or of another architecture")
    return model.tensors[name]


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
