"""`tritmark serve`: a link to a page on which a person measures a browser's GPU, or lets it write."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .output import TIMEOUT_S, AsJson, Timeout, emit, listed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tritmark.bench.serving import Offer
    from tritmark.results.record import Record

MODELS = ("synthetic:tiny", "synthetic:125M", "synthetic:350M", "synthetic:1B")
FORMATS = ("tq1_0", "tq2_0", "tq1_0>tq2_0")
UNSHOWN = ("Runner", "Format", "Workload", "Status")  # columns that the page tells otherwise
WORKLOADS = ("decode:32", "decode:128", "prefill:64", "prefill:512")


def serve(
    model: Annotated[list[str] | None, typer.Option(help="Models to choose from: file.gguf or synthetic:125M.")] = None,
    format: Annotated[list[str] | None, typer.Option(help="Formats to choose from.")] = None,
    workload: Annotated[list[str] | None, typer.Option(help="Workloads to choose from.")] = None,
    prompt: Annotated[str, typer.Option(help="The text that the page proposes to continue.")] = "Once upon a time",
    tokens: Annotated[int, typer.Option(help="Continue a text by at most this many tokens.", min=1)] = 128,
    lan: Annotated[bool, typer.Option("--lan", help="Let phones in this network open the page, over HTTPS.")] = False,
    port: Annotated[int, typer.Option(help="The port to listen on; 0 for any free one.", min=0, max=65535)] = 0,
    out: Annotated[Path | None, typer.Option(help="Results folder; by default one in runs/ named by the time.")] = None,
    timeout_s: Timeout = TIMEOUT_S,
    as_json: AsJson = False,
) -> None:
    """Show the link of a page that measures its own browser.

    Whoever opens it chooses there what to measure, or a text to continue. Ctrl-C ends it."""
    from tritmark.bench.serving import CHOOSE_S, Serving
    from tritmark.bench.workload import listed_workloads
    from tritmark.devices.browser.byhand import LAN, ByHand
    from tritmark.results.store import Store

    workloads = listed_workloads(workload) or WORKLOADS
    offer = _offer(listed(model) or MODELS, listed(format) or FORMATS, workloads, prompt, tokens)
    folder = out or Path("runs", datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%SZ"))
    name = f"browser:{LAN}" if lan else "browser"
    page = ByHand(name, lan=lan, port=port, timeout_s=timeout_s, open_s=CHOOSE_S)
    kept = 0

    def each(record: Record) -> dict[str, Any]:
        nonlocal kept
        with Store(folder) as store:
            store.append(record)
        kept += 1
        if as_json:
            emit(record.to_json())
        elif record.reason:
            _tell(f"failed: {record.reason}")
        return shown(record)

    serving = Serving(page, offer, tell=_tell, each=each)
    try:
        while True:
            serving.turn()
    except KeyboardInterrupt:
        _tell(f"records: {folder}   (show them: tritmark show {folder})" if kept else "ended; nothing was measured")
        if as_json:
            emit({"folder": str(folder), "records": kept})
    finally:
        page.close()


def shown(record: Record) -> dict[str, Any]:
    """A record for the page: its speed, and the other numbers by name."""
    from tritmark.reports import tables

    if record.status != "ok":
        return {"note": record.reason, "numbers": []}
    derived, row = tables.derived(record), tables.row(record)
    speed = derived["decode_tps"] or derived["prefill_tps"] or derived["train_tps"]
    numbers = [[name, value] for name, value in row.items() if value != tables.NONE and name not in UNSHOWN]
    note = f"Measured {len(record.samples_ns)} times; the record is on the computer."
    return {"note": note, "tokens_per_s": speed["median"], "numbers": numbers}


def _offer(models: Sequence[str], formats: Sequence[str], workloads: Sequence[str], prompt: str, tokens: int) -> Offer:
    """What can be chosen; an error for what no case could mean, before anybody is invited."""
    from tritmark.bench.serving import Offer, can_write
    from tritmark.bench.workload import parse_workload
    from tritmark.engine.inference import parse_format

    for each in formats:
        parse_format(each)
    for each in workloads:
        parse_workload(each)
    writers = tuple(model for model in models if can_write(model))
    return Offer(models=tuple(models), writers=writers, formats=tuple(formats), workloads=tuple(workloads),
                 prompt=prompt, tokens=tokens)  # fmt: skip


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
