"""Pairs: one model, workload and machine in TQ1_0 and in TQ2_0, and the ratio of their rates with its error.

The ratio is ln(tok/s of TQ1_0 / tok/s of TQ2_0): above 0, TQ1_0 is faster. Its error is over sessions where there are
several, else over repetitions of one process, which do not know how the next process will fare; the pair says which.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tritmark.results.record import Record

from ..audit.weights import BITS, SHAPES
from ..comparison.ratio import Ratio, pairs, ratio_of
from ..metrics import RATES
from .hardware import Place, column_of, place_of

FORMATS = ("tq1_0", "tq2_0")
EQUAL = math.log(1.03)  # ratios nearer to 1 are of no practical consequence
WEIGHTS = {"measured": 1.0, "imported": 0.5, "published": 0.5, "predicted": 0.25}  # as evidence; other grades have none
BYTES_A_WEIGHT = {name.lower(): bits / 8 for name, bits in BITS.items()}
_METRICS = {"decode": "decode", "prefill": "prefill", "train_throughput": "train"}  # of published figures


@dataclass(frozen=True, kw_only=True)
class Pair:
    """``weights``: ternary ones of the model, by which sizes are compared; None where nothing tells."""

    place: Place
    machine: str
    model: str
    weights: int | None
    phase: str
    workload: str
    tps: tuple[float, float]  # TQ1_0, TQ2_0
    log_ratio: float
    error: float  # standard error of log_ratio
    freedom: float
    spread_of: str  # "sessions", "repetitions" or "none"
    grade: str
    weight: float
    records: tuple[Record, ...]

    @property
    def tokens(self) -> float:
        """Of one sample; 1 for a figure, which does not say."""
        return tokens_of(self.records[0])

    @property
    def record_ids(self) -> tuple[str, ...]:
        return tuple(record.id for record in self.records)

    @property
    def verdict(self) -> str:
        """ "tq1_0", "tq2_0" or "tie", by practical equivalence of ±3 %."""
        return "tie" if abs(self.log_ratio) <= EQUAL else FORMATS[self.log_ratio < 0]


def paired(records: Iterable[Record]) -> list[Pair]:
    """Every case that ran in both formats on one machine. Rows that failed or fell back to another processor, and
    outputs that differ between the formats, are none.
    """
    groups: dict[tuple[str, ...], dict[str, list[Record]]] = {}
    for record in records:
        if record.status == "ok" and record.format in FORMATS and phase_of(record) and _rate(record):
            groups.setdefault(_case(record), {}).setdefault(record.format, []).append(record)
    both = [group for group in groups.values() if len(group) == len(FORMATS)]
    return [_pair(*(group[name] for name in FORMATS)) for group in both if _same_output(group)]


def phase_of(record: Record) -> str | None:
    """Of PHASES; None for figures that are no rate of one."""
    if record.figure is not None:
        rate = record.figure["unit"] == "tok/s"
        return _METRICS.get(record.workload) if rate else None
    if record.training:
        return "train"
    return next((phase for phase in ("prefill", "decode") if record.workload.startswith(phase)), None)


def tokens_of(record: Record) -> float:
    """Tokens that a sample is about."""
    if record.training:
        return float(record.training["tokens"])
    if record.workload.startswith("prefill"):
        return float(record.prompt_tokens or 1)
    return float(max((record.generated_tokens or 2) - 1, 1))


def ternary_weights(record: Record) -> int | None:
    """Of the record's model: as it was counted, else by the published name of its size."""
    if record.shape and "ternary_weights" in record.shape:
        return record.shape["ternary_weights"]
    return named_weights(record.model)


def named_weights(model: str) -> int | None:
    """Of a model of a published size; None for other names."""
    shape = SHAPES.get(size_name(model))
    return shape and shape.layers * (4 * shape.embedding**2 + 3 * shape.embedding * shape.feed_forward)


def size_name(model: str) -> str:
    """ "1B" of "1B" and of "synthetic:1B?seed=2"."""
    return model.removeprefix("synthetic:").partition("?")[0]


def _case(record: Record) -> tuple[str, ...]:
    """What the two formats have in common. A figure's source and table say what else was alike."""
    figure = record.figure or {}
    place = (column_of(record), record.device, record.driver or "", record.os or "", str(figure.get("source")))
    options = str(sorted((record.case.get("options") or {}).items()))
    return (record.kind, *place, str(figure.get("table")), record.model, record.workload, options)


def _same_output(group: dict[str, list[Record]]) -> bool:
    """Lossless formats give one digest; a pair without digests is believed."""
    return len({record.digest for side in group.values() for record in side if record.digest}) <= 1


def _pair(one: Sequence[Record], two: Sequence[Record]) -> Pair:
    first, records = one[-1], (*one, *two)
    ratio, spread_of = _ratio(one, two)
    grade = min((record.grade for record in records), key=lambda grade: WEIGHTS.get(grade, 0.0))
    rates = [statistics.median([_rate(record) or 0.0 for record in side]) for side in (one, two)]
    return Pair(
        place=place_of(first), machine=column_of(first), model=first.model, weights=ternary_weights(first),
        phase=phase_of(first) or "", workload=first.workload, tps=(rates[0], rates[1]),
        log_ratio=math.log(ratio.ratio), error=ratio.error or 0.0, freedom=ratio.freedom, spread_of=spread_of,
        grade=grade, weight=WEIGHTS.get(grade, 0.0), records=records,
    )  # fmt: skip


def _ratio(one: Sequence[Record], two: Sequence[Record]) -> tuple[Ratio, str]:
    """Of TQ1_0 to TQ2_0: over sessions, paired where they took turns, else over the repetitions of a single one."""
    neighbours = pairs(two, one)
    if neighbours:
        sides = list(zip(*neighbours, strict=True))
        return ratio_of(_rates(sides[0]), _rates(sides[1]), paired=True), "sessions"
    if len(one) > 1 and len(two) > 1:
        return ratio_of(_rates(two), _rates(one), paired=False), "sessions"
    found = ratio_of(_samples(two[-1]), _samples(one[-1]), paired=False)
    return found, "none" if found.error is None else "repetitions"


def _rates(records: Iterable[Record]) -> list[float]:
    return [rate for record in records if (rate := _rate(record))]


def _rate(record: Record) -> float | None:
    """Tokens a second of a session."""
    if record.figure is not None:
        return record.figure["value"] or None
    return next((rate for metric in RATES if (rate := metric.value(record))), None)


def _samples(record: Record) -> list[float]:
    if record.figure is not None:
        return [float(record.figure["value"])]
    return list(next((samples for metric in RATES if (samples := metric.samples(record))), ()))
