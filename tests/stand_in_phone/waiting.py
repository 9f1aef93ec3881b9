"""Waiting for something that happens outside, by asking again and again."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait_until(there: Callable[[], bool], what: str, timeout_s: float = 20.0) -> None:
    """Return as soon as ``there()``; TimeoutError that names ``what``."""
    deadline = time.monotonic() + timeout_s
    while not there():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout_s:g} s in vain for {what}")
        time.sleep(0.02)
