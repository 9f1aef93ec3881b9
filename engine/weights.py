"""Weights of a program as the device holds them, and the image file that their slots are cut from.

A Weight describes one buffer: which tensors of the model it joins, their resident kind and their tiling. The image is
the virtual file of all weights laid end to end; its bytes are made from the model when somebody reads them, a part at a
time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .formats import blocks, resident, ternary
from .formats.model import Model, content_id
from .plan import Caps, Range

ALIGNMENT = 256
WIDE_FEATURE = "shader-int64"
TILE_ROWS = resident.TILE_ROWS
BLOCK_COLUMNS = 256
TERNARY = ("tq1_0", "tq2_0")
PIECE_BYTES = 4 << 20


class Piece(NamedTuple):
    """Consecutive bytes of a slot, made when ``make`` is called."""

    bytes: int
    make: Callable[[], npt.NDArray[np.uint8]]


@dataclass(frozen=True, eq=False)
class Weight:
    """A matrix (rows, cols) in tiles of 32 rows. ``pair`` alternates the tiles of two parts: gate, up, gate, up, ..."""

    id: str
    model: Model
    parts: tuple[str, ...]
    kind: str
    rows: int
    cols: int
    pair: bool = False
    scaling: str = "row"  # "row"; "block" where a ternary tensor holds more than one scale; "none" for dense ones

    @property
    def ternary(self) -> bool:
        return self.kind in TERNARY

    @property
    def tiles(self) -> int:
        return sum(-(-self._part_rows(part) // TILE_ROWS) for part in self.parts)

    @property
    def blocks(self) -> int:
        return -(-self.cols // BLOCK_COLUMNS)

    def layout(self, caps: Caps) -> dict[str, int | bool]:
        """Constants of lib/words.wgsl: words of a load, loads of a block, and whether a 64-bit load brings both
        words.
        """
        kind = resident.KINDS[self.kind]
        pairs = kind.parts == 2
        return {
            "PARTS": kind.parts,
            "LOADS": kind.words // kind.parts,
            "PAIRS": pairs,
            "WIDE": pairs and loads_wide(caps),
        }

    def group_rows(self, caps: Caps) -> int:
        """Neighbouring rows that one load of lib/row_groups.wgsl brings: 32 bytes where a device has 64-bit words,
        else 16.
        """
        return (8 if loads_wide(caps) else 4) // resident.KINDS[self.kind].parts

    @property
    def tile_bytes(self) -> int:
        return self.blocks * resident.KINDS[self.kind].words * TILE_ROWS * 4

    @property
    def bytes(self) -> int:
        return self.tiles * self.tile_bytes

    @property
    def scale_bytes(self) -> int:
        return self.tiles * TILE_ROWS * 4 * (self.blocks if self.scaling == "block" else 1)

    def _part_rows(self, part: str) -> int:
        return self.model.tensors[part].shape[0]

    def words(self) -> Iterator[npt.NDArray[np.uint32]]:
        """The buffer's words in order, tile range by tile range."""
        return (self._words(parts, tiles) for parts, tiles in self._cuts())

    def pieces(self) -> Sequence[Piece]:
        """The buffer's bytes in order."""
        return [
            Piece(len(parts) * (tiles.stop - tiles.start) * self.tile_bytes, partial(self._bytes, parts, tiles))
            for parts, tiles in self._cuts()
        ]

    def _cuts(self) -> Iterator[tuple[tuple[str, ...], slice]]:
        """Parts that are read together, and ranges of their tiles. A model that makes its tensors makes them whole."""
        for parts in [self.parts] if self.pair else [(part,) for part in self.parts]:
            tiles = -(-self._part_rows(parts[0]) // TILE_ROWS)
            step = max(1, PIECE_BYTES // (len(parts) * self.tile_bytes)) if self.model.path else tiles
            yield from ((parts, slice(first, min(tiles, first + step))) for first in range(0, tiles, step))

    def _words(self, parts: Sequence[str], tiles: slice) -> npt.NDArray[np.uint32]:
        words = [
            resident.weight_words(self.model, part, self.kind, tiles, known_ternary=self.ternary) for part in parts
        ]
        return words[0] if len(words) == 1 else np.stack(words, axis=1).reshape(-1, *words[0].shape[1:])

    def _bytes(self, parts: Sequence[str], tiles: slice) -> npt.NDArray[np.uint8]:
        return as_bytes(self._words(parts, tiles))

    def scales(self) -> npt.NDArray[np.float32]:
        """f32 (tiles * 32), or (tiles, blocks, 32) for block scaling."""
        if not self.ternary:
            return np.repeat([resident.outer_scale(self.model, part) for part in self.parts], self.tiles * TILE_ROWS)
        read = resident.weight_block_scales if self.scaling == "block" else resident.weight_row_scales
        found = [read(self.model, part) for part in self.parts]
        if self.scaling == "row":
            found = [scales.reshape(-1, TILE_ROWS) for scales in found]
        joined = np.stack(found, axis=1).reshape(-1, *found[0].shape[1:]) if self.pair else np.concatenate(found)
        return np.ascontiguousarray(joined if self.scaling == "block" else joined.reshape(-1))

    def host_trits(self) -> npt.NDArray[np.int8]:
        """The trits the buffer holds, (tiles * 32, blocks * 256), for the NumPy reference."""
        codes = [resident.packed_blocks(words, self.kind) for words in self.words()]
        return np.concatenate([ternary.unpack(rows, self.kind)[0] for rows in codes])

    def host_dense(self) -> npt.NDArray[np.float32]:
        """The values of a dense weight, (rows, cols), for the NumPy reference."""
        return np.concatenate([blocks.dense(self.model.packed(part), self.kind, self.cols) for part in self.parts])


@dataclass
class Image:
    """The weight file that a Plan's slots are cut from: named entries laid end to end at aligned offsets.

    Only places are kept here; models/source.py makes the bytes of an entry when a player asks for its slot.
    """

    model: Model
    layout: str
    entries: dict[str, tuple[int, int]] = field(default_factory=dict)  # name -> (offset, bytes)
    bytes: int = 0

    @cached_property
    def file(self) -> str:
        """Identity of the file: the model's content, how much of it is used, and the layout."""
        return hashlib.sha256(f"{content_id(self.model)}/{len(self.model.tensors)}/{self.layout}".encode()).hexdigest()

    def reserve(self, name: str, size: int) -> Range:
        """Where the ``size`` bytes of ``name`` lie; a new entry goes to the end."""
        if name not in self.entries:
            self.entries[name] = (self.bytes, size)
            self.bytes += -(-size // ALIGNMENT) * ALIGNMENT
        offset, size = self.entries[name]
        return Range(file=self.file, offset=offset, bytes=size)


def loads_wide(caps: Caps) -> bool:
    """Whether 64-bit loads pay: a processor's driver spends its time on the number of loads, not on their width."""
    return caps.kind == "cpu" and WIDE_FEATURE in caps.features


def as_bytes(array: npt.NDArray[np.generic]) -> npt.NDArray[np.uint8]:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)
