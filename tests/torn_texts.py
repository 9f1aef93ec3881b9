"""Texts with a stretch cut out or replaced, for tests of parsers that must not fail on anything."""

from __future__ import annotations

from hypothesis import strategies as st

WORDS = ["N/A", "-1", "²", "٣", "9" * 6000, "null", ":", "{", "}", "\n", "\x00", "�", " "]


def torn(sample: str, data: st.DataObject) -> str:
    """``sample`` with something else, or nothing, in place of a stretch that hypothesis chooses."""
    at = data.draw(st.integers(0, len(sample)))
    until = data.draw(st.integers(at, len(sample)))
    return sample[:at] + data.draw(st.one_of(st.sampled_from(WORDS), st.text())) + sample[until:]
