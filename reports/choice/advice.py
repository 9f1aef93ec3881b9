"""Advice: a question about a device, a model and a mix, and the recommendation that the evidence gives."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from tritmark.results.record import Record

from . import next_measurement, regret, switch_points
from .feasibility import Limits, Sized, broken
from .hardware import Place
from .knowledge import Evidence, Known
from .pairs import Pair, paired
from .reason import NAMES, sentence
from .recommendation import BASES, OPTIONS, PHASES, Option, Recommendation
from .sizes import sizes_of


@dataclass(frozen=True, kw_only=True)
class Question:
    """``weights``: ternary ones of the model. ``command_device``: what `tritmark run --device` calls the device."""

    place: Place
    device: str
    model: str
    weights: float
    mix: Mapping[str, float]
    limits: Limits = field(default_factory=Limits)
    sizes: Mapping[str, Sized] = field(default_factory=dict)  # by option; empty where nobody counted
    command_device: str = "host"


def recommend(evidence: Evidence, asked: Question) -> Recommendation:
    """The options for a question, the one to ship, and what would change that."""
    if not asked.mix:
        return _indifferent(asked)
    known = [
        evidence.known(asked.place, asked.model, asked.weights, phase, tokens) for phase, tokens in asked.mix.items()
    ]
    draws = regret.draw(known, asked.mix)
    options = _options(known, draws, asked)
    regrets = {option.name: option.regret for option in options if option.regret is not None}
    downloads = {option.name: option.download_bytes for option in options}
    tie, memory_bound = regret.is_tie(draws), regret.is_memory_bound(known, asked.mix)
    chosen = regret.choose(regrets, tie, memory_bound, downloads)
    basis = max((each.basis for each in known), key=BASES.index)
    worth = next_measurement.best(draws, list(regrets), _candidates(evidence, asked))
    ladder = evidence.sizes(asked.place, list(asked.mix), switch_points.ladder())
    return Recommendation(
        device=asked.device, model=asked.model, mix=dict(asked.mix), options=options, chosen=chosen, tie=tie,
        basis=basis, sentence=sentence(options, chosen, draws, known, asked.mix, basis, memory_bound),
        switch_points=tuple(switch_points.sentences(ladder, known, asked.mix, asked.sizes)),
        record_ids=tuple(dict.fromkeys(name for each in known for name in each.record_ids)),
        next_measurement=worth[0].command if worth else None,
    )  # fmt: skip


def _indifferent(asked: Question) -> Recommendation:
    """Of a use that neither format takes part in: pretraining learns weights of full precision."""
    reasons = {name: broken(asked.sizes.get(name), {}, asked.mix, asked.limits) for name in OPTIONS}
    options = tuple(
        Option(
            name=name, feasible=reason is None, reason=reason, rates={}, regret=None if reason else 0.0,
            download_bytes=sizes.download_bytes if (sizes := asked.sizes.get(name)) else None,
        )
        for name, reason in reasons.items()
    )  # fmt: skip
    chosen = next((option.name for option in options if option.feasible), None)
    said = "pretraining learns weights of full precision, which neither format takes part in; its result is smallest so"
    whys = "; ".join(f"{option.name} {option.reason}" for option in options)
    return Recommendation(
        device=asked.device, model=asked.model, mix={}, options=options, chosen=chosen, tie=True, basis="predicted",
        sentence=f"Ship {NAMES[chosen]}: {said}." if chosen else f"Nothing is feasible: {whys}.",
    )  # fmt: skip


def recommend_measured(records: Iterable[Record]) -> list[Recommendation]:
    """One for each machine and model with a measured pair of formats, for the mix of what was measured: the tokens of
    one sample of each phase. Bytes are those of the records; a machine's own measurements are all its evidence.
    """
    machines: dict[tuple[str, ...], list[Pair]] = {}
    for pair in paired(records):
        if pair.grade == "measured":
            machines.setdefault(pair.place.levels[-1], []).append(pair)
    found = []
    for own in machines.values():
        evidence = Evidence(own)
        for model in dict.fromkeys(pair.model for pair in own):
            found.append(recommend(evidence, _as_measured([pair for pair in own if pair.model == model])))
    return found


def _as_measured(own: Sequence[Pair]) -> Question:
    """What the pairs of one machine and model answer: of several workloads of a phase the longest counts."""
    pair = own[0]
    longest = {each.phase: each for each in sorted(own, key=lambda each: each.tokens)}
    return Question(
        place=pair.place, device=pair.machine, model=pair.model, weights=pair.weights or switch_points.SMALLEST,
        mix={phase: longest[phase].tokens for phase in PHASES if phase in longest},
        sizes=sizes_of([record for each in longest.values() for record in each.records]),
        command_device=pair.records[0].device,
    )  # fmt: skip


def _options(known: Sequence[Known], draws: regret.Draws, asked: Question) -> tuple[Option, ...]:
    rates = {name: {each.phase: each.rate(regret.RESIDENT[name]) for each in known} for name in OPTIONS}
    reasons = {name: broken(asked.sizes.get(name), rates[name], asked.mix, asked.limits) for name in OPTIONS}
    feasible = [name for name in OPTIONS if reasons[name] is None]
    regrets = {name: float(np.mean(share)) for name, share in regret.lost(draws, feasible).items()} if feasible else {}
    chances = regret.chances(draws, feasible) if feasible else {}
    found = []
    for name in OPTIONS:
        sizes = asked.sizes.get(name)
        found.append(
            Option(
                name=name, feasible=name in feasible, reason=reasons[name], rates=rates[name],
                download_bytes=sizes.download_bytes if sizes else None, peak_bytes=sizes.peak_bytes if sizes else None,
                seconds=sum(asked.mix[phase] / rate.tps for phase, rate in rates[name].items()),
                regret=regrets.get(name), p_best=chances.get(name, 0.0),
            )
        )  # fmt: skip
    return tuple(found)


def _candidates(evidence: Evidence, asked: Question) -> list[next_measurement.Candidate]:
    probed = bool(evidence.own(asked.place)) and asked.place.engine != "published"
    return next_measurement.candidates(list(asked.mix), asked.command_device, asked.model, probed)
