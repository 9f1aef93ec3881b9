"""The audit of published tables: what it finds in the known ones, what it leaves alone, and every kind of fault."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command_runs import tritmark

from tritmark.engine.formats import synthetic
from tritmark.reports.audit.audit import audit
from tritmark.reports.audit.cells import Cell, read_cells
from tritmark.reports.audit.weights import SHAPES, least_mib
from tritmark.results.record import RecordError

PUBLISHED = Path(__file__).parents[2] / "results" / "published" / "published.csv"
DEVICES = (("one", "gpu"), ("two", "gpu"), ("three", "gpu"), ("three", "cpu"))
TOKENS = 41_754
TABLES = 40  # of each kind
Fault = Callable[[list[Cell], np.random.Generator], list[Cell]]


def printed(line: int, table: str, model: str, format: str, place: tuple[str, str], metric: str, unit: str,
            value: float) -> Cell:  # fmt: skip
    """A figure with four digits, as tables print them."""
    decimals = max(0, 3 - int(np.floor(np.log10(value))))
    return Cell(line, "made", table, model, format, *place, metric, round(value, decimals), unit, "ok", "",
                0.5 * 10.0**-decimals)  # fmt: skip


def made_tables(random: np.random.Generator) -> list[Cell]:
    """Tables that could be true: each device with a speed and overheads of its own, and noise on every figure."""
    rows: list[tuple[str, str, str, tuple[str, str], str, str, float]] = []
    for place in DEVICES:
        rate, fixed = random.uniform(2e9, 2e11), random.uniform(0.2e-3, 2e-3)
        for format in ("TQ1_0", "TQ2_0"):
            slower = random.uniform(0.7, 1.4)
            for model in SHAPES:
                size = sum(least_mib(model, format)) * 2**20
                decode = 1 / (size * slower / rate + fixed * random.uniform(0.97, 1.03))
                trained = decode / 8 * random.uniform(0.97, 1.03)
                rows += [("inference", model, format, place, "decode", "tok/s", decode),
                         ("throughput", model, format, place, "train_throughput", "tok/s", trained),
                         ("epoch", model, format, place, "epoch_time", "s", TOKENS / trained)]  # fmt: skip
    for model in SHAPES:
        over = 120 + 0.6 * sum(least_mib(model, "TQ1_0"))
        for format in ("TQ1_0", "TQ2_0"):
            rows.append(("vram", model, format, ("", "gpu"), "vram_peak", "MiB", sum(least_mib(model, format)) + over))
    return [printed(line, *row) for line, row in enumerate(rows, 2)]


def changed(cells: list[Cell], chosen: Callable[[Cell], bool], value: Callable[[Cell], float]) -> list[Cell]:
    return [replace(cell, value=value(cell)) if chosen(cell) else cell for cell in cells]


def any_of(cells: list[Cell], random: np.random.Generator, metric: str, least: int = 0) -> Cell:
    of_metric = [cell for cell in cells if cell.metric == metric and cell.model in list(SHAPES)[least:]]
    return of_metric[random.integers(len(of_metric))]


def copied_column(cells: list[Cell], random: np.random.Generator) -> list[Cell]:
    one = any_of(cells, random, "decode")
    values = {cell.model: cell.value for cell in cells if cell.column == one.column}
    other = next(place for place in DEVICES if place != (one.device, one.processor))
    column = (*one.column[:4], *other)
    return changed(cells, lambda cell: cell.column == column, lambda cell: values[cell.model])


def derived_column(cells: list[Cell], random: np.random.Generator) -> list[Cell]:
    """One format of a device was computed from the other, by another device's factors."""
    decode = {(c.model, c.format, c.device, c.processor): c.value for c in cells if c.metric == "decode"}
    (here, there) = (DEVICES[i] for i in random.permutation(len(DEVICES))[:2])

    def derived(cell: Cell) -> float:
        factor = decode[cell.model, "TQ1_0", *there] / decode[cell.model, "TQ2_0", *there]
        return round(decode[cell.model, "TQ2_0", *here] * factor, 2)

    moved = ("decode", "TQ1_0", *here)
    return changed(cells, lambda c: (c.metric, c.format, c.device, c.processor) == moved, derived)


def wrong_epochs(cells: list[Cell], random: np.random.Generator) -> list[Cell]:
    one = any_of(cells, random, "epoch_time")
    factor = random.uniform(1.3, 5) ** random.choice([-1, 1])
    return changed(cells, lambda cell: cell.column == one.column, lambda cell: cell.value * factor)


def too_little_memory(cells: list[Cell], random: np.random.Generator) -> list[Cell]:
    one = any_of(cells, random, "vram_peak", 2)
    return changed(cells, lambda cell: cell is one,
                   lambda cell: sum(least_mib(cell.model, cell.format)) * random.uniform(0.5, 0.98))  # fmt: skip


