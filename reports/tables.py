"""Tables of records: for a terminal (rich), as Markdown, and as plain objects for scripts.

A record becomes a row of texts; rows of one model on one device make one table. What does not fit a narrow terminal
becomes a second table beneath, never a cut cell. Definitions of all metrics are part of every rendering.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from tritmark.results.record import Record

from . import stats
from .comparison import rivals
from .throttle import throttle

WIDE_COLUMNS = 128
NONE = "-"
LEADING = ("Format", "Workload")
RUNNER = "Runner"  # leads too, where a table has more than one
FOLDED = (RUNNER, *LEADING, "Status")  # may take several lines
SPEED = ("Prefill tok/s", "Decode tok/s", "TTFT ms", "ITL ms")
TRAINING = ("Train tok/s", "Supervised tok/s", "Step s", "Epoch s", "Loss")
COST = ("Load s", "Compile s", "GPU MiB", "RSS MiB", "Exact", "Status")
HEADS = {
    "Prefill tok/s": "Prefill\ntok/s ± MAD",
    "Decode tok/s": "Decode\ntok/s ± MAD",
    "TTFT ms": "TTFT\nms",
    "ITL ms": "ITL ms\np50/p90/p99",
    "Train tok/s": "Train\ntok/s ± MAD",
    "Supervised tok/s": "Supervised\ntok/s",
    "Step s": "Step s\n± MAD",
    "Epoch s": "Epoch\ns",
    "Loss": "Loss\nfirst/last",
    "Load s": "Load s\ncold/warm",
    "Compile s": "Compile s\ncold/warm",
    "GPU MiB": "GPU\nMiB",
    "RSS MiB": "RSS\nMiB",
}
INFERENCE = (
    (
        "Prefill tok/s",
        "prompt tokens / time from submission to the first sampled token; median ± MAD over repetitions.",
    ),
    ("Decode tok/s", "tokens after the first / time from the first to the last token; median ± MAD over repetitions."),
    (
        "TTFT",
        "time to first token: prompt submitted until the sampled token is in the caller's hands; pipelines are ready.",
    ),
    (
        "ITL",
        "inter-token latency: gaps between tokens of all repetitions, by GPU timestamps in a play of its own.",
    ),
)
DEFINITIONS = (
    (
        "Load",
        "weights from file to GPU, cold / warm: first player, file dropped from the file cache / later players.",
    ),
    ("Compile", "all pipelines, cold / warm: first player / later players, which may find the driver's cache."),
    ("GPU MiB", "live GPU buffers at their peak, counted exactly by the player."),
    (
        "RSS MiB",
        "most resident memory seen of the player's process (sampled); includes the buffers of a software GPU.",
    ),
    ("Exact", "whether the device passed the exactness probe: its results are comparable bit for bit."),
    (
        "Status",
        "throttled: the last quarter of all decoded tokens came at a rate this much below that of the best quarter, "
        "beyond 5 % and the noise; by heat or by other work on the machine, a growing context is taken out.",
    ),
)
LEARNING = (
    ("Train tok/s", "tokens learnt from / time, forward, backward and optimiser; padding is not counted."),
    ("Supervised tok/s", "the same of tokens whose prediction is learnt: answers, not prompts."),
    ("Step", "an optimiser step: forward, backward and update of one micro-batch."),
    ("Epoch", "step time x steps of an epoch; ~ where fewer were measured and the rest is extrapolated."),
    ("Loss", "mean of the first and of the last step's supervised tokens, in nats; the same on every exact device."),
)
OTHERS = (
    RUNNER,
    "other engines are measured by their own benchmark, a process for each row: prefill until the logits are there, "
    "decode without sampling; GPU MiB as they log it. Their outputs are not checked.",
)


def row(record: Record) -> dict[str, str]:
    """A record as texts, one a column."""
    slowed = throttle(record)
    ttft, gaps = [ns / 1e6 for ns in record.ttft_ns], [ns / 1e6 for ns in stats.inter_token_ns(record)]
    rss = stats.peak_process_bytes(record)
    return {
        RUNNER: stats.runner(record),
        "Format": record.format,
        "Workload": record.workload + _options(record),
        "Prefill tok/s": _spread(stats.prefill_tps(record)),
        "Decode tok/s": _spread(stats.decode_tps(record)),
        "TTFT ms": number(statistics.median(ttft)) if ttft else NONE,
        "ITL ms": "/".join(number(stats.percentile(gaps, p)) for p in (50, 90, 99)) if gaps else NONE,
        "Train tok/s": _spread(stats.train_tps(record)),
        "Supervised tok/s": _middle(stats.train_tps(record, "supervised_tokens")),
        "Step s": _spread(stats.step_s(record)),
        "Epoch s": _epoch(record),
        "Loss": _losses(record),
        "Load s": _cold_warm(record.load_ns),
        "Compile s": _cold_warm(record.compile_ns),
        "GPU MiB": _mib(record.ledger_peak_bytes),
        "RSS MiB": _mib(rss),
        "Exact": {True: "yes", False: "NO", None: NONE}[record.exact],
        "Status": str(slowed) if record.status == "ok" and slowed and slowed.shown else record.status,
    }


def derived(record: Record) -> dict[str, Any]:
    """A record's identity and metrics as plain values, for `show --json`; rates per second, times in ns."""
    rates = {
        "prefill_tps": stats.prefill_tps(record),
        "decode_tps": stats.decode_tps(record),
        "train_tps": stats.train_tps(record),
        "supervised_tps": stats.train_tps(record, "supervised_tokens"),
        "slots_tps": stats.train_tps(record, "slots"),
        "step_s": stats.step_s(record),
    }
    epoch = stats.epoch_s(record)
    summaries = {name: stats.summary(values) for name, values in rates.items()}
    gaps, slowed = stats.inter_token_ns(record), throttle(record)
    return {
        "runner": stats.runner(record),
        **{
            name: getattr(record, name)
            for name in (
                "schema",
                "id",
                "kind",
                "status",
                "reason",
                "model",
                "format",
                "workload",
                "device",
                "adapter",
                "exact",
                "digest",
                "ledger_peak_bytes",
            )
        },
        "samples_ns": list(record.samples_ns),
        **{name: asdict(value) if value else None for name, value in summaries.items()},
        "epoch_s": epoch[0] if epoch else None,
        "epoch_extrapolated": epoch[1] if epoch else None,
        "training": dict(record.training) if record.training else None,
        "ttft_ns": statistics.median(record.ttft_ns) if record.ttft_ns else None,
        "token_spreads_ns": [asdict(spread) for spread in stats.token_spreads(record)],
        **{f"itl_p{p}_ns": stats.percentile(gaps, p) if gaps else None for p in (50, 90, 99)},
        **{
            f"{what}_{how}_ns": stats.median_ns(getattr(record, f"{what}_ns"), how)
            for what in ("load", "compile")
            for how in ("cold", "warm")
        },
        "peak_process_bytes": stats.peak_process_bytes(record),
        "encode_ns": statistics.median(record.encode_ns) if record.encode_ns else None,
        "dispatches": record.dispatches,
        "overhead": stats.overhead(record),
        "encode_per_dispatch_ns": stats.encode_per_dispatch_ns(record),
        "throttle_loss": slowed.loss if slowed else None,
        "throttled": slowed.shown if slowed else None,
    }


