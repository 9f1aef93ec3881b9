"""All rules over some tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from .cells import Cell
from .contradictions import larger_ran, ran_and_did_not, two_values
from .copies import equal_columns, one_factor
from .findings import Finding
from .identities import tokens_of_an_epoch
from .sizes import out_of_order, wrong_units
from .weights import apart_by_more_than_weights, below_its_own_weights

RULES: tuple[Callable[[Sequence[Cell]], Iterator[Finding]], ...] = (
    below_its_own_weights,
    wrong_units,
    tokens_of_an_epoch,
    two_values,
    ran_and_did_not,
    larger_ran,
    apart_by_more_than_weights,
    equal_columns,
    one_factor,
    out_of_order,
)


def audit(cells: Iterable[Cell]) -> list[Finding]:
    """What the rules find, the certain first."""
    held = list(cells)
    return [found for rule in RULES for found in rule(held)]
