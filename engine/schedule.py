"""Learning rate and weight decay of each optimiser step, in float64 on the host.

With W warm-up steps of T: rate * s / W up to step W; then, p running from 0 to 1: constant rate; cosine to ``rate_min``
by half a wave; linear to ``rate_min``. Two stages (Ma et al. 2024, "The Era of 1-bit LLMs: Training Tips", and arXiv
2504.12285): linear towards zero in the first half, from a lower start towards zero in the second, which decays nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from .errors import PlanError

KINDS = ("constant", "cosine", "linear", "two_stage")


@dataclass(frozen=True)
class Schedule:
    """``total`` steps, ``warmup`` of them warming up. ``second_rate``: where the second of two stages starts."""

    kind: str = "constant"
    rate: float = 1e-4
    rate_min: float = 0.0
    total: int = 1
    warmup: int = 0
    decay: float = 0.01
    second_rate: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise PlanError(f"learning-rate schedule {self.kind!r} is unknown; use {', '.join(KINDS)}")
        if not (0 <= self.rate_min <= self.rate < math.inf and self.rate > 0):
            raise PlanError(f"learning rates {self.rate:g} down to {self.rate_min:g} are not 0 <= least <= rate")
        if not 0 <= self.decay < math.inf or self.rate * self.decay >= 1:
            raise PlanError(f"weight decay {self.decay:g} at rate {self.rate:g} would turn weights around")
        if self.total < 1 or not 0 <= self.warmup <= self.total:
            raise PlanError(f"{self.warmup} warm-up steps of {self.total} steps: give 0 up to all of at least one")

    def rate_at(self, step: int) -> float:
        """The learning rate of step 1, 2, ... ``total``."""
        if step <= self.warmup:
            return self.rate * step / self.warmup
        progress = min(1.0, (step - self.warmup) / max(1, self.total - self.warmup))
        if self.kind == "constant":
            return self.rate
        if self.kind == "cosine":
            return self.rate_min + (self.rate - self.rate_min) * 0.5 * (1 + math.cos(math.pi * progress))
        if self.kind == "linear":
            return self.rate - (self.rate - self.rate_min) * progress
        if not self._second(step):
            return self.rate * (1 - progress)
        second = self.rate * 2 / 3 if self.second_rate is None else self.second_rate
        return max(self.rate_min, second * (1 - progress))

    def decay_at(self, step: int) -> float:
        """The weight decay of step 1, 2, ... ``total``."""
        return 0.0 if self.kind == "two_stage" and self._second(step) else self.decay

    def _second(self, step: int) -> bool:
        return 2 * step > self.total
