"""Dawn, Chrome's WebGPU, under Node.js: the web player on this computer's GPU without a browser around it.

``dawn:PATH`` names the npm package ``webgpu`` (its folder, or its dawn.node); without it the usual places are searched.
"""

from __future__ import annotations

import platform
import shutil
import subprocess
from functools import cache
from pathlib import Path

from ..base import DeviceError
from ..registry import Sighting
from .here import BrowserHere
from .programs import Program, ProgramBrowser

PLAYER = Path(__file__).resolve().parents[2] / "engine" / "players" / "web" / "node.js"
REMEDY = (
    "install Node.js 20 or newer, then: npm install webgpu (and name its folder: --device dawn:node_modules/webgpu)"
)


class Dawn(ProgramBrowser):
    """One Node.js process that plays what the server asks."""

    def __init__(self, node: str, module: Path) -> None:
        super().__init__()
        self._node, self._module = node, module

    def open(self, scheme: str, port: int, path: str) -> None:
        self._program = Program([self._node, str(PLAYER), str(self._module), f"{scheme}://127.0.0.1:{port}{path}"])


def find_module(argument: str | None) -> Path | None:
    """The file to load: that of ``argument``, or of the first installation of the package found."""
    folders = [Path(argument)] if argument else [Path("node_modules/webgpu"), *_global_folders()]
    for folder in folders:
        if folder.is_file():
            return folder.resolve()
        found = sorted(folder.glob("dist/*/dawn.node"))
        here = [path for path in found if _is_for_this_machine(path.parent.name)]
        if here:
            return here[0].resolve()
    return None


def _is_for_this_machine(folder: str) -> bool:
    """Folders of the package are named by Node's platform and architecture: linux-x64, darwin-universal."""
    system, _, machine = folder.partition("-")
    ours = {"Linux": "linux", "Darwin": "darwin", "Windows": "win32"}.get(platform.system())
    chip = "arm64" if platform.machine().lower() in ("aarch64", "arm64") else "x64"
    return system == ours and machine in ("universal", chip)


@cache
def _global_folders() -> tuple[Path, ...]:
    npm = shutil.which("npm")
    if not npm:
        return ()
    try:
        root = subprocess.run(
            (npm, "root", "-g"), capture_output=True, text=True, timeout=20, check=True
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ()
    return (Path(root, "webgpu"),)


def open_device(argument: str | None, timeout_s: float) -> BrowserHere:
    """``argument``: the folder of the npm package ``webgpu``, or its dawn.node."""
    node, module = shutil.which("node"), find_module(argument)
    if node is None or module is None:
        what = (
            "there is no program node"
            if node is None
            else f"no WebGPU module for Node.js at {argument or 'the usual places'}"
        )
        raise DeviceError(f"{what}; {REMEDY}")
    return BrowserHere(f"dawn:{argument}" if argument else "dawn", lambda: Dawn(node, module), timeout_s)


def sightings() -> list[Sighting]:
    module = find_module(None) if shutil.which("node") else None
    return [Sighting(device="dawn", state="ready", detail=str(module))] if module else []
