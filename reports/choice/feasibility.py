"""Feasibility: whether an option keeps hard limits. What does not is shown with the reason, never hidden."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from .recommendation import Rate

MEBIBYTE, MEGABYTE = 1 << 20, 10**6


class Sized(Protocol):
    """Bytes of an option. ``refused``: why its Plan cannot be compiled for the device, None where it can."""

    @property
    def download_bytes(self) -> int | None: ...
    @property
    def peak_bytes(self) -> int | None: ...
    @property
    def refused(self) -> str | None: ...


@dataclass(frozen=True, kw_only=True)
class Limits:
    """None: no limit. ``tps`` is of decoding, ``ttft_s`` of the mix's prompt, ``epoch_h`` of its training tokens."""

    ttft_s: float | None = None
    tps: float | None = None
    epoch_h: float | None = None
    memory_mib: float | None = None
    download_mb: float | None = None


NAMES = {"ttft": "ttft_s", "tps": "tps", "epoch": "epoch_h", "memory": "memory_mib", "download": "download_mb"}
PHASE_OF = {"ttft": "prefill", "tps": "decode", "epoch": "train"}
FORMS = "ttft=SECONDS, tps=TOKENS_A_SECOND, epoch=HOURS, memory=MIB, download=MB"


def parse_limits(texts: Sequence[str], mix: Mapping[str, float]) -> Limits:
    """Of "ttft=2" and so on; ValueError, in one line, for anything else, and for a limit that the mix cannot touch."""
    found: dict[str, float] = {}
    for text in texts:
        name, _, value = text.replace(":", "=").partition("=")
        try:
            number = float(value)
        except ValueError:
            number = 0.0
        if name not in NAMES or not 0 < number < float("inf"):
            raise ValueError(f"limit {text!r} is unknown; use {FORMS}, each a number above 0")
        if name in PHASE_OF and PHASE_OF[name] not in mix:
            raise ValueError(
                f"limit {text!r} needs {PHASE_OF[name]} tokens in the workload; add {PHASE_OF[name]}:TOKENS"
            )
        found[NAMES[name]] = number
    return Limits(**found)


def broken(sizes: Sized | None, rates: Mapping[str, Rate], mix: Mapping[str, float], limits: Limits) -> str | None:
    """The first limit that an option does not keep; None where it keeps all. A rate is held to its middle."""
    if sizes and sizes.refused:
        return sizes.refused
    checks = [*_bytes(sizes, limits), *_times(rates, mix, limits)]
    return next((said for holds, said in checks if not holds), None)


def _bytes(sizes: Sized | None, limits: Limits) -> list[tuple[bool, str]]:
    found = []
    if sizes and sizes.peak_bytes and limits.memory_mib:
        need = sizes.peak_bytes / MEBIBYTE
        found.append((need <= limits.memory_mib, f"needs {need:,.0f} MiB, the limit is {limits.memory_mib:,.0f} MiB"))
    if sizes and sizes.download_bytes and limits.download_mb:
        need = sizes.download_bytes / MEGABYTE
        said = f"downloads {need:,.0f} MB, the limit is {limits.download_mb:,.0f} MB"
        found.append((need <= limits.download_mb, said))
    return found


def _times(rates: Mapping[str, Rate], mix: Mapping[str, float], limits: Limits) -> list[tuple[bool, str]]:
    found = []
    if limits.ttft_s and "prefill" in rates:
        need = mix["prefill"] / rates["prefill"].tps
        found.append((need <= limits.ttft_s, f"first token after {need:.3g} s, the limit is {limits.ttft_s:g} s"))
    if limits.tps and "decode" in rates:
        rate = rates["decode"].tps
        found.append((rate >= limits.tps, f"decodes {rate:.3g} tok/s, the limit is {limits.tps:g} tok/s"))
    if limits.epoch_h and "train" in rates:
        need = mix["train"] / rates["train"].tps / 3600
        found.append((need <= limits.epoch_h, f"an epoch takes {need:.3g} h, the limit is {limits.epoch_h:g} h"))
    return found
