"""`tritmark recommend`: which format to ship to a device, for a model and a use of it, and how sure that is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .output import AsJson, emit, listed

if TYPE_CHECKING:
    from tritmark.reports.choice.advice import Question
    from tritmark.reports.choice.columns import Column
    from tritmark.results.record import Record

SHIPPED = Path(__file__).resolve().parents[2] / "results"
MODEL = typer.Option(help="A GGUF file or synthetic:SIZE, as `tritmark run` takes it.")
DEVICE = typer.Option(
    help="A part of the name of a device in the records or the published tables, or, with --class, any."
)
WORKLOAD = typer.Option(help="chat (128 prompt tokens, 256 answered), rag (1,536, 128), finetune (an epoch of 41,892), "
                             "pretrain, or tokens as in prefill:512,decode:128,train:0.")  # fmt: skip
LIMITS = typer.Option("--limits", help="ttft=SECONDS, tps=TOKENS_A_SECOND, epoch=HOURS, memory=MIB, download=MB.")
RESULTS = typer.Option("--results", help="Results folders, beside what ships; without --device all their devices.")
CLASS = typer.Option("--class", help="Of a device that nobody measured: desktop-nvidia, phone-adreno, phone-mali, "
                                     "phone-apple, apple, desktop-cpu, ...")  # fmt: skip


def recommend(
    model: Annotated[str | None, MODEL] = None,
    device: Annotated[str | None, DEVICE] = None,
    workload: Annotated[str, WORKLOAD] = "chat",
    limits: Annotated[list[str] | None, LIMITS] = None,
    results: Annotated[list[Path] | None, RESULTS] = None,
    hardware: Annotated[str | None, CLASS] = None,
    bandwidth: Annotated[float | None, typer.Option(help="GB/s of a device that nobody measured.", min=0.1)] = None,
    memory: Annotated[float | None, typer.Option(help="MiB that its GPU buffers may take.", min=1)] = None,
    evaluate: Annotated[
        Path | None, typer.Option(help="Score the method on published tables, each device left out in turn.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Which format to ship: TQ1_0, TQ2_0, or TQ1_0 repacked at load.

    With the regret of each, the evidence, where the answer turns, and what to measure next."""
    from tritmark.bench.case import CaseError

    if evaluate:
        _evaluate(evaluate, as_json)
        return
    if model is None:
        raise CaseError("no model was named; add --model synthetic:1B or the path of a GGUF file")
    own = _read(results or [])
    records = own + _shipped({record.id for record in own})
    bounds = [*listed(limits), *([f"memory={memory}"] if memory else [])]
    found = _columns(device, hardware, bandwidth, own, records)
    _answer([_question(column, model, workload, bounds) for column in found], records, as_json)


def _answer(questions: list[Question], records: list[Record], as_json: bool) -> None:
    from tritmark.reports.choice.advice import recommend as advise
    from tritmark.reports.choice.evidence_rows import rows
    from tritmark.reports.choice.knowledge import Evidence
    from tritmark.reports.choice.pairs import paired
    from tritmark.reports.choice.rendering import text

    pairs = paired(records)
    evidence = Evidence(pairs)
    for number, question in enumerate(questions):
        found = advise(evidence, question)
        behind = rows(pairs, question.place, found)
        if as_json:
            emit({**found.to_json(), "evidence": behind})
        else:
            print(("\n" if number else "") + text(found, behind))


def _evaluate(file: Path, as_json: bool) -> None:
    from tritmark.reports.audit.graded import published_records
    from tritmark.reports.choice import evaluation
    from tritmark.reports.choice.pairs import paired
    from tritmark.reports.choice.rendering import scores
    from tritmark.results.record import RecordError

    cells = evaluation.table(paired(published_records(file)))
    if len({pair.place.column for pair in cells}) < 2:
        raise RecordError(
            f"{file} has decode tok/s of both formats for fewer than two devices; nothing can be left out"
        )
    tables = evaluation.tables(cells)
    if as_json:
        for each in tables:
            emit(each.to_json())
    else:
        print(scores(tables))


def _question(column: Column, model: str, workload: str, bounds: list[str]) -> Question:
    from tritmark.bench.case import CaseError
    from tritmark.bench.footprint import caps_of, footprints, ternary_weights, workloads_of
    from tritmark.engine.errors import EngineError
    from tritmark.reports.choice.advice import Question
    from tritmark.reports.choice.feasibility import parse_limits
    from tritmark.reports.choice.mixes import parse_mix

    try:
        mix = parse_mix(workload)
        kept = parse_limits(bounds, mix)
        sizes = footprints(model, workloads_of(mix), caps_of(column.caps, column.name))
        weights = ternary_weights(model)
    except (ValueError, EngineError) as error:
        raise CaseError(str(error)) from None
    if not weights:
        raise CaseError(f"{model} has no ternary weights, so that neither format is for it")
    return Question(place=column.place, device=column.name, model=model, weights=weights, mix=mix, limits=kept,
                    sizes=sizes, command_device=column.command_device)  # fmt: skip


def _columns(
    device: str | None, hardware: str | None, bandwidth: float | None, own: list[Record], records: list[Record]
) -> list[Column]:
    """The devices that are asked about; CaseError where none is."""
    from tritmark.bench.case import CaseError
    from tritmark.reports.choice.columns import columns, described, matching
    from tritmark.reports.choice.hardware import CLASSES

    if hardware is not None:
        if hardware not in CLASSES:
            raise CaseError(f"class {hardware!r} is unknown; use one of {', '.join(CLASSES)}")
        return [described(device or hardware, hardware, bandwidth and bandwidth * 1e9)]
    if device is None and not own:
        raise CaseError("no device was named; add --device NAME, or --results FOLDER for the devices measured there")
    known = columns(own if device is None else records)
    found = known if device is None else matching(known, device)
    if not found:
        names = ", ".join(column.name for column in known)
        raise CaseError(f"no device {device or ''!r} in the records; known are {names}; or describe it with --class")
    return found


def _read(folders: list[Path]) -> list[Record]:
    from tritmark.results.store import read

    return [record for folder in folders for record in read(folder)]


def _shipped(known: set[str]) -> list[Record]:
    """What this project measured and what others published, where the installation has it, less what is known."""
    from tritmark.reports.audit.graded import published_records

    folders = sorted(path.parent for path in (SHIPPED / "measured").glob("*/records.jsonl"))
    table = SHIPPED / "published" / "published.csv"
    found = _read(folders) + (published_records(table) if table.is_file() else [])
    return [record for record in found if record.id not in known]
