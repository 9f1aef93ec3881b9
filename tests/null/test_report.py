"""The report: the page's parts and what it allows itself, Markdown, the terminal, and records that are not as hoped."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from command_runs import last, tritmark
from session_records import failed, made, written

from tritmark.reports import tables
from tritmark.reports.audit.graded import published_records
from tritmark.reports.page import choices
from tritmark.reports.page.beside import beside
from tritmark.reports.page.drawings import dressed
from tritmark.reports.page.island import island
from tritmark.reports.page.page import html
from tritmark.reports.page.report import Report, comparable, report
from tritmark.reports.page.written import markdown
from tritmark.results.record import Record
from tritmark.results.store import read

RESULTS = Path(__file__).resolve().parents[2] / "results"
H200 = read(RESULTS / "measured" / "nvidia-h200")
PUBLISHED = published_records(RESULTS / "published" / "published.csv")
EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\u2028`|&amp;"
TEXTS = ("model", "format", "workload", "device", "adapter", "driver", "runner", "player", "os", "digest", "reason")


def pair(**fields: object) -> list[Record]:
    return [
        made(minute=minute, session=1 + minute, slowdown=1 + minute / 100, format=format, **fields)
        for minute in range(3)
        for format in ("tq1_0", "tq2_0")
    ]


class Parts(HTMLParser):
    """Names of elements, their attributes, the text of scripts and styles, and all other text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.inside: list[tuple[str, str]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.cdata_elem:
            self.inside.append((self.cdata_elem, data))
        else:
            self.text += data


@pytest.fixture(scope="module")
def whole() -> Report:
    return report(H200, PUBLISHED)


@pytest.fixture(scope="module")
def page(whole: Report) -> str:
    return html(whole)


def data_of(page: str) -> dict[str, list[object]]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found
    told: dict[str, list[object]] = json.loads(found[1])
    return told


def test_what_to_do_comes_first_and_evidence_last(page: str) -> None:
    titles = re.findall(r"<h2[^>]*>([^<]*)</h2>", page)
    assert titles == ["What to do first", "Measured", "Pictures", "Published figures beside ours", "Evidence"]
    assert page.index("Ship TQ1_0 and repack it to TQ2_0 at load") < page.index('id="machines"')


def test_it_may_do_nothing_but_its_own_style_and_script(page: str) -> None:
    parts = Parts(page)
    (policy,) = [told["content"] for _, told in parts.elements if told.get("http-equiv")]
    assert policy and policy.startswith("default-src 'none'; ")
    for element, text in parts.inside:
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        if not text.startswith("{"):  # data: not run
            assert f"{element}-src 'sha256-{digest}'" in policy
    assert not [told for _, told in parts.elements if "style" in told or any(name.startswith("on") for name in told)]
    asked = [told.get(name) or "" for _, told in parts.elements for name in ("src", "href", "xlink:href")]
    assert {address[:5] for address in asked if address and not address.startswith("#")} == {"data:"}


def test_equal_reports_make_equal_pages() -> None:
    assert html(report(pair(), PUBLISHED)) == html(report(pair(), PUBLISHED))


def test_the_numbers_of_a_recommendation_lead_to_its_records(page: str) -> None:
    links = re.findall(r'<td><a href="#r-([^"]*)">([^<]*)</a></td>', page)
    known = {record.id for record in H200}
    assert len(links) > 100
    assert all(set(ids.split(",")) <= known for ids, _ in links)
    (decode,) = {tuple(ids.split(",")) for ids, text in links if text.startswith("1,595 (")}
    assert {(r.format, r.workload) for r in H200 if r.id in decode} == {("tq2_0", "decode:128")}


def test_the_page_holds_every_record_and_figure_once(whole: Report, page: str) -> None:
    rows = data_of(page)["records"]
    assert sorted(row[0] for row in rows) == sorted(r.id for r in [*H200, *whole.published])  # type: ignore[index]


def test_nothing_of_a_record_becomes_markup() -> None:
    evil = dict.fromkeys(TEXTS, EVIL)
    shown = [
        replace(record, **{**evil, "format": record.format, "workload": f"decode:9{EVIL}", "id": record.id + EVIL})
        for record in pair()
    ]
    broken = replace(failed(minute=9), **evil)
    text = html(report([*shown, broken], [], [EVIL]))
    parts = Parts(text)
    assert [name for name, _ in parts.elements].count("script") == 3
    assert not [told for name, told in parts.elements if name == "img" or "onerror" in told]
    assert EVIL in parts.text  # as text, in the note and the recommendation
    assert EVIL in data_of(text)["texts"]
    assert "\u2028" not in "".join(text for name, text in parts.inside if name == "script")
    assert "<script" not in markdown(report([*shown, broken], [], [EVIL])).partition("## Measured")[0]


def test_texts_in_pictures_keep_what_looks_like_a_style() -> None:
    classes: dict[str, str] = {}
    drawn = dressed(
        '<g style="fill: none"><text style="fill: red">x style="y"</text></g><g style="fill: none"/>', classes
    )
    assert drawn == '<g class="d0"><text class="d1">x style="y"</text></g><g class="d0"/>'
    assert classes == {"fill: none": "d0", "fill: red": "d1"}


def test_rows_that_did_not_run_hold_no_number() -> None:
    rows = [failed(minute=1), made(minute=2, status="fallback", reason="the processor did it", device="host:other")]
    told = json.loads(island(rows))
    values = [dict(zip(told["recordFields"], row, strict=True))["values"] for row in told["records"]]
    assert values == [[], []]


def test_only_figures_of_what_was_measured_stand_beside() -> None:
    decode = [record for record in H200 if record.workload == "decode:128" and record.model == "synthetic:1B"]
    found = comparable(PUBLISHED, decode)
    assert {(record.model, record.workload) for record in found} == {("1B", "decode")}
    assert comparable(PUBLISHED, [failed(minute=1, model="synthetic:1B")]) == []


def test_published_figures_have_rows_of_their_own_with_their_grades(whole: Report) -> None:
    decode = next(found for found in beside(whole) if found.title == "decode, tok/s")
    rows = [row for row in decode.rows if row.size == "1B"]
    assert [row.ours for row in rows] == sorted((row.ours for row in rows), reverse=True)
    assert {entry.grade for row in rows if row.ours for entry in row.entries.values()} == {"measured"}
    assert "measured" not in {entry.grade for row in rows if not row.ours for entry in row.entries.values()}
    (struck,) = [row for row in rows if row.device == "rtx-4090 gpu"]
    assert struck.entries["tq2_0"].struck and "size order" in (struck.entries["tq2_0"].why or "")
    assert not struck.entries["tq1_0"].struck


def test_markdown_begins_with_what_to_do(whole: Report) -> None:
    text = markdown(whole)
    heads = [line for line in text.splitlines() if line.startswith("#")]
    assert heads == ["# Which ternary format to ship", "## What to do first", "## Measured",
                     "## Published figures beside ours"]  # fmt: skip
    assert tables.markdown(H200) in text
    assert "~~43.8~~ suspect" in text


def test_many_devices_are_cut_to_those_measured_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choices, "MOST", 2)
    records = [record for number in range(4) for record in pair(adapter=f"made GPU {number}")]
    late = replace(records[0], id="late", adapter="made GPU 0", started_at="2026-03-02T00:00:00+00:00")
    found, left_out = choices.recommended([*records, late])
    assert len({each.device for each in found}) == 2 and "made GPU 0" in {each.device for each in found}
    assert left_out.startswith("Of 4 machines and models the 2 measured last")


