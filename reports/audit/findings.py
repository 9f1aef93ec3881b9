"""A finding: cells that cannot all be right, the arithmetic that says so, and what follows for their grade."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .cells import Cell


@dataclass(frozen=True)
class Finding:
    """``grade``: "impossible" (against arithmetic alone), "suspect" (one of them is wrong, not known which), "not
    independent" (made from one another).
    """

    rule: str
    grade: str
    arithmetic: str
    cells: Sequence[Cell]

    def to_json(self) -> dict[str, Any]:
        named = ("line", "source", "table", "model", "format", "device", "processor", "metric", "unit", "status")
        told = [{name: getattr(cell, name) for name in named} | {"value": cell.figure} for cell in self.cells]
        return {"rule": self.rule, "grade": self.grade, "arithmetic": self.arithmetic, "cells": told}