def swapped_labels(cells: list[Cell], random: np.random.Generator) -> list[Cell]:
    other = {"TQ1_0": "TQ2_0", "TQ2_0": "TQ1_0"}
    return [replace(cell, format=other[cell.format]) if cell.metric == "vram_peak" else cell for cell in cells]


def larger_is_faster(cells: list[Cell], random: np.random.Generator) -> list[Cell]:
    one = any_of(cells, random, "decode", 2)
    models = list(SHAPES)
    smaller = models[models.index(one.model) - 1]
    before = next(cell for cell in cells if cell.column == one.column and cell.model == smaller)
    return changed(cells, lambda cell: cell is one, lambda cell: before.value * random.uniform(1.1, 1.5))


def out_of_memory_below(cells: list[Cell], random: np.random.Generator) -> list[Cell]:
    one = next(cell for cell in cells if cell.metric == "decode" and cell.model == "1B")
    return [replace(cell, status="oom", value=float("nan")) if cell is one else cell for cell in cells]


def other_unit(cells: list[Cell], random: np.random.Generator) -> list[Cell]:
    one = any_of(cells, random, "epoch_time")
    return changed(cells, lambda cell: cell is one, lambda cell: cell.value / random.choice([60, 1000, 3600]))


FAULTS: dict[Fault, str] = {
    copied_column: "identical columns",
    derived_column: "one factor",
    wrong_epochs: "throughput x time",
    too_little_memory: "byte bound",
    swapped_labels: "byte ratio",
    larger_is_faster: "size order",
    out_of_memory_below: "contradiction",
    other_unit: "units",
}


def test_shapes_are_those_of_the_synthetic_models() -> None:
    for name, shape in SHAPES.items():
        made = synthetic.SHAPES[name]
        assert shape == (made.embedding, made.feed_forward, made.layers)


def rules(cells: list[Cell]) -> set[str]:
    return {found.rule for found in audit(cells)}


def test_tables_that_could_be_true_are_left_alone() -> None:
    flagged = [rules(made_tables(np.random.default_rng(seed))) for seed in range(TABLES)]
    assert sum(map(bool, flagged)) <= 0.05 * TABLES, flagged


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_each_kind_is_found(fault: Fault) -> None:
    found = 0
    for seed in range(TABLES):
        random = np.random.default_rng(seed)
        found += FAULTS[fault] in rules(fault(made_tables(random), random))
    assert found >= 0.95 * TABLES


def test_the_published_tables_contradict_themselves_where_it_is_known() -> None:
    cells = read_cells(PUBLISHED)
    told = [(found.rule, found.arithmetic) for found in audit(cells)]
    assert len(cells) == 398

    def says(rule: str, *words: str) -> bool:
        return any(name == rule and all(word in text for word in words) for name, text in told)

    assert all(says("throughput x time", f"TQ1_0 {phone}") for phone in ("pixel-9", "galaxy-s25", "iphone-16"))
    assert all(says("one factor", "iphone-16 cpu", other) for other in ("macbook-m3-pro", "iphone-16 gpu"))
    assert says("size order", "iphone-16 gpu", "350M 157.81") and says("size order", "macbook-m3-pro", "1.5B 136.76")
    assert says("byte bound", "13B TQ1_0", "2,789") and says("contradiction", "2.7B TQ1_0 pixel-9", "94200")
    assert not says("throughput x time", "TQ2_0")


def test_findings_are_a_json_object_each_with_their_cells_and_arithmetic() -> None:
    *findings, last = [json.loads(line) for line in tritmark("audit", PUBLISHED, "--json").stdout.splitlines()]
    assert last["figures"] == 398 and last["findings"] == len(findings)
    assert all({"rule", "grade", "arithmetic", "cells"} <= set(found) and found["cells"] for found in findings)
    assert "byte bound (impossible)" in tritmark("audit", PUBLISHED).stdout


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a,b\n1,2\n", "has no column source"),
        (",".join(Cell.__dataclass_fields__) + "\n", "holds no figures"),
        ("{header}\ns,t,1B,TQ1_0,d,gpu,decode,fast,tok/s,ok,\n", "line 2: 'fast' is no number"),
        ("{header}\ns,t,1B,TQ1_0,d,gpu,decode,1,tok/s,good,\n", "line 2: status 'good' is unknown"),
    ],
)
def test_what_is_no_table_is_refused_in_one_line(text: str, says: str, tmp_path: Path) -> None:
    header = "source,table,model,format,device,processor,metric,value,unit,status,note"
    (tmp_path / "t.csv").write_text(text.replace("{header}", header))
    with pytest.raises(RecordError, match=says):
        read_cells(tmp_path / "t.csv")
