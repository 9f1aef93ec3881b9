"""The model that there is before anything was learnt: no tensors, no metadata."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FormatError
from .model import TensorInfo

SPEC = "blank:"


class BlankModel:
    """The Model ``blank:``, for plans whose weights are all made on the device or come from a checkpoint."""

    name = "blank"
    path: Path | None = None
    sha256 = hashlib.sha256(b"tritmark blank model").hexdigest()
    metadata: Mapping[str, Any] = {}
    tensors: Mapping[str, TensorInfo] = {}

    def known_scale(self, name: str) -> None:
        """Only reading tells."""

    def packed(self, name: str) -> np.ndarray:
        raise FormatError(f"a blank model has no tensor {name}")
