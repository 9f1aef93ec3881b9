"""Token ids one at a time to text: a character appears when the last of its bytes has arrived, never half of it."""

from __future__ import annotations

from codecs import getincrementaldecoder
from collections.abc import Callable

_Utf8 = getincrementaldecoder("utf-8")


class TextStream:
    """Bytes that are no UTF-8 become U+FFFD. The space that encoding puts before text is left out again."""

    def __init__(self, piece: Callable[[int], bytes], is_special: Callable[[int], bool], space_prefix: bool,
                 from_start: bool) -> None:
        """``piece``: a token's bytes. ``space_prefix``: encoding puts a space before the text that follows a special
        token, and before text at the start, which the first token pushed is if ``from_start``."""
        self._piece, self._is_special, self._space_prefix = piece, is_special, space_prefix
        self._opens_text = from_start
        self._decoder = _Utf8(errors="replace")

    def push(self, index: int) -> str:
        """The text that token ``index`` completes, mostly its own; FormatError for an id beyond the vocabulary."""
        piece, special = self._piece(index), self._is_special(index)
        if self._space_prefix and self._opens_text and not special:
            piece = piece.removeprefix(b" ")
        self._opens_text = special
        return self._decoder.decode(piece)

    def flush(self) -> str:
        """What is left when no token follows: U+FFFD for a character without its end, else nothing."""
        return self._decoder.decode(b"", final=True)
