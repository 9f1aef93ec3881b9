"""The header of a GGUF file, read with suspicion: every count, length and offset is checked before it is used.

The `gguf` package names the types and their block sizes; its own reader trusts the file (it allocates what a size field
asks for) and is not used. Layout, little endian: "GGUF", u32 version, u64 tensors, u64 keys, the key/value pairs, the
tensor infos, then the data at the next multiple of ``general.alignment``.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from math import prod
from operator import attrgetter
from typing import Any

import numpy as np
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType, GGUFValueType

from ..errors import FormatError

VERSIONS = (2, 3)
ENTRIES_MAX = 1 << 16  # keys or tensors; a 13B model has 443 tensors
ARRAY_MAX = 1 << 24  # elements of one array; the largest vocabularies have 2^18
DIMENSIONS_MAX = 4
DEFAULT_ALIGNMENT = 32
_LENGTH = struct.Struct("<Q")
_FOREIGN = {
    36: "I2_S", 37: "I8_S", 38: "TL1", 39: "TL2",
}  # ids of Microsoft's bitnet.cpp fork; 39 is also ggml's MXFP4, which no BitNet file uses
_SCALARS = {
    GGUFValueType.UINT8: "<u1", GGUFValueType.INT8: "<i1", GGUFValueType.UINT16: "<u2", GGUFValueType.INT16: "<i2",
    GGUFValueType.UINT32: "<u4", GGUFValueType.INT32: "<i4", GGUFValueType.FLOAT32: "<f4", GGUFValueType.BOOL: "<u1",
    GGUFValueType.UINT64: "<u8", GGUFValueType.INT64: "<i8", GGUFValueType.FLOAT64: "<f8",
}


@dataclass(frozen=True)
class Entry:
    """A tensor of the file: row-major shape, ggml type in lower case, absolute byte offset and size."""

    name: str
    shape: tuple[int, ...]
    type: str
    offset: int
    nbytes: int


@dataclass(frozen=True)
class Header:
    """``value_types``: per key the GGUF type, and the element type of an array, so that a copy keeps them."""

    metadata: dict[str, Any]
    value_types: dict[str, tuple[GGUFValueType, GGUFValueType | None]]
    tensors: dict[str, Entry]


class _Cursor:
    """A position in the file's bytes; reading past the end is a FormatError."""

    def __init__(self, data: np.ndarray) -> None:
        self.data, self.at = data, 0

    def take(self, count: int, what: str) -> np.ndarray:
        if count > len(self.data) - self.at:
            raise FormatError(f"truncated: {what} needs {count:,} bytes at {self.at:,} of {len(self.data):,}")
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self, form: str, what: str) -> Any:
        return struct.unpack("<" + form, self.take(struct.calcsize(form), what).tobytes())[0]

    def count(self, form: str, what: str, most: int, least_bytes: int = 1) -> int:
        """A count of items of at least ``least_bytes`` each; refused where it exceeds ``most`` or the file's end."""
        value = int(self.number(form, what))
        if value > most:
            raise FormatError(f"{what} is {value:,}, more than the {most:,} this reader allows; the file is damaged")
        if value * least_bytes > len(self.data) - self.at:
            raise FormatError(f"truncated: {what} is {value:,}, but only {len(self.data) - self.at:,} bytes follow")
        return value

    def string(self, what: str) -> str:
        return self.strings(1, what)[0]

    def strings(self, count: int, what: str) -> list[str]:
        """``count`` strings end to end. A vocabulary has 400,000 of them, so the loop makes few calls."""
        view, at, size = self.data.data, self.at, len(self.data)
        found = []
        try:
            for _ in range(count):
                end = at + 8 + _LENGTH.unpack_from(view, at)[0]
                if end > size:
                    raise FormatError(f"truncated: the length of {what} reaches byte {end:,} of {size:,}")
                found.append(str(view[at + 8 : end], "utf-8"))
                at = end
        except struct.error:
            raise FormatError(f"truncated: {what} needs more bytes than the {size:,} of the file") from None
        except UnicodeDecodeError:
            raise FormatError(f"{what} is not UTF-8 text; the file is damaged") from None
        self.at = at
        return found


def read_header(data: np.ndarray) -> Header:
    """The checked header of a whole GGUF file given as its bytes (a memory map will do)."""
    cursor = _Cursor(data)
    _read_preamble(cursor)
    tensor_count = cursor.count("Q", "the tensor count", ENTRIES_MAX, least_bytes=24)
    key_count = cursor.count("Q", "the key count", ENTRIES_MAX, least_bytes=13)
    metadata: dict[str, Any] = {}
    types: dict[str, tuple[GGUFValueType, GGUFValueType | None]] = {}
    for index in range(key_count):
        key = cursor.string(f"key {index}")
        if key in metadata:
            raise FormatError(f"the key {_short(key)} appears twice; the file is damaged")
        metadata[key], types[key] = _read_value(cursor, f"key {_short(key)}")
    infos = [_read_info(cursor, index) for index in range(tensor_count)]
    return Header(metadata, types, _place(infos, cursor.at, _alignment(metadata, types), len(data)))


def _short(name: str) -> str:
    """A name fit for one line of a message."""
    return repr(name)[1:-1][:80]