def rendered(records: Sequence[Record], columns: int) -> RenderableType:
    """Everything `tritmark show` prints, laid out for a terminal of ``columns``."""
    parts: list[RenderableType] = []
    for title, members in _by_machine(records).items():
        parts.append(Text(title, style="bold"))
        for speed, rows in _kinds(members):
            cuts = (speed + COST,) if columns >= WIDE_COLUMNS else (speed, COST)
            for cut in cuts:
                parts += [_table(rows, _leading(members) + cut), Text()]
        parts += [_note(sentence) for sentence in _notes(members)]
        parts += [_note(sentence, "red") for sentence in _failures(members)]
        parts.append(Text())
    parts += [Text.assemble((name, "bold"), ": ", text) for name, text in _definitions(records)]
    return Group(*parts)


def text(records: Sequence[Record], columns: int) -> str:
    """`rendered` without colours."""
    console = Console(width=columns, color_system=None, force_terminal=False, legacy_windows=False)
    with console.capture() as capture:
        console.print(rendered(records, columns))
    return "\n".join(line.rstrip() for line in capture.get().splitlines()) + "\n"


def markdown(records: Sequence[Record]) -> str:
    """The same as Markdown, every column in one table."""
    lines: list[str] = []
    for title, members in _by_machine(records).items():
        lines += [f"**{escaped(title)}**", ""]
        for at, (speed, rows) in enumerate(_kinds(members)):
            names = _leading(members) + speed + COST
            heads = [HEADS.get(name, name).replace("\n", " ") for name in names]
            lines += [""] * bool(at)
            lines += ["| " + " | ".join(heads) + " |", "|" + "|".join("---" for _ in names) + "|"]
            lines += ["| " + " | ".join(escaped(texts[name]) for name in names) + " |" for texts in rows]
        notes = [f"- {escaped(sentence)}" for sentence in (*_notes(members), *_failures(members))]
        lines += ["", *notes, *([""] if notes else [])]
    return "\n".join([*lines, *(f"- **{name}**: {text}" for name, text in _definitions(records))]) + "\n"


