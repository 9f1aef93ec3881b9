"""The records that ship, and made ones whose texts are hard to keep apart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tritmark.reports.audit.graded import published_records
from tritmark.results.record import Record
from tritmark.results.store import read

RESULTS = Path(__file__).parents[1] / "results"
MEASURED = [record for folder in sorted((RESULTS / "measured").iterdir()) for record in read(folder)]
TEXTS = (None, "", "null", "NaN", "None", "\\", "\\N", "\"q\", 's'", "a\r\nb\rc\nd\t\x00", "é漢😀", "=1+1", " x ", "-1")


def awkward() -> list[Record]:
    """Made failed records, one a text."""
    failed = replace(MEASURED[0], status="failed", samples_ns=(), ttft_ns=(), ledger=None, exact=None)
    return [
        replace(failed, id=f"made{number}", reason=text, model=text or "", conditions={"note": text, "": [1.5, {}]})
        for number, text in enumerate(TEXTS)
    ]


ALL = [*MEASURED, *published_records(RESULTS / "published" / "published.csv"), *awkward()]
