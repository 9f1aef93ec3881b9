"""What a case runs: inference (``prefill:512``, ``decode:128@512``) or fine-tuning (``lora:r8,c128``)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tritmark.engine.errors import PlanError
from tritmark.engine.inference import Workload
from tritmark.engine.lora_workload import LoraWorkload

_NEXT = re.compile(r",(?=\s*[a-z]+:)")  # the comma before a workload; those within one stay


def parse_workload(text: str) -> Workload | LoraWorkload:
    """The workload ``text`` names; PlanError, naming all kinds, for anything else."""
    try:
        return LoraWorkload.parse(text) if text.startswith("lora:") else Workload.parse(text)
    except PlanError as error:
        raise PlanError(f"{error}" if text.startswith("lora:") else f"{error}, or lora:r8,c128") from None


def listed_workloads(texts: Sequence[str] | None) -> list[str]:
    """Workloads of an option that may be repeated and may hold several with commas between them."""
    return [part.strip() for text in texts or [] for part in _NEXT.split(text) if part.strip()]
