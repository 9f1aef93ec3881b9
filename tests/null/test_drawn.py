"""All pictures together: as SVG for a page, as files, and of many records."""

from __future__ import annotations

import re
import time
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import matplotlib
import pytest
from matplotlib.text import Text
from picture_records import H200, HOST, drawing, made, one, profiled, watched

from tritmark.reports.pictures import drawn, losses, speed
from tritmark.results.record import RecordError

HOSTILE = 'Phone <script>alert(1)</script> & $x_1$ "q"'


def test_pictures_have_unique_names_and_captions_of_one_sentence() -> None:
    assert len({picture.name for picture in drawn.PICTURES}) == len(drawn.PICTURES) == 9
    assert all(re.fullmatch(r"[^.]+\.", picture.caption) for picture in drawn.PICTURES)


@pytest.mark.parametrize("picture", drawn.PICTURES, ids=lambda picture: picture.name)
def test_nothing_is_drawn_from_records_that_hold_nothing(picture: drawn.Picture) -> None:
    empty = made(
        HOST[0], samples_ns=(), ttft_ns=(), token_ns=(), ledger=None, ledger_peak_bytes=None, process_memory=(),
        telemetry=None, training=None, kernels=(),
    )  # fmt: skip
    assert picture.draw([]) is None and picture.draw([empty]) is None
    assert picture.draw([replace(record, status="failed") for record in H200]) is None


RICH = [
    *(record for record in HOST if record.model == "synthetic:1B"), profiled("tq1_0"), watched(),
    made(one("1B", "tq1_0", "prefill:512"), workload="prefill:64", prompt_tokens=64),
]  # fmt: skip
NAMED = [replace(record, adapter=HOSTILE, model="<script>1B") for record in RICH]


@pytest.fixture(scope="module")
def svgs() -> dict[str, str]:
    """By name, of records whose names are hostile."""
    return {picture.name: drawn.svg(drawing(picture.draw, NAMED)) for picture in drawn.PICTURES}


@pytest.mark.parametrize("picture", drawn.PICTURES, ids=lambda picture: picture.name)
def test_svg_is_the_same_every_time(picture: drawn.Picture, svgs: dict[str, str]) -> None:
    figure = drawing(picture.draw, NAMED)
    assert drawn.svg(figure) == svgs[picture.name] == drawn.svg(figure)


def test_svg_scales_with_its_page_and_takes_its_ink_from_it(svgs: dict[str, str]) -> None:
    for text in svgs.values():
        root = ElementTree.fromstring(text)
        assert "viewBox" in root.attrib and not {"width", "height"} & set(root.attrib)
        assert root.attrib["font-family"] == "sans-serif" and "<style" not in text
        assert "currentColor" in text and len(text) < 100_000


def test_ids_are_those_that_are_used_and_a_pictures_own(svgs: dict[str, str]) -> None:
    seen: set[str] = set()
    for text in svgs.values():
        ids = re.findall(r' id="([^"]*)"', text)
        assert set(re.findall(r'(?:url\(|href=")#([\w-]+)', text)) == set(ids) and len(ids) == len(set(ids))
        assert ids and not seen & set(ids)
        seen |= set(ids)


def test_names_are_escaped_and_no_formulas(svgs: dict[str, str]) -> None:
    for name, text in svgs.items():
        said = "".join(ElementTree.fromstring(text).itertext())
        assert "<script" not in text and "<script>" in said, name
    wide = replace(one("1B", "tq1_0", "decode:128"), adapter="$x_1$ & </text>")
    assert "$x_1$ & </text>" in "".join(ElementTree.fromstring(drawn.svg(drawing(speed.speed, [wide]))).itertext())


def test_version_numbers_in_names_keep_all_their_digits() -> None:
    record = made(one("1B", "tq1_0", "decode:128"), adapter="driver 580.159041")
    assert "driver 580.159041" in drawn.svg(drawing(speed.speed, [record]))


def test_matplotlib_is_left_as_it_was() -> None:
    before = dict(matplotlib.rcParams)
    drawing(losses.losses, HOST)
    assert dict(matplotlib.rcParams) == before


def test_saved_files_hold_every_picture_there_is(tmp_path: Path) -> None:
    lora = [replace(record, process_memory=(), kernels=()) for record in HOST if record.training]
    paths = drawn.save(lora, tmp_path / "new", "svg")
    assert [path.name for path in paths] == ["memory.svg", "epoch.svg", "losses.svg"]
    assert all("background: white" in path.read_text() for path in paths)
    [png] = [path for path in drawn.save(lora, tmp_path, "png") if path.name == "losses.png"]
    assert png.read_bytes().startswith(b"\x89PNG")


def test_saving_says_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="png or svg"):
        drawn.save(HOST, tmp_path, "gif")
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordError, match="cannot write pictures"):
        drawn.save([], tmp_path / "file", "svg")


def test_ten_thousand_records_are_drawn_in_time_and_say_what_is_left_out() -> None:
    many = [replace(RICH[n % len(RICH)], id=f"made {n}", adapter=f"made {n // len(RICH) % 80}") for n in range(10_000)]
    start_s = time.process_time()
    figures = [drawing(picture.draw, many) for picture in drawn.PICTURES]
    for figure in figures:
        drawn.svg(figure)
    assert time.process_time() - start_s < 24  # 5 to 8 on two slow cores
    notes = [text.get_text().replace("\n", " ") for text in figures[0].findobj(Text)]
    assert any("of 80 machines shown" in note for note in notes)
    assert all(figure.get_figheight() < 30 for figure in figures)


def test_odd_names_and_empty_readings_are_drawn_without_a_warning(recwarn: pytest.WarningsRecorder) -> None:
    odd = made(one("1B", "tq1_0", "decode:128"), adapter="小米\x00\n14", format="\x1bq9", token_ns=((0,) * 9,) * 3)
    silent = {"samples": [[0, {"charging": True}], [1, {}]], "methods": {}}
    records = [odd, watched(process_memory=(), telemetry=silent)]
    figures = [figure for picture in drawn.PICTURES if (figure := picture.draw(records))]
    said = " ".join("".join(ElementTree.fromstring(drawn.svg(figure)).itertext()) for figure in figures)
    assert "小米 14" in said and "Q9" in said and not list(recwarn)
