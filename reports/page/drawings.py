"""Drawings: the pictures of records for a page that allows no style but its own.

Matplotlib dresses every shape with a style attribute, which the page's security policy forbids. Each different one
becomes a class here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tritmark.results.record import Record

_TAG = re.compile(r"<[^>]*>")
_STYLE = re.compile(r' style="([^"{}]*)"')


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """``svg``: an element whose classes are those of `drawings`."""

    name: str
    title: str
    caption: str
    svg: str


def drawings(records: Sequence[Record]) -> tuple[list[Drawing], str]:
    """The pictures that ``records`` hold, and the rules of their classes."""
    from ..pictures.drawn import PICTURES, svg  # which brings Matplotlib

    classes: dict[str, str] = {}
    found = []
    for picture in PICTURES:
        figure = picture.draw(records)
        if figure is not None:
            drawn = dressed(svg(figure), classes)
            found.append(Drawing(name=picture.name, title=picture.title, caption=picture.caption, svg=drawn))
    return found, "\n".join(f".{name} {{ {style} }}" for style, name in classes.items())


def dressed(svg: str, classes: dict[str, str]) -> str:
    """``svg`` with classes for its style attributes; ``classes``, by style, grows. Texts between tags stay."""

    def named(found: re.Match[str]) -> str:
        return f' class="{classes.setdefault(found[1], f"d{len(classes)}")}"'

    return _TAG.sub(lambda tag: _STYLE.sub(named, tag[0]), svg)
