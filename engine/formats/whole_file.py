"""Files that appear under their name only when complete; a write that fails leaves what was there."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from ..errors import FormatError


def written_whole(path: Path, write: Callable[[Path], None]) -> Path:
    """Have ``write`` make a file beside ``path``, then move it there. FormatError where the disk refuses."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        write(partial)
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        reason = error.strerror or "the disk is full"  # NumPy reports a short write without an error number
        raise FormatError(f"cannot write {path}: {reason}; check the folder and its free space") from None
    finally:
        with suppress(OSError):
            partial.unlink()
    return path
