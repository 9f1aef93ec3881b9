"""Shapes of a kernel, where a product can have several: a shape decides nothing but speed.

An op that has several names its product (the key) and lists them, its default first; ``Caps.tuned`` says for some keys
which one was measured to be fastest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Any, TypeVar

from ..plan import Caps

Shape = TypeVar("Shape")


@dataclass(frozen=True)
class Choice:
    """A product that may have several shapes: ``shapes`` as text, the default first."""

    key: str
    shapes: tuple[str, ...]


def spelled(shape: Any) -> str:
    """A shape as text: the fields of its dataclass, in order."""
    return ",".join(str(value) for value in astuple(shape))


def chosen(key: str, shapes: Sequence[Shape], caps: Caps) -> Shape:
    """The shape that was measured to be fastest, or the first where none was or it is not to be had here."""
    wanted = caps.tuned.get(key)
    return next((shape for shape in shapes if spelled(shape) == wanted), shapes[0])
