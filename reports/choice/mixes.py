"""Mixes: how many tokens of each phase a use of the model takes, once."""

from __future__ import annotations

from collections.abc import Mapping

from .recommendation import PHASES

# A prompt of a few sentences and an answer; retrieved pages and a short answer; an epoch of the instructions that ship
# (epoch_tokens of `tritmark run --workload lora:r8,c128`).
NAMED: Mapping[str, Mapping[str, float]] = {
    "chat": {"prefill": 128, "decode": 256},
    "rag": {"prefill": 1536, "decode": 128},
    "finetune": {"train": 41_892},
    "pretrain": {},  # learns weights of full precision: no phase of either format
}
FORMS = f"{', '.join(NAMED)}, or tokens as in prefill:512,decode:128,train:0"


def parse_mix(text: str) -> dict[str, float]:
    """The tokens of each phase that ``text`` names; ValueError, in one line, for anything else."""
    if text in NAMED:
        return dict(NAMED[text])
    mix: dict[str, float] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        phase, _, tokens = part.partition(":")
        if phase not in PHASES or phase in mix or not tokens.isdecimal():
            raise ValueError(f"workload {text!r} is unknown at {part!r}; use {FORMS}")
        mix[phase] = float(tokens)
    mix = {phase: tokens for phase, tokens in mix.items() if tokens}
    if not mix:
        raise ValueError(f"workload {text!r} has no tokens; use {FORMS}")
    return mix


def shown(mix: Mapping[str, float]) -> str:
    return ", ".join(f"{phase} {tokens:,.0f}" for phase, tokens in mix.items())
