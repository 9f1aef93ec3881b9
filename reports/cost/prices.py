"""Prices: everything that a cost stands on and no record can tell. Nothing here has a default."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Prices:
    """Stated by the person who asks. Money in USD, ``power_w`` and ``battery_wh`` None where not stated."""

    cloud_in: float  # of a million prompt tokens
    cloud_out: float  # of a million generated tokens
    device: float  # once
    electricity: float  # of a kWh
    tokens_in: int  # of a query
    tokens_out: int
    queries_per_day: float
    power_w: float | None = None
    battery_wh: float | None = None

    @property
    def cloud_query(self) -> float:
        """USD of a query in the cloud."""
        return (self.tokens_in * self.cloud_in + self.tokens_out * self.cloud_out) / 1e6
