"""Records: what goes to disk comes back equal, and nothing else is let in."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from tritmark.results import record as record_module
from tritmark.results import schema
from tritmark.results.record import SCHEMA, Record, RecordError, case_key


def record(**fields: Any) -> Record:
    base: dict[str, Any] = {
        "schema": SCHEMA,
        "id": "1",
        "kind": "measured",
        "status": "ok",
        "reason": None,
        "started_at": "2026-11-22T00:00:00+00:00",
        "case": {"options": {}},
        "case_key": "k",
        "model": "m",
        "format": "tq1_0",
        "workload": "decode:3",
        "device": "host",
    }
    return Record(**{**base, **fields})


FULL = record(
    samples_ns=(5, 6, 7),
    token_ns=((1, 2), (3, 4)),
    load_ns={"cold": (9,), "warm": (8, 7)},
    process_memory=((0, 10), (5, 20)),
    caps={"limits": {"maxBufferSize": 1}},
    exact=True,
    ledger={"weight": 12},
    runner="llama.cpp b7336 (57d4c98)",
    telemetry={"samples": [[0, {"battery_celsius": 31.5}]], "methods": {"battery_celsius": "dumpsys battery"}},
    encode_ns=(1, 2, 1),
    dispatches=40,
)
OLD = Path(__file__).with_name("records")


def test_a_record_survives_json_unchanged() -> None:
    assert Record.from_json(json.loads(json.dumps(FULL.to_json()))) == FULL


@pytest.mark.parametrize("name", ["model", "format", "workload", "device", "status", "reason", "schema", "case_key"])
def test_a_record_without_a_required_field_is_refused_by_name(name: str) -> None:
    data = FULL.to_json()
    del data[name]
    with pytest.raises(RecordError, match=name):
        Record.from_json(data)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("samples_ns", [1, "2"], r"samples_ns\[1\] should be int"),
        ("samples_ns", 5, "samples_ns"),
        ("ledger", {"weight": True}, "ledger.weight should be int"),
        ("process_memory", [[1, 2, 3]], r"process_memory\[0\]"),
        ("encode_ns", [1.5], r"encode_ns\[0\] should be int"),
        ("dispatches", "40", "dispatches should be int"),
        ("telemetry", [], "telemetry should be"),
        ("runner", 1, "runner should be str"),
        ("exact", "yes", "exact should be bool"),
        ("status", "fine", "status 'fine'"),
        ("colour", "blue", "unknown field 'colour'"),
    ],
)
def test_a_wrong_field_is_named(name: str, value: Any, says: str) -> None:
    with pytest.raises(RecordError, match=says) as caught:
        Record.from_json({**FULL.to_json(), name: value})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("data", [None, [], "x", {}, {"schema": "1"}, {"schema": True}])
def test_what_is_no_record_is_refused(data: Any) -> None:
    with pytest.raises(RecordError, match="not a record"):
        Record.from_json(data)


def test_newer_record_is_refused_with_advice() -> None:
    with pytest.raises(RecordError, match=f"schema {SCHEMA + 1}.*upgrade tritmark"):
        Record.from_json({"schema": SCHEMA + 1, "whatever": "that holds"})


def test_a_schema_that_never_was_is_refused() -> None:
    with pytest.raises(RecordError, match="no version of tritmark wrote"):
        Record.from_json({**FULL.to_json(), "schema": 0})


def test_older_records_are_upgraded_step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    def upgrade_1_to_2(data: dict[str, Any]) -> dict[str, Any]:
        return {**data, "model": data["model"] + "+2"}

    def upgrade_2_to_3(data: dict[str, Any]) -> dict[str, Any]:
        return {**data, "model": data["model"] + "+3"}

    monkeypatch.setattr(record_module, "SCHEMA", 3)
    monkeypatch.setattr(record_module, "UPGRADES", {1: upgrade_1_to_2, 2: upgrade_2_to_3})
    upgraded = Record.from_json({**FULL.to_json(), "schema": 1})
    assert upgraded == replace(FULL, schema=3, model="m+2+3")


def test_every_older_schema_has_its_upgrade_and_a_record_that_was_really_written() -> None:
    assert set(record_module.UPGRADES) == set(range(1, SCHEMA))
    assert {path.name for path in OLD.glob("*.jsonl")} == {f"schema{version}.jsonl" for version in range(1, SCHEMA)}


@pytest.mark.parametrize("path", sorted(OLD.glob("*.jsonl")), ids=lambda path: path.stem)
def test_an_older_record_loads_and_keeps_all_it_said(path: Path) -> None:
    data = json.loads(path.read_text(encoding="utf-8"))
    upgraded = Record.from_json(data)
    assert upgraded.schema == SCHEMA and f"schema{data['schema']}" == path.stem
    assert {**upgraded.to_json(), **data} == {**upgraded.to_json(), "schema": data["schema"]}


def test_the_first_schema_had_one_runner_and_watched_less() -> None:
    old = Record.from_json(json.loads((OLD / "schema1.jsonl").read_text(encoding="utf-8")))
    assert (old.runner, old.telemetry, old.encode_ns, old.dispatches) == (None, None, (), None)
    assert len(old.samples_ns) == 5 and len(old.token_ns) == 5


def test_the_schema_file_is_what_the_class_says() -> None:
    assert schema.PATH.read_text(encoding="utf-8") == schema.text(), "run python -m tritmark.results.schema"


def test_the_schema_names_every_field_and_requires_those_without_a_default() -> None:
    described = schema.schema()
    assert set(described["properties"]) == {field.name for field in fields(Record)} == set(FULL.to_json())
    assert set(described["required"]) == record_module._REQUIRED
    assert described["properties"]["samples_ns"] == {"type": "array", "items": {"type": "integer"}}
    assert described["properties"]["process_memory"]["items"]["minItems"] == 2


def test_the_case_key_depends_on_values_and_not_on_their_order() -> None:
    assert case_key({"a": 1, "b": 2}) == case_key({"b": 2, "a": 1}) != case_key({"a": 1, "b": 3})


def test_the_third_schema_held_measurements_alone_one_session_each() -> None:
    old = Record.from_json(json.loads((OLD / "schema3.jsonl").read_text(encoding="utf-8")))
    assert (old.grade, old.grade_reasons, old.session, old.figure) == ("measured", (), 1, None)
    assert (old.shape, old.kernels, old.gauge) == (None, (), None) and old.training is not None