def test_a_single_record_makes_a_page_without_a_recommendation() -> None:
    text = html(report(H200[:1], []))
    assert "nothing can be recommended" in text and "1 record, 1 device, 1 model" in text


def test_only_failed_records_make_a_page() -> None:
    text = html(report([failed(minute=1), failed(minute=2, format="tq2_0")], []))
    assert "out of memory" in text and "nothing can be recommended" in text and 'id="published"' not in text


def test_only_published_figures_make_a_page(tmp_path: Path) -> None:
    folder = written(tmp_path / "figures", *PUBLISHED)
    ended = tritmark("report", folder, "--html", tmp_path / "page.html", "--json")
    assert last(ended) == {"records": 0, "published": 398, "written": [str(tmp_path / "page.html")]}
    assert "beside" not in tritmark("report", folder).stderr


def test_an_empty_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "records.jsonl").touch()
    ended = tritmark("report", tmp_path, "--html", tmp_path / "page.html", status=1)
    assert ended.stderr.startswith("tritmark: no record in ") and ended.stderr.count("\n") == 1
    assert not (tmp_path / "page.html").exists()


def test_a_torn_line_and_a_wrong_clock_are_said_on_the_page(tmp_path: Path) -> None:
    late = replace(made(minute=1), started_at="2999-01-01T00:00:00+00:00")
    folder = written(tmp_path / "made", *pair(), late)
    with (folder / "records.jsonl").open("a") as file:
        file.write('{"schema": 4, "id": "half')
    ended = tritmark("report", folder, "--html", tmp_path / "page.html", "--markdown", tmp_path / "page.md")
    text = Parts((tmp_path / "page.html").read_text()).text
    for where in (text, ended.stderr, (tmp_path / "page.md").read_text()):
        assert "half-written" in where and "1 records are from the future" in where


def test_the_terminal_is_not_left_on_the_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    ended = tritmark("report", RESULTS / "measured" / "nvidia-h200")
    lines = ended.stdout.splitlines()
    assert lines[0] == "What to do first"
    assert max(map(len, lines)) <= 80
    assert "43.8 suspect" in ended.stdout


def test_a_published_table_with_wrong_columns_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "figures.csv").write_text("a,b\n1,2\n")
    folder = written(tmp_path / "made", *pair())
    ended = tritmark("report", folder, "--published", tmp_path / "figures.csv", status=1)
    assert ended.stderr.startswith("tritmark: ") and ended.stderr.count("\n") == 1


def test_pictures_become_files(tmp_path: Path) -> None:
    written(tmp_path / "made", *pair())
    ended = tritmark("report", tmp_path / "made", "--pictures", tmp_path / "drawn", "--json")
    assert str(tmp_path / "drawn" / "speed.png") in last(ended)["written"]
    assert (tmp_path / "drawn" / "speed.svg").read_text().startswith("<svg ")


def test_the_table_in_markdown_takes_no_name_for_markup() -> None:
    record = read(RESULTS / "measured" / "mesa-llvmpipe")[0]
    evil = replace(record, model="a|b", device="<script>alert(1)</script>", adapter="`x`")
    text = tables.markdown([evil])
    assert "<script" not in text and "&lt;script>" in text and "a\\|b on" in text and "\\`x\\`" in text
