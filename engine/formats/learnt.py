"""A model that was just learnt, as a Model: latent weights made ternary as training made them, for writing as a GGUF.

Projections become TQ2_0 with one scale a tensor (rows that are no multiple of 256 cannot be a TQ row and become exactly
ternary F16), the embedding Q8_0 or F16, norms stay F32.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from gguf import GGMLQuantizationType, quants

from .model import TensorInfo, tensor_info
from .ternary import BLOCK, pack

F32 = npt.NDArray[np.float32]


@dataclass
class LearntModel:
    """``arrays``: every tensor by its name in the file, f32. ``trits_of``: latent weights to trits and their scale."""

    name: str
    about: Mapping[str, Any]
    arrays: Mapping[str, F32]
    trits_of: Any
    path: Path | None = None
    _made: dict[str, npt.NDArray[np.uint8]] = field(default_factory=dict)

    @property
    def metadata(self) -> Mapping[str, Any]:
        return {"general.type": "model", "general.name": self.name, **self.about}

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(b"".join(array.tobytes() for array in self.arrays.values())).hexdigest()

    @cached_property
    def tensors(self) -> Mapping[str, TensorInfo]:
        return {name: TensorInfo(name, array.shape, _type(name, array)) for name, array in self.arrays.items()}

    def known_scale(self, name: str) -> None:
        """Only reading tells."""

    def packed(self, name: str) -> npt.NDArray[np.uint8]:
        info, array = tensor_info(self, name), self.arrays[name]
        if info.type == "f32":
            return array.astype("<f4").view(np.uint8).reshape(info.rows, -1)
        if name.startswith("token_embd"):
            return _embedding(array, info.type)
        trits, scale = self.trits_of(array)
        if info.type == "f16":
            return (trits * np.float32(scale)).astype("<f2").view(np.uint8).reshape(info.rows, -1)
        scales = np.full((info.rows, info.cols // BLOCK), scale, np.float16)
        return np.asarray(pack(trits, scales, info.type), np.uint8)


def _embedding(array: F32, type_: str) -> npt.NDArray[np.uint8]:
    if type_ == "f16":
        return array.astype("<f2").view(np.uint8).reshape(len(array), -1)
    return np.asarray(quants.quantize(array, GGMLQuantizationType.Q8_0), np.uint8).reshape(len(array), -1)


def _type(name: str, array: F32) -> str:
    if array.ndim == 1:
        return "f32"
    if name.startswith("token_embd"):
        return "q8_0" if array.shape[1] % 32 == 0 else "f16"
    return "tq2_0" if array.shape[1] % BLOCK == 0 else "f16"
