"""A model without its last layers: ``SPEC?layers=N``. Layers are alike: two such models tell what one more costs."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FormatError
from .model import Model, TensorInfo

_CUT = re.compile(r"(?P<spec>.+)[?&]layers=(?P<layers>\d+)")
_LAYER = re.compile(r"blk\.(\d+)\.")


def cut_of(spec: str) -> tuple[str, int | None]:
    """What is to be opened, and how many of its layers to keep; None for all."""
    match = _CUT.fullmatch(spec)
    return (match["spec"], int(match["layers"])) if match else (spec, None)


class CutModel:
    """The first ``layers`` layers of a model, with everything before and after the layers."""

    def __init__(self, model: Model, layers: int) -> None:
        self.whole, self.layers = model, layers
        key = f"{model.metadata.get('general.architecture')}.block_count"
        there = model.metadata.get(key)
        if not isinstance(there, int) or not 0 < layers <= there:
            raise FormatError(f"{model.name} has {there} layers; ?layers={layers} must be between 1 and that")
        self.metadata: Mapping[str, Any] = {**model.metadata, key: layers}

    @property
    def name(self) -> str:
        return f"{self.whole.name}-{self.layers}-layers"

    @property
    def path(self) -> Path | None:
        return self.whole.path

    @cached_property
    def tensors(self) -> Mapping[str, TensorInfo]:
        return {name: info for name, info in self.whole.tensors.items() if self._kept(name)}

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(f"the first {self.layers} layers of {self.whole.sha256}".encode()).hexdigest()

    def known_scale(self, name: str) -> np.float32 | None:
        return self.whole.known_scale(name)

    def packed(self, name: str) -> np.ndarray:
        return self.whole.packed(name)

    def _kept(self, name: str) -> bool:
        layer = _LAYER.match(name)
        return layer is None or int(layer[1]) < self.layers
