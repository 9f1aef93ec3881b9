"""Weights into buffers: threads make pieces and write them, with a bounded number of bytes under way."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from ..errors import PlayerError
from ..plan import Slot
from ..threads import THREADS, mapped
from ..weights import Piece

AHEAD_BYTES = THREADS * (16 << 20)  # made before a wait for the device, which holds as many in buffers of its own

Write = Callable[[str, npt.NDArray[np.uint8], int], None]  # slot, data, offset


class WeightSource(Protocol):
    """Where the bytes of weight slots come from."""

    def pieces(self, slot: Slot) -> Sequence[Piece]:
        """The slot's content in order; any thread may make any piece."""


class _Placed(NamedTuple):
    slot: str
    offset: int
    piece: Piece


def upload(slots: Sequence[Slot], source: WeightSource, write: Write, settle: Callable[[], None]) -> None:
    """Write the content of ``slots``; ``settle`` waits until the device has taken what was written."""
    for some in _rounds([placed for slot in slots for placed in _place(source, slot)]):
        mapped(partial(_put, write), some)
        settle()


def _place(source: WeightSource, slot: Slot) -> list[_Placed]:
    placed, offset = [], 0
    for piece in source.pieces(slot):
        placed.append(_Placed(slot.id, offset, piece))
        offset += piece.bytes
    if offset != sum(part.bytes for part in slot.ranges) or offset > slot.bytes:
        raise PlayerError(f"the weight file holds {offset:,} bytes for {slot.id}; the plan, of another, {slot.bytes:,}")
    return placed


def _rounds(placed: Sequence[_Placed]) -> Iterator[list[_Placed]]:
    some: list[_Placed] = []
    for each in placed:
        if some and sum(one.piece.bytes for one in some) + each.piece.bytes > AHEAD_BYTES:
            yield some
            some = []
        some.append(each)
    if some:
        yield some


def _put(write: Write, placed: _Placed) -> None:
    data = placed.piece.make()
    if data.nbytes != placed.piece.bytes:
        raise PlayerError(f"the weight file gave {data.nbytes:,} of {placed.piece.bytes:,} bytes of {placed.slot}")
    write(placed.slot, data, placed.offset)
