"""Bytes of the options as records tell them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tritmark.results.record import Record

from ..audit.weights import least_mib
from .feasibility import MEBIBYTE
from .pairs import BYTES_A_WEIGHT, FORMATS, size_name


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """As feasibility.Sized asks: None where nothing tells."""

    download_bytes: int | None
    peak_bytes: int | None
    refused: str | None = None


def sizes_of(records: Sequence[Record]) -> dict[str, Sizes]:
    """Of all options, from records of one model in both formats: the highest peak over them, and a file of its ternary
    weights and one F16 embedding (norms and names, a thousandth, left out).
    """
    download = {name: _file_bytes(records[0], name) for name in FORMATS}
    peak = {
        name: max((record.ledger_peak_bytes or 0 for record in records if record.format == name), default=0) or None
        for name in FORMATS
    }
    one, two = (Sizes(download_bytes=download[name], peak_bytes=peak[name]) for name in FORMATS)
    repacked = Sizes(download_bytes=one.download_bytes, peak_bytes=two.peak_bytes)
    return {"tq1_0": one, "tq2_0": two, "tq1_0>tq2_0": repacked}


def _file_bytes(record: Record, format: str) -> int | None:
    if record.shape:
        embedding = record.shape["vocabulary"] * record.shape["hidden"] * 2
        other = record.shape.get("other_weight_bytes", embedding)
        return round(record.shape["ternary_weights"] * BYTES_A_WEIGHT[format]) + other
    try:
        return round(sum(least_mib(size_name(record.model), format.upper())) * MEBIBYTE)
    except KeyError:
        return None