def _read_preamble(cursor: _Cursor) -> None:
    if not len(cursor.data):
        raise FormatError("the file is empty")
    magic = cursor.take(4, "the magic").tobytes()
    if magic != b"GGUF":
        raise FormatError(f"not a GGUF file: it begins with {magic!r}, not b'GGUF'")
    version = cursor.number("I", "the version")
    if version not in VERSIONS:
        hint = "a big-endian file" if version & 0xFFFF == 0 else "convert it again with a current tool"
        raise FormatError(f"GGUF version {version} is not supported (2 and 3 are): {hint}")


def _value_type(cursor: _Cursor, what: str) -> GGUFValueType:
    number = cursor.number("I", f"the type of {what}")
    if number not in GGUFValueType._value2member_map_:
        raise FormatError(f"{what} has the unknown value type {number}; the file is damaged")
    return GGUFValueType(number)


def _read_value(cursor: _Cursor, what: str) -> tuple[Any, tuple[GGUFValueType, GGUFValueType | None]]:
    kind = _value_type(cursor, what)
    if kind != GGUFValueType.ARRAY:
        return _read_items(cursor, kind, 1, what)[0], (kind, None)
    element = _value_type(cursor, f"the elements of {what}")
    if element == GGUFValueType.ARRAY:
        raise FormatError(f"{what} is an array of arrays, which no GGUF tool reads")
    size = 8 if element == GGUFValueType.STRING else np.dtype(_SCALARS[element]).itemsize
    count = cursor.count("Q", f"the length of {what}", ARRAY_MAX, least_bytes=size)
    return _read_items(cursor, element, count, what), (kind, element)


def _read_items(cursor: _Cursor, kind: GGUFValueType, count: int, what: str) -> list[Any]:
    if kind == GGUFValueType.STRING:
        return cursor.strings(count, what)
    dtype = np.dtype(_SCALARS[kind])
    values = cursor.take(dtype.itemsize * count, what).view(dtype)
    return (values != 0).tolist() if kind == GGUFValueType.BOOL else values.tolist()


def _alignment(metadata: dict[str, Any], types: dict[str, tuple[GGUFValueType, GGUFValueType | None]]) -> int:
    value = metadata.get("general.alignment", DEFAULT_ALIGNMENT)
    kind = types.get("general.alignment", (GGUFValueType.UINT32, None))[0]
    if kind != GGUFValueType.UINT32 or not 0 < value <= 1 << 20 or value & value - 1:
        raise FormatError(f"general.alignment is {_short(str(value))}; it must be a u32 power of two up to 2^20")
    return int(value)


def _read_info(cursor: _Cursor, index: int) -> Entry:
    """One tensor info; its offset still counts from the data section."""
    name = cursor.string(f"the name of tensor {index}")
    what = f"tensor {_short(name)}"
    dimensions = cursor.count("I", f"the dimension count of {what}", DIMENSIONS_MAX, least_bytes=8)
    sides = [cursor.number("Q", f"the shape of {what}") for _ in range(dimensions)]
    if not sides or 0 in sides or prod(sides) >= 1 << 62:
        raise FormatError(f"{what} has the impossible shape {sides}; the file is damaged")
    type_id = cursor.number("I", f"the type of {what}")
    weights, size = _block_size(type_id, what)
    if sides[0] % weights:
        raise FormatError(f"{what}: rows of {sides[0]:,} weights are no multiple of its block of {weights}")
    offset = cursor.number("Q", f"the offset of {what}")
    type_name = GGMLQuantizationType(type_id).name.lower()
    return Entry(name, tuple(reversed(sides)), type_name, offset, prod(sides) // weights * size)


def _block_size(type_id: int, what: str) -> tuple[int, int]:
    """(weights, bytes) of a block of the ggml type ``type_id``."""
    if type_id in _FOREIGN:
        raise FormatError(f"{what} has type {type_id}: {_FOREIGN[type_id]}, a private layout of bitnet.cpp; "
                          "convert the original checkpoint instead (tritmark convert)")
    if type_id not in GGMLQuantizationType._value2member_map_:
        raise FormatError(f"{what} has the unknown tensor type {type_id}; tq1_0 is 34, tq2_0 is 35")
    weights, size = GGML_QUANT_SIZES[GGMLQuantizationType(type_id)]
    return weights, size


def _place(infos: list[Entry], header_end: int, alignment: int, file_bytes: int) -> dict[str, Entry]:
    """The tensors by name with absolute offsets, after checking that they lie apart, aligned and inside the file."""
    start = -(-header_end // alignment) * alignment
    tensors: dict[str, Entry] = {}
    end = start
    for info in sorted(infos, key=attrgetter("offset")):
        what = f"tensor {_short(info.name)}"
        if info.name in tensors:
            raise FormatError(f"{what} appears twice; the file is damaged")
        if info.offset % alignment:
            raise FormatError(f"{what} lies at offset {info.offset:,}, no multiple of the alignment {alignment}")
        offset = start + info.offset
        if offset < end:
            raise FormatError(f"{what} overlaps another tensor; the file is damaged")
        end = offset + info.nbytes
        if end > file_bytes:
            raise FormatError(f"truncated: {what} ends at byte {end:,}, the file has {file_bytes:,}")
        tensors[info.name] = replace(info, offset=offset)
    return {info.name: tensors[info.name] for info in infos}
