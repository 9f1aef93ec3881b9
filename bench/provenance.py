"""Where a record comes from: the versions of everything that had a part in it."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from functools import cache
from pathlib import Path

PACKAGES = ("wgpu", "numpy")


@cache
def versions() -> dict[str, str]:
    """Revision of Tritmark (``+`` marks local changes) and versions of the packages that compute."""
    installed = {name: _package(name) for name in ("tritmark", *PACKAGES)}
    return {**installed, "python": platform.python_version(), "revision": _revision()}


@cache
def operating_system() -> str:
    """Name, release and machine, as in ``Linux 6.1.0 x86_64 (Debian GNU/Linux 12 (bookworm))``."""
    uname = platform.uname()
    try:
        pretty = f" ({platform.freedesktop_os_release()['PRETTY_NAME']})"
    except (OSError, KeyError):
        pretty = ""
    return f"{uname.system} {uname.release} {uname.machine}{pretty}"


def _package(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _revision() -> str:
    """Git revision of the running source, or "unknown" where it is no checkout.

    TRITMARK_REVISION says it for a copy that was made without its history.
    """
    if told := os.environ.get("TRITMARK_REVISION"):
        return told
    command = (
        "git",
        "-C",
        str(Path(__file__).parent),
        "describe",
        "--always",
        "--abbrev=40",
        "--dirty=+",
        "--exclude=*",
    )
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"
