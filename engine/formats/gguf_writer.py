"""Writing a Model as a GGUF file, tensor by tensor, so that a 13B model needs the memory of its largest tensor.

The file appears under its name only when complete; a write that fails leaves nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGMLQuantizationType, GGUFValueType, GGUFWriter

from ..errors import FormatError
from .blocks import TERNARY, row_bytes
from .model import Model
from .ternary import repack
from .whole_file import written_whole

FILE_TYPES = {"f16": 1, "tq1_0": 36, "tq2_0": 37}  # general.file_type
Progress = Callable[[str, int, int], None]  # tensor name, tensors written, tensors in all


def write_gguf(model: Model, path: Path, type_: str, progress: Progress | None = None) -> Path:
    """Write ``model`` to ``path`` with its ternary tensors as ``type_`` (tq1_0 or tq2_0) and all others as they are.

    ``type_`` "f16" leaves every tensor as it is: the file then says that most are F16.
    """
    if type_ not in FILE_TYPES:
        raise FormatError(f"cannot write {type_} models; choose one of {', '.join(TERNARY)}")
    return written_whole(path, lambda partial: _write(model, partial, type_, progress))


def _write(model: Model, path: Path, type_: str, progress: Progress | None) -> None:
    writer = GGUFWriter(path, str(model.metadata.get("general.architecture", "bitnet")))
    try:
        _add_metadata(writer, model, type_)
        for info in model.tensors.values():
            kind = type_ if info.type in TERNARY and type_ in TERNARY else info.type
            shape = (*info.shape[:-1], row_bytes(kind, info.cols))
            writer.add_tensor_info(info.name, shape, np.dtype(np.uint8), info.rows * shape[-1],
                                   raw_dtype=GGMLQuantizationType[kind.upper()])
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for index, info in enumerate(model.tensors.values()):
            packed = model.packed(info.name)
            repacked = info.type in TERNARY and type_ in TERNARY
            writer.write_tensor_data(repack(packed, info.type, type_) if repacked else packed)
            if progress:
                progress(info.name, index + 1, len(model.tensors))
    finally:
        writer.close()


def _add_metadata(writer: GGUFWriter, model: Model, type_: str) -> None:
    known = getattr(model, "value_types", {})
    for key, value in model.metadata.items():
        if key in ("general.architecture", "general.file_type", "general.alignment"):
            continue  # the writer's own
        kind, element = known.get(key) or _value_types(value)
        if kind != GGUFValueType.ARRAY or value:  # the writer refuses empty arrays, which say nothing
            writer.add_key_value(key, value, kind, element)
    writer.add_file_type(FILE_TYPES[type_])


def _value_types(value: Any) -> tuple[GGUFValueType, GGUFValueType | None]:
    """The GGUF types that llama.cpp's own converter gives values of this kind."""
    if isinstance(value, list):
        element = _value_types(value[0])[0] if value else GGUFValueType.INT32
        return GGUFValueType.ARRAY, GGUFValueType.INT32 if element == GGUFValueType.UINT32 else element
    if isinstance(value, bool):
        return GGUFValueType.BOOL, None
    if isinstance(value, int):
        small = GGUFValueType.UINT32 if value >= 0 else GGUFValueType.INT32
        return small if -(1 << 31) <= value < 1 << 32 else GGUFValueType.INT64, None
    return GGUFValueType.FLOAT32 if isinstance(value, float) else GGUFValueType.STRING, None
