"""Kernels: what each kernel of a step took, and the bytes and operations a second that it came to.

From a profile, which keeps launches apart: what a launch takes holds what keeping it apart costs, some microseconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table

from tritmark.results.record import Record

MOST_PROFILES = 12
HEADS = ("Kernel", "Launches", "us a launch", "Share %", "GB/s", "GOP/s")


@dataclass(frozen=True)
class Profile:
    """The kernels of one case's latest record, the longest first; ``rows`` as text, by HEADS."""

    record_id: str
    title: str
    rows: tuple[tuple[str, ...], ...]


def profiles(records: Sequence[Record]) -> tuple[list[Profile], int]:
    """The latest profile of each case, at most MOST_PROFILES of them, and how many more there are."""
    found: dict[str, Record] = {}
    for record in records:
        if record.kernels and record.status == "ok" and record.kind == "measured":
            key = f"{record.model} {record.format} {record.workload}, {record.adapter} ({record.player})"
            if key not in found or record.started_at >= found[key].started_at:
                found[key] = record
    shown = sorted(found.items(), key=lambda item: item[1].started_at, reverse=True)[:MOST_PROFILES]
    return [Profile(record.id, title, _rows(record)) for title, record in shown], len(found) - len(shown)


def table(profile: Profile) -> Table:
    """For a terminal."""
    made = Table(title=profile.title, title_justify="left")
    for place, head in enumerate(HEADS):
        made.add_column(head, justify="left" if place == 0 else "right")
    for row in profile.rows:
        made.add_row(*row)
    return made


def _rows(record: Record) -> tuple[tuple[str, ...], ...]:
    total_ns = sum(kernel["time_ns"] for kernel in record.kernels)
    return tuple(
        (
            kernel["label"],
            f"{kernel['count']:,}",
            f"{kernel['time_ns'] / kernel['count'] / 1e3:,.1f}",
            f"{100 * kernel['time_ns'] / total_ns:.1f}",
            f"{kernel['bytes'] / kernel['time_ns']:,.0f}",
            f"{kernel['operations'] / kernel['time_ns']:,.0f}",
        )
        for kernel in sorted(record.kernels, key=lambda kernel: -kernel["time_ns"])
        if kernel["time_ns"] > 0
    )
