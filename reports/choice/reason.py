"""The reason of a recommendation, in one paragraph."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from .knowledge import Known
from .recommendation import Option
from .regret import TIE, Draws

NAMES = {"tq1_0": "TQ1_0", "tq2_0": "TQ2_0", "tq1_0>tq2_0": "TQ1_0 and repack it to TQ2_0 at load"}
LITTLE = 0.1  # of the mix's time, in which even a guess does no harm
SURE = 0.8  # below this chance of being the fastest, a predicted choice asks for a probe


def sentence(
    options: Sequence[Option], chosen: str | None, draws: Draws, known: Sequence[Known], mix: Mapping[str, float],
    basis: str, memory_bound: bool,
) -> str:  # fmt: skip
    """What to ship and why, what was refused, and how far to trust it."""
    if chosen is None:
        whys = dict.fromkeys(f"{'TQ1_0' if o.name == 'tq1_0' else 'TQ2_0'} {o.reason}" for o in options)
        return f"Nothing is feasible: {'; '.join(whys)}."
    option = next(each for each in options if each.name == chosen)
    parts = [f"Ship {NAMES[chosen]}: {_why(draws, memory_bound)}", *_saved(options, chosen), *_refused(options)]
    return "; ".join(parts) + "." + _doubt(option, known, mix, basis)


def _why(draws: Draws, memory_bound: bool) -> str:
    """How the formats compare."""
    low, middle, high = (float(value) for value in np.quantile(1 - draws.gain, (0.1, 0.5, 0.9)))
    said = f"TQ2_0 takes {_share(middle)} time than TQ1_0 (80 % interval: {_share(low)} to {_share(high)})"
    if abs(1 - middle) > TIE:
        return said
    kind = "memory-bound, where fewer bytes are the safer choice" if memory_bound else "not memory-bound"
    return f"{said}, which is a tie within 3 %, and the work is {kind}"


def _share(ratio: float) -> str:
    """A ratio of times, from TQ1_0's."""
    return f"{abs(1 - ratio):.1%} {'less' if ratio < 1 else 'more'}"


def _saved(options: Sequence[Option], chosen: str) -> list[str]:
    sizes = {option.name: option.download_bytes for option in options}
    one, two = sizes["tq1_0"], sizes["tq2_0"]
    if chosen == "tq2_0" or not one or not two:
        return []
    said = f"TQ1_0 downloads {1 - one / two:.0%} less"
    return [f"{said}, and repacking passes once over {(one + two) / 1e6:,.0f} MB" if chosen == "tq1_0>tq2_0" else said]


def _refused(options: Sequence[Option]) -> list[str]:
    return [f"{option.name} is not feasible: {option.reason}" for option in options if not option.feasible]


def _doubt(option: Option, known: Sequence[Known], mix: Mapping[str, float], basis: str) -> str:
    """What a prediction owes its reader, and what a single process does."""
    if basis == "measured":
        one = ", ".join(each.phase for each in known if each.spread_of != "sessions")
        said = f" For {one} the interval is over the repetitions of one process; run --sessions 3 for more."
        return said if one else ""
    seconds = {each.phase: mix[each.phase] * math.exp(-each.middle) for each in known}
    foreign = [
        each.phase for each in known if not each.supported and seconds[each.phase] > LITTLE * sum(seconds.values())
    ]
    if foreign:
        return (
            f" Probe needed: nothing that counts is of a device like this ({', '.join(foreign)}); it is nearly a guess."
        )
    if (option.p_best or 0.0) < SURE:
        return " Probe needed: this is predicted, and the other format may well be faster."
    if any(each.printed for each in known):
        return " Behind it are printed figures of this device, no measurement."
    return f" Predicted from {'its own other measurements' if basis == 'probe' else 'other devices'}."
