"""A GGUF file as a Model: memory-mapped, so that opening a 13B file reads its header only."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FormatError
from .blocks import BLOCKS, first_nonfinite
from .gguf_header import read_header
from .model import TensorInfo, tensor_info


class GgufFile:
    """A Model read from ``path``. FormatError, naming the file, for anything but a sound GGUF."""

    def __init__(self, path: Path) -> None:
        self.path: Path = path
        self._data = _map(path)
        try:
            self._header = read_header(self._data)
        except FormatError as error:
            raise FormatError(f"{path}: {error}") from None
        self._checked: set[str] = set()

    @property
    def name(self) -> str:
        given = self.metadata.get("general.name")
        return given if isinstance(given, str) and given else self.path.stem

    @property
    def metadata(self) -> Mapping[str, Any]:
        return self._header.metadata

    @property
    def value_types(self) -> Mapping[str, Any]:
        """GGUF value types by key, for writing the same metadata again."""
        return self._header.value_types

    @cached_property
    def tensors(self) -> Mapping[str, TensorInfo]:
        return {entry.name: TensorInfo(entry.name, entry.shape, entry.type) for entry in self._header.tensors.values()}

    @cached_property
    def sha256(self) -> str:
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def known_scale(self, name: str) -> None:
        """Only reading tells."""

    def packed(self, name: str) -> np.ndarray:
        """uint8 (rows, row_bytes), a view of the file; FormatError on a type or a scale the engine cannot use."""
        info = tensor_info(self, name)
        if info.type not in BLOCKS:
            raise FormatError(f"{self.path}: tensor {name} is {info.type}; supported are {', '.join(BLOCKS)}")
        entry = self._header.tensors[name]
        packed = self._data[entry.offset : entry.offset + entry.nbytes].reshape(info.rows, info.row_bytes)
        if name not in self._checked:
            row = first_nonfinite(packed, info.type)
            if row is not None:
                raise FormatError(f"{self.path}: tensor {name} has a NaN or infinite value or scale in row {row}")
            self._checked.add(name)
        return packed


def _map(path: Path) -> np.ndarray:
    """The file's bytes, read only. An empty file cannot be mapped and comes as an empty array."""
    try:
        if not path.is_file():
            problem = "not a regular file" if path.exists() else "no such file"
            raise FormatError(f"{path}: {problem}; give a .gguf file or synthetic:SIZE")
        if path.stat().st_size == 0:
            return np.empty(0, np.uint8)
        return np.memmap(path, dtype=np.uint8, mode="r").view(np.ndarray)
    except OSError as error:
        raise FormatError(f"{path}: cannot be read: {error.strerror}") from None
