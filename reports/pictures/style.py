"""Style: what all pictures have in common: width and type, a colour and a marker for each format, scales and numbers.

Pictures have no background: text and axes are INK, which stands for the colour of the page's own text (`drawn.svg`),
and the formats have those colours of Okabe and Ito that hold on white and on black, with a lighter blue.
"""

from __future__ import annotations

import textwrap
import threading
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator

WIDTH_INCHES = 6.4  # with 11 points of type: 9.5 pixels on a phone that is 400 wide
SMALL = 10.0
INK = "#4e4d4c"
FAINT = "#808080"
ALARM = "#cc3311"
COLOURS = {
    "tq1_0": "#1a80c8", "tq2_0": "#d55e00", "tq1_0>tq2_0": "#009e73",
    "q4_0": "#cc79a7", "q8_0": "#e69f00", "f16": "#56b4e9",
}  # fmt: skip
MARKERS = {"tq1_0": "o", "tq2_0": "s", "tq1_0>tq2_0": "D", "q4_0": "^", "q8_0": "v", "f16": "P"}
FAR_APART = 100  # times, from which on a scale is logarithmic
STYLE: Any = {  # Matplotlib types the names of all its settings
    "font.family": "sans-serif", "font.sans-serif": ["DejaVu Sans"], "font.size": 11.0,
    "text.parse_math": False, "text.color": INK, "axes.edgecolor": INK, "axes.labelcolor": INK,
    "xtick.color": INK, "ytick.color": INK, "hatch.color": INK, "hatch.linewidth": 0.6, "patch.edgecolor": INK,
    "axes.titlesize": 11.0, "axes.titlelocation": "left", "axes.labelsize": SMALL, "legend.fontsize": SMALL,
    "xtick.labelsize": SMALL, "ytick.labelsize": SMALL, "legend.frameon": False,
    "axes.spines.top": False, "axes.spines.right": False, "axes.facecolor": "none", "figure.facecolor": "none",
    "axes.grid": True, "axes.axisbelow": True, "grid.color": FAINT, "grid.alpha": 0.3, "grid.linewidth": 0.5,
    "svg.fonttype": "none", "svg.hashsalt": "tritmark",
}  # fmt: skip
_drawing = threading.RLock()  # Matplotlib reads its settings from one place for all threads


@contextmanager
def style() -> Iterator[None]:
    """Matplotlib's settings while a picture is drawn or written; also a decorator. They are put back afterwards."""
    with _drawing, matplotlib.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # names in other scripts: a page has fonts for them
        yield


def panels(heights: Sequence[float], columns: int = 1, *, share_x: bool = False) -> tuple[Figure, list[list[Axes]]]:
    """A figure and its axes, [row][column]. ``heights``: inches of each row."""
    figure = Figure(figsize=(WIDTH_INCHES, sum(heights) + 0.8), layout="constrained")
    axes = figure.subplots(len(heights), columns, squeeze=False, sharex=share_x, height_ratios=heights)
    return figure, [list(row) for row in axes]


def colour(format: str) -> str:
    return COLOURS.get(format, FAINT)


def marker(format: str) -> str:
    return MARKERS.get(format, "X")


def ordered(formats: Iterable[str]) -> list[str]:
    """Known formats in one order everywhere, others after them."""
    known = list(COLOURS)
    return sorted(set(formats), key=lambda format: (known.index(format) if format in known else len(known), format))


def number(value: float) -> str:
    """At least three significant digits, thousands separated, never an exponent."""
    return f"{value:,.{0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2}f}"


def thousands() -> FuncFormatter:
    """The labels of ticks."""
    return FuncFormatter(lambda value, _: f"{value:,.10g}")


def scale(axes: Axes, which: str, values: Sequence[float]) -> None:
    """Scale the axis ``which`` ("x" or "y"): from 0, or logarithmic where ``values`` are far apart."""
    if 0 < FAR_APART * min(values) <= max(values):
        logarithmic(axes, which, values)
    else:
        axes.set(**{f"{which}lim": (0, 1.12 * max(values) or 1.0)})
        _axis(axes, which).set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
        _axis(axes, which).set_major_formatter(thousands())


def logarithmic(axes: Axes, which: str, values: Sequence[float]) -> None:
    """A logarithmic axis around positive ``values``, with ticks at 1, 2 and 5 where few decades are shown."""
    least, most = min(values), max(values)
    axes.set(**{f"{which}scale": "log", f"{which}lim": (least / 1.4, most * 1.4)})
    _axis(axes, which).set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if most / least < 30 else (1.0,)))
    _axis(axes, which).set_minor_locator(NullLocator())
    _axis(axes, which).set_major_formatter(thousands())


def ticks_at(axes: Axes, which: str, values: Sequence[float]) -> None:
    _axis(axes, which).set_major_locator(FixedLocator(values))


def _axis(axes: Axes, which: str) -> Axis:
    return axes.xaxis if which == "x" else axes.yaxis


def swatches(formats: Iterable[str]) -> list[Line2D]:
    """Entries of a legend, one a format."""
    return [
        Line2D([], [], color=colour(format), marker=marker(format), linestyle="none", label=title(format))
        for format in ordered(formats)
    ]


def legend(figure: Figure, entries: Sequence[object], columns: int = 3) -> None:
    """Above all panels."""
    figure.legend(handles=list(entries), loc="outside upper left", ncols=columns, columnspacing=1.2, handletextpad=0.4)


def finished(figure: Figure, *notes: str) -> Figure:
    """``figure`` with ``notes`` beneath it, on what is not shown or how, and everything put in its place."""
    told = " ".join(note for note in notes if note)
    if told:
        figure.supxlabel(textwrap.fill(told, 80), x=0.01, horizontalalignment="left", fontsize=SMALL)
    engine = figure.get_layout_engine()
    if engine is not None:  # once, not again for every file
        engine.execute(figure)
        figure.set_layout_engine(None)
    return figure


def short(text: str, most: int = 62) -> str:
    """A name on one line, without characters that no file of XML may hold."""
    plain = " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
    return plain if len(plain) <= most else plain[: most - 1] + "…"


def title(format: str) -> str:
    """A format as pictures write it."""
    return short(format.upper(), 16)
