"""GGUF files made byte by byte, so that tests can also make the ones that no writer would write."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

U32, STRING, ARRAY = 4, 8, 9


def text(value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(raw)) + raw


def pair(key: str, kind: int, value: bytes) -> bytes:
    return text(key) + struct.pack("<I", kind) + value


def u32(key: str, value: int) -> bytes:
    return pair(key, U32, struct.pack("<I", value))


def info(name: str, sides: tuple[int, ...], type_id: int, offset: int) -> bytes:
    """A tensor info; ``sides`` in file order, the row length first."""
    return text(name) + struct.pack(f"<I{len(sides)}QIQ", len(sides), *sides, type_id, offset)


def gguf(pairs: list[bytes], infos: list[bytes], data: bytes = b"", *, version: int = 3, magic: bytes = b"GGUF",
         pair_count: int | None = None, info_count: int | None = None, alignment: int = 32) -> bytes:
    counts = (len(infos) if info_count is None else info_count, len(pairs) if pair_count is None else pair_count)
    head = magic + struct.pack("<IQQ", version, *counts) + b"".join(pairs) + b"".join(infos)
    return head + b"\0" * (-len(head) % alignment) + data


def sample() -> bytes:
    """A sound file: two keys, a TQ2_0 matrix (2, 256) of zeros with scale 1, a TQ1_0 one, and a norm of ones."""
    tq2 = (b"\x55" * 64 + b"\0\x3c") * 2
    tq1 = b"\x80" * 48 + b"\x7f" * 4 + b"\0\x3c"
    norm = np.ones(4, "<f4").tobytes()
    infos = [info("a.weight", (256, 2), 35, 0), info("b.weight", (256, 1), 34, 160), info("norm.weight", (4,), 0, 224)]
    data = tq2 + b"\0" * 28 + tq1 + b"\0" * 10 + norm
    words = struct.pack("<IQ", STRING, 2) + text("one") + text("two")
    return gguf([pair("general.architecture", STRING, text("bitnet")), u32("general.alignment", 32),
                 pair("words", ARRAY, words)], infos, data)


def write(folder: Path, content: bytes) -> Path:
    path = folder / "sample.gguf"
    path.write_bytes(content)
    return path