def escaped(text: str) -> str:
    """What Markdown, or a browser that shows it, would take for something else than text."""
    for mark, instead in (("&", "&amp;"), ("<", "&lt;"), ("|", "\\|"), ("`", "\\`"), ("\n", " ")):
        text = text.replace(mark, instead)
    return text


def number(value: float, like: float | None = None) -> str:
    """Three significant digits of ``like`` (else of ``value``) or two decimals, thousands separated, no exponent."""
    size = abs(value if like is None else like)
    return f"{value:,.{0 if size >= 100 else 1 if size >= 10 else 2}f}"


def _by_machine(records: Sequence[Record]) -> dict[str, list[Record]]:
    """Records by the title of their table, in order of appearance. Other engines' rows stand beside ours."""
    titles: dict[tuple[str, str], str] = {}
    for record in records:
        if record.runner is None and record.adapter:
            titles.setdefault((record.model, record.device), _title(record))
    tables: dict[str, list[Record]] = {}
    for record in records:
        title = titles.get((record.model, record.device)) if record.runner else None
        tables.setdefault(title or _title(record), []).append(record)
    return tables


def _title(record: Record) -> str:
    """Other engines compute in several places of one machine: theirs stand in the notes."""
    told = record.runner is None and record.adapter and record.driver
    model = record.model.replace("\\", "/").rpartition("/")[2]
    return f"{model} on {record.device}" + (f" ({record.adapter}; {record.driver})" if told else "")


def _rows(members: Sequence[Record]) -> list[dict[str, str]]:
    """Rows of one table. Runners go by the names they were asked for with, where no two builds share one."""
    builds: dict[str, set[str]] = {}
    for record in members:
        builds.setdefault(_asked(record), set()).add(stats.runner(record))
    short = {name for name, found in builds.items() if len(found - {name}) <= 1}
    names = (_asked(record) if _asked(record) in short else stats.runner(record) for record in members)
    return [{**row(record), RUNNER: name} for record, name in zip(members, names, strict=True)]


def _kinds(members: Sequence[Record]) -> Iterator[tuple[tuple[str, ...], list[dict[str, str]]]]:
    """The rows of one table by what they measure, inference and fine-tuning, each with its columns of speed."""
    rows = _rows(members)
    for speed, trains in ((SPEED, False), (TRAINING, True)):
        found = [texts for record, texts in zip(members, rows, strict=True) if _trains(record) == trains]
        if found:
            yield speed, found


def _trains(record: Record) -> bool:
    return record.workload.startswith("lora:")


def _asked(record: Record) -> str:
    return str(record.case.get("runner", stats.OURS)).partition("=")[0]


def _leading(members: Sequence[Record]) -> tuple[str, ...]:
    return (RUNNER, *LEADING) if any(record.runner for record in members) else LEADING


