"""Bundle: the web player's ES modules as one script, for a page that cannot load them from where they are.

Each module becomes a function that is given the modules it imports and returns what it exports. Only the forms that the
web player uses are understood: imports by name from files beside it, exports of declarations.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from ..base import DeviceError

IMPORT = re.compile(r'^import\s*\{([^}]*)\}\s*from\s*"\./([\w.-]+\.js)";[ \t]*$', re.MULTILINE)
EXPORT = re.compile(r"^export\s+(?=(?:async\s+)?(?:function\s*\*?|class|const|let)\s+([A-Za-z_$][\w$]*))", re.MULTILINE)
LEFT = re.compile(r"^\s*(?:import|export)\b.*$|\bimport\.meta\b|\bimport\s*\(", re.MULTILINE)


def bundle(entry: str, read: Callable[[str], str]) -> str:
    """An expression whose value has what the module ``entry`` exports. ``read(file)`` gives a module's text."""
    bodies: dict[str, str] = {}
    _collect(entry, read, bodies, ())
    made = "\n".join(f"const {_variable(file)} = (() => {{\n{body}\n}})();" for file, body in bodies.items())
    return f'(() => {{\n"use strict";\n{made}\nreturn {_variable(entry)};\n}})()'


def _collect(file: str, read: Callable[[str], str], bodies: dict[str, str], above: tuple[str, ...]) -> None:
    """Add a module behind those it imports."""
    if file in above:
        raise DeviceError(f"modules of the web player import each other in a circle: {' -> '.join((*above, file))}")
    if file in bodies:
        return
    text = read(file)
    for _, imported in IMPORT.findall(text):
        _collect(imported, read, bodies, (*above, file))
    names = EXPORT.findall(text)
    body = EXPORT.sub("", IMPORT.sub(_import, text))
    left = LEFT.search(body)
    if left:
        raise DeviceError(f"{file} of the web player cannot be put into a page: {left.group().strip()[:80]}")
    bodies[file] = f"{body}\nreturn {{ {', '.join(names)} }};"


def _import(match: re.Match[str]) -> str:
    names = re.sub(r"\s+as\s+", ": ", " ".join(match[1].split()))
    return f"const {{ {names} }} = {_variable(match[2])};"


def _variable(file: str) -> str:
    return "module_" + re.sub(r"\W", "_", file)
