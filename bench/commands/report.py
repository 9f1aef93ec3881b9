"""`tritmark report` and `tritmark view`: what to do first, the tables, the pictures and the evidence of results."""

from __future__ import annotations

import gc
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .output import AsJson, emit

if TYPE_CHECKING:
    from tritmark.reports.page.report import Report

SHIPPED = Path(__file__).resolve().parents[2] / "results" / "published" / "published.csv"
Results = Annotated[list[Path], typer.Argument(help="Results folders, or files that `tritmark import` reads.")]
Published = Annotated[Path | None, typer.Option(help="A table of published figures to lay beside; else what ships.")]


def report(
    results: Results,
    html: Annotated[Path | None, typer.Option(help="Write the page: one file that needs no network.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write the tables as Markdown.")] = None,
    pictures: Annotated[Path | None, typer.Option(help="Write every picture as PNG and SVG into this folder.")] = None,
    published: Published = None,
    as_json: AsJson = False,
) -> None:
    """What the records come to, as a page, Markdown or pictures.

    What to do first, the tables, the pictures, published figures, the evidence.

    Without --html, --markdown or --pictures it is printed."""
    with _uncollected():
        found = _report(results, published)
        written = _written(found, html, markdown, pictures)
    for note in found.notes:
        print(note, file=sys.stderr)
    if as_json:
        for each in found.recommendations:
            emit(each.to_json())
        emit({"records": len(found.records), "published": len(found.published), "written": list(map(str, written))})
    elif written:
        print("\n".join(f"{path}  {path.stat().st_size / 1e3:,.0f} kB" for path in written))
    else:
        _print(found)


def view(
    results: Results,
    port: Annotated[int, typer.Option(help="The port to listen on; 0 for any free one.", min=0, max=65535)] = 0,
    published: Published = None,
    as_json: AsJson = False,
) -> None:
    """Serve the report's page here, made anew when records change.

    Ctrl-C ends it."""
    try:
        _serve(results, port, published, as_json)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second one has nothing left to end
        print("ended", file=sys.stderr)


def _serve(results: list[Path], port: int, published: Path | None, as_json: bool) -> None:
    """Until KeyboardInterrupt, which may come at any time."""
    from tritmark.bench.case import CaseError
    from tritmark.bench.viewing import Viewing, open_server
    from tritmark.reports.page.page import html

    def make() -> str:
        with _uncollected():
            return html(_report(results, published))

    viewing = Viewing(make, [*results, *([published] if published else [])])
    viewing.page()  # what is wrong with the records is said here, not in a browser
    try:
        server = open_server(viewing, port)
    except OSError as error:
        raise CaseError(f"port {port} cannot be listened on ({error.strerror}); choose another --port") from error
    with server:
        url = f"http://127.0.0.1:{server.server_port}/"
        if as_json:
            emit({"url": url})
        else:
            print(f"{url}   (Ctrl-C ends it)", flush=True)
        server.serve_forever()


@contextmanager
def _uncollected() -> Iterator[None]:
    """Records are many and none is garbage: looking through them again and again takes a quarter of the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _report(results: list[Path], published: Path | None) -> Report:
    from tritmark.reports.audit.graded import published_records
    from tritmark.reports.page.report import report
    from tritmark.results.exchange.joining import joined

    found = joined(results)
    table = published or (SHIPPED if SHIPPED.is_file() else None)
    return report(found.records, published_records(table) if table else [], found.notes)


def _written(found: Report, html: Path | None, markdown: Path | None, pictures: Path | None) -> list[Path]:
    """The files that were asked for."""
    if html:
        from tritmark.reports.page.page import html as page

        _write(html, page(found))
    if markdown:
        from tritmark.reports.page.written import markdown as tables

        _write(markdown, tables(found))
    drawn: list[Path] = []
    if pictures:
        from tritmark.reports.pictures.drawn import SUFFIXES, save

        every = [*found.records, *found.published]
        drawn = [path for suffix in SUFFIXES for path in save(every, pictures, suffix)]
    return [*(path for path in (html, markdown) if path), *drawn]


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


def _print(found: Report) -> None:
    from rich.console import Console

    from tritmark.reports.page.written import rendered

    console = Console()
    console.print(rendered(found, console.width))