def _definitions(records: Sequence[Record]) -> tuple[tuple[str, str], ...]:
    others = (OTHERS,) if any(record.runner for record in records) else ()
    trains = any(map(_trains, records))
    inference = INFERENCE if not all(map(_trains, records)) else ()
    return (*inference, *(LEARNING if trains else ()), *DEFINITIONS, *others)


def _notes(members: Sequence[Record]) -> Iterator[str]:
    """What the rows cannot say: what the player itself costs, where other engines computed, and the comparisons."""
    yield from _player_costs(members)
    yield from dict.fromkeys(_place(r) for r in members if r.runner and r.adapter and r.status == "ok")
    yield from rivals.sentences(members)


def _player_costs(members: Sequence[Record]) -> Iterator[str]:
    """The player's own time, apart from the GPU's; a software GPU computes while it is being asked."""
    apart = [r for r in members if r.status == "ok" and (r.caps or {}).get("kind") != "cpu"]
    idle = {(r.format, r.workload): stats.overhead(r) for r in apart}
    shares = [f"{100 * part:.1f} % ({' '.join(row)})" for row, part in idle.items() if part is not None]
    if shares:
        yield f"the GPU waits for the player and its driver {', '.join(shares)} of the time."
    costs = {(r.format, r.workload): stats.encode_per_dispatch_ns(r) for r in apart}
    told = [f"{number(ns / 1e3)} us ({' '.join(row)})" for row, ns in costs.items() if ns is not None]
    if told:
        yield f"a dispatch costs the player's CPU, apart from GPU time: {', '.join(told)}."


def _place(record: Record) -> str:
    """Where another engine computed."""
    settings = (record.conditions or {}).get("settings", {})
    threads = f", {settings['n_threads']} threads" if record.driver == "CPU" and "n_threads" in settings else ""
    head = ", the output head on the processor, as it does for this kind of model"
    place = f"{record.runner} computed on {record.adapter} ({record.driver}{threads})"
    return f"{place}{head if settings.get('head_on_processor') else ''}."


def _failures(members: Sequence[Record]) -> Iterator[str]:
    for record in members:
        if record.status == "failed":
            by = f" by {record.runner}" if record.runner else ""
            yield f"failed: {record.format} {record.workload}{by}: {record.reason}"


def _table(rows: Sequence[dict[str, str]], names: Sequence[str]) -> Table:
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    for name in names:
        table.add_column(
            HEADS.get(name, name),
            justify="left" if name in FOLDED[:-1] else "right",
            no_wrap=name not in FOLDED,
            overflow="fold",
        )
    for texts in rows:
        others = "italic" if texts[RUNNER] != stats.OURS else None
        table.add_row(*(texts[name] for name in names), style="red" if texts["Status"] == "failed" else others)
    return table


def _note(sentence: str, style: str = "") -> RenderableType:
    return Padding(Text(sentence, style=style), (0, 0, 0, 2))


def _options(record: Record) -> str:
    options = record.case.get("options") or {}
    return "".join(f" {name}={value}" for name, value in options.items())


def _spread(values: Sequence[float]) -> str:
    if not values:
        return NONE
    middle = statistics.median(values)
    return f"{number(middle)} ± {number(stats.mad(values), like=middle)}"


def _middle(values: Sequence[float]) -> str:
    return number(statistics.median(values)) if values else NONE


def _epoch(record: Record) -> str:
    found = stats.epoch_s(record)
    return NONE if found is None else ("~" if found[1] else "") + number(found[0])


def _losses(record: Record) -> str:
    losses = (record.training or {}).get("losses")
    return f"{losses[0]:.3f}/{losses[-1]:.3f}" if losses else NONE


def _cold_warm(times: Any) -> str:
    cold, warm = stats.median_ns(times, "cold"), stats.median_ns(times, "warm")
    return NONE if cold is None else number(cold / 1e9) + (f"/{number(warm / 1e9)}" if warm is not None else "")


def _mib(size: int | None) -> str:
    return NONE if size is None else f"{size / 2**20:,.0f}"
