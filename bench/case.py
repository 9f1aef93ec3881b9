"""Case: one cell of a benchmark matrix, and how lists of axes multiply into cases.

A matrix is a mapping from axis to a value or a list of values; a suite is a TOML file of matrices (bench/README.md
shows one). This module knows the axes; it must not know how a case is run.
"""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tritmark.results.record import case_key

AXES = ("model", "format", "workload", "device", "runner")
OURS = "tritmark"  # the runner that this project is
OPTIONS = ("activation", "chunk", "recompute")  # keyword arguments of the compiler that a matrix may set
DEFAULTS: Mapping[str, Any] = {
    "format": ["tq1_0", "tq2_0"],
    "workload": ["prefill:512", "decode:128"],
    "device": "host",
    "runner": OURS,
    "repetitions": 3,
}
LEAST_REPETITIONS = 3
SUITES = Path(__file__).with_name("suites")


class CaseError(Exception):
    """A matrix or suite says something that no case can mean; the message is one line."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """What to measure, how often, and the compiler options that differ from the defaults."""

    model: str
    format: str
    workload: str
    device: str
    runner: str = OURS
    repetitions: int = LEAST_REPETITIONS
    options: Mapping[str, Any] = field(default_factory=dict)
    session: int = 1  # not what is measured, but which time: in a fresh process, after a rest

    def axes(self) -> dict[str, Any]:
        """Everything that makes this case another than its neighbours. Our own runner goes without saying: cases had
        keys before there were others.
        """
        axes = {axis: getattr(self, axis) for axis in AXES if axis != "runner" or self.runner != OURS}
        return {
            **axes,
            "repetitions": self.repetitions,
            "options": dict(self.options),
        }

    @property
    def key(self) -> str:
        return case_key(self.axes())

    @property
    def group(self) -> str:
        """Equal for cases that are interleaved: ours of one session that differ in nothing but the format; others run
        alone.
        """
        axes = {**self.axes(), "session": self.session}
        return case_key({**axes, "format": None} if self.runner == OURS else axes)

    def __str__(self) -> str:
        options = "".join(f" {name}={value}" for name, value in self.options.items())
        by = "" if self.runner == OURS else f" by {self.runner.partition('=')[0]}"
        return f"{self.model} {self.format} {self.workload} on {self.device}{by}{options}"


def expand(matrix: Mapping[str, Any]) -> list[Case]:
    """The cases of one matrix: the product of all lists, formats varying fastest so that rivals are neighbours."""
    unknown = set(matrix) - {*AXES, "repetitions", "options"}
    if unknown:
        raise CaseError(f"unknown axis {sorted(unknown)[0]!r}; known: {', '.join(AXES)}, repetitions, options")
    values = {**DEFAULTS, **matrix}
    options = dict(values.pop("options", {}))
    for name in options:
        if name not in OPTIONS:
            raise CaseError(f"unknown option {name!r}; known: {', '.join(OPTIONS)}")
    repetitions = values["repetitions"]
    if type(repetitions) is not int or repetitions < LEAST_REPETITIONS:
        raise CaseError(
            f"repetitions = {repetitions!r}; at least {LEAST_REPETITIONS} are needed for a median and a spread"
        )
    order = ("device", "model", "workload", *options, "runner", "format")
    lists = [_list(name, options[name] if name in options else values.get(name)) for name in order]
    rows = (dict(zip(order, row, strict=True)) for row in itertools.product(*lists))
    return [
        Case(
            **{axis: row[axis] for axis in AXES}, repetitions=repetitions, options={name: row[name] for name in options}
        )
        for row in rows
    ]


def expand_all(matrices: Iterable[Mapping[str, Any]]) -> list[Case]:
    """The cases of several matrices, each case once."""
    return list({case.key: case for matrix in matrices for case in expand(matrix)}.values())


def overridden(matrix: Mapping[str, Any], axes: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """``matrix`` with the axes and options that were given in place of its own."""
    given = {axis: value for axis, value in axes.items() if value}
    return {**matrix, **given, "options": {**matrix.get("options", {}), **options}}


def read_suite(name: str) -> list[dict[str, Any]]:
    """The matrices of a suite: the path of a TOML file, or the name of one in bench/suites."""
    path = Path(name) if name.endswith(".toml") else SUITES / f"{name}.toml"
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        known = ", ".join(sorted(suite.stem for suite in SUITES.glob("*.toml")))
        raise CaseError(f"no suite {name!r}; give a .toml file or one of: {known}") from None
    except (OSError, ValueError) as error:
        raise CaseError(f"cannot read the suite {path}: {error}") from error
    matrices = data.get("matrix")
    if not isinstance(matrices, list) or not matrices:
        raise CaseError(f"the suite {path} has no [[matrix]]; see bench/README.md")
    return matrices


def _list(name: str, value: Any) -> Sequence[Any]:
    values = value if isinstance(value, list) else [value]
    if not values or (name in AXES and not all(isinstance(item, str) and item for item in values)):
        raise CaseError(f"{name} = {value!r}; a name or a list of names was expected")
    return values
