"""The evidence behind a recommendation as rows, each with its grade: what counts first, what is only shown last."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from .hardware import Place
from .pairs import Pair
from .recommendation import Recommendation


def rows(pairs: Iterable[Pair], place: Place, recommendation: Recommendation) -> list[dict[str, Any]]:
    """Pairs of the mix's phases that were used, and those of the same family without weight, nearest first."""
    used = set(recommendation.record_ids)
    found = []
    for pair in pairs:
        near = pair.place.is_akin(place)
        counts = bool(used & set(pair.record_ids))
        if pair.phase in recommendation.mix and (counts or (near and pair.weight == 0)):
            found.append((not counts, _distance(pair, place), pair))
    return [_row(pair, counts=not aside) for aside, _, pair in sorted(found, key=lambda each: each[:2])]


def _distance(pair: Pair, place: Place) -> int:
    """How few levels a pair shares with a place."""
    return -sum(one == other for one, other in zip(pair.place.levels, place.levels, strict=True))


def _row(pair: Pair, *, counts: bool) -> dict[str, Any]:
    said = [reason for record in pair.records for reason in record.grade_reasons]
    return {
        "device": pair.machine, "model": pair.model, "phase": pair.phase, "tq1_0_tps": pair.tps[0],
        "tq2_0_tps": pair.tps[1], "ratio": math.exp(pair.log_ratio), "grade": pair.grade,
        "weight": pair.weight if counts else 0.0, "spread_of": pair.spread_of, "record_ids": list(pair.record_ids),
        "why": said[0] if said else None,
    }  # fmt: skip
