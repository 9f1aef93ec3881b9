"""In which order rival arms take turns."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def turns(arms: int, repetitions: int) -> Iterator[int]:
    """Which arm runs next: A B, B A, A B, ... so that a steady drift (heat, clocks) falls on all arms alike."""
    for repetition in range(repetitions):
        yield from range(arms) if repetition % 2 == 0 else reversed(range(arms))


def grouped(items: Iterable[T], key: Callable[[T], Hashable]) -> list[list[T]]:
    """Items with equal keys together, groups in order of their first item."""
    groups: dict[Hashable, list[T]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return list(groups.values())
