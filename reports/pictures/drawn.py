"""Drawn: the pictures by name, and how they become SVG for a page and files for elsewhere."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from tritmark.results.record import Record, RecordError

from . import context, curve, epoch, losses, memory, pareto, roofline, speed, style, telemetry

PNG_DPI = 150
SUFFIXES = ("png", "svg")
_WITHOUT = dict.fromkeys(("Date", "Creator", "Format", "Type"))
_TAG = re.compile(r"<[^>]*>")
_DECIMALS = re.compile(r"(\.\d\d)\d+")
_NEEDLESS = re.compile(
    r"<defs>\s*<style.*?</defs>|(?<=>)\s+(?=<)| transform=\"rotate\(-0 [^\"]*\"|font-family: [^;]*; ", re.DOTALL
)
_ID = re.compile(r' id="([^"]*)"')
_REFERENCE = re.compile(r"#([\w-]+)")


@dataclass(frozen=True, kw_only=True)
class Picture:
    """``caption``: one sentence on what to look for. ``draw``: None where the records do not hold what it shows."""

    name: str
    title: str
    caption: str
    draw: Callable[[Sequence[Record]], Figure | None]


PICTURES = (
    Picture(
        name="speed", title="Speed", draw=speed.speed,
        caption="Further right is faster; bars (median ± MAD) that overlap show no difference; hollow markers are "
        "published figures.",
    ),
    Picture(
        name="curve", title="Decode curve", draw=curve.curve,
        caption="A line that falls to the right slows down; thin lines are repetitions, crosses mark throttling.",
    ),
    Picture(
        name="context", title="Speed over context", draw=context.context,
        caption="How much speed a longer prompt costs, and whether one format loses more of it than another.",
    ),
    Picture(
        name="memory", title="Memory by part", draw=memory.memory,
        caption="How much of the memory the choice of format can change: only the ternary weights differ.",
    ),
    Picture(
        name="pareto", title="Speed against memory", draw=pareto.pareto,
        caption="Up and to the left is better; whatever lies on a line is beaten by nothing in both at once.",
    ),
    Picture(
        name="epoch", title="Time of an epoch", draw=epoch.epoch,
        caption="Shorter is better; hatched bars with ~ are extrapolated from fewer steps than an epoch has.",
    ),
    Picture(
        name="losses", title="Loss of fine-tuning", draw=losses.losses,
        caption="On exact devices every format gives the same losses, so that a second line is an error.",
    ),
    Picture(
        name="roofline", title="Roofline", draw=roofline.roofline,
        caption="Kernels on the line wait for memory; those far below it compute, or are too short to fill the device.",
    ),
    Picture(
        name="telemetry", title="Under the run", draw=telemetry.telemetry,
        caption="Whether clocks fall as temperatures rise; red is where the phone said that it holds itself back.",
    ),
)  # fmt: skip


def svg(figure: Figure) -> str:
    """An ``<svg>`` element to stand in a page: it takes the page's width and the colour of its text, says nothing of
    when it was made, and is equal for equal figures.
    """
    written = io.StringIO()
    with style.style():
        figure.savefig(written, format="svg", transparent=True, metadata=_WITHOUT)
    _, _, text = written.getvalue().partition("<svg ")
    head, _, body = _NEEDLESS.sub("", text).partition(">")
    box = re.search(r'viewBox="[^"]*"', head)
    assert box, "Matplotlib writes a viewBox"
    root = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" {box[0]} role="img"'
        ' font-family="sans-serif" stroke-linejoin="round">'
    )
    return root + _own_ids(_TAG.sub(_shorter, body)).replace(style.INK, "currentColor").strip()


def _shorter(tag: re.Match[str]) -> str:
    """Coordinates of two decimals on one line; texts between tags are left alone."""
    return _DECIMALS.sub(r"\1", tag[0].replace(" \n", " ").replace("\n", " "))


def _own_ids(text: str) -> str:
    """Ids that nothing refers to are left out. The others are numbered, and begin with a digest of the picture: a page
    holds several, and an id may hold in one only.
    """
    known = set(_ID.findall(text))
    referred = dict.fromkeys(id for tag in _TAG.findall(text) for id in _REFERENCE.findall(tag) if id in known)
    numbers = {id: str(number) for number, id in enumerate(referred)}
    return _renamed(text, numbers, "p" + hashlib.sha256(_renamed(text, numbers, "").encode()).hexdigest()[:6] + "-")


def _renamed(text: str, numbers: Mapping[str, str], prefix: str) -> str:
    text = _ID.sub(lambda found: f' id="{prefix}{numbers[found[1]]}"' if found[1] in numbers else "", text)
    return _REFERENCE.sub(lambda found: f"#{prefix}{numbers[found[1]]}" if found[1] in numbers else found[0], text)


def save(records: Sequence[Record], folder: Path, suffix: str) -> list[Path]:
    """Write every picture that ``records`` hold as ``folder/NAME.suffix``, "png" or "svg", dark on white.

    RecordError where a file cannot be written.
    """
    if suffix not in SUFFIXES:
        raise RecordError(f"pictures cannot be written as {suffix!r}; choose {' or '.join(SUFFIXES)}")
    drawn = {picture.name: figure for picture in PICTURES if (figure := picture.draw(records)) is not None}
    paths = {name: folder / f"{name}.{suffix}" for name in drawn}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, figure in drawn.items():
            paths[name].write_bytes(_file(figure, suffix))
    except OSError as error:
        raise RecordError(f"cannot write pictures to {folder}: {error.strerror}") from None
    return list(paths.values())


def _file(figure: Figure, suffix: str) -> bytes:
    if suffix == "svg":
        ground = f'<svg style="color: {style.INK}; background: white" '
        return svg(figure).replace("<svg ", ground, 1).encode()
    written = io.BytesIO()
    with style.style():
        figure.savefig(written, format="png", dpi=PNG_DPI, facecolor="white", metadata={"Software": None})
    return written.getvalue()
