"""Frames of records: every record comes back equal, and the columns have the same types whatever is in them."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pandas as pd
import pytest
from real_records import ALL, MEASURED, TEXTS, awkward

from tritmark.results.frame import frame, from_rows, records_of, samples, tokens
from tritmark.results.record import SCHEMA, Record, RecordError
from tritmark.results.store import line_of


def test_every_record_comes_back_from_a_frame_byte_by_byte() -> None:
    assert len(ALL) > 400
    assert [line_of(record) for record in records_of(frame(ALL))] == [line_of(record) for record in ALL]


@pytest.mark.parametrize("records", [[], ALL[:1], awkward()], ids=["none", "one", "failed"])
def test_columns_have_the_types_of_their_fields_whatever_they_hold(records: list[Record]) -> None:
    table = frame(records)
    assert table.dtypes.equals(frame(ALL).dtypes) and len(table) == len(records)
    assert list(table.columns) == [field.name for field in fields(Record)]
    assert str(table["session"].dtype) == "Int64" and str(table["exact"].dtype) == "boolean"


def test_nothing_empty_and_null_stay_three_things() -> None:
    assert frame(awkward())["reason"].astype(object).tolist()[1:3] == ["", "null"]
    assert frame(awkward())["reason"].isna().tolist() == [True] + [False] * (len(TEXTS) - 1)


def test_repetitions_are_rows_of_a_long_frame() -> None:
    record = replace(MEASURED[0], samples_ns=(5, 6), ttft_ns=(4,), encode_ns=())
    table = samples([record, awkward()[0]])
    assert table["sample_ns"].tolist() == [5, 6] and table["repetition"].tolist() == [1, 2]
    assert table["ttft_ns"].isna().tolist() == [False, True] and table["encode_ns"].isna().all()
    assert samples([]).dtypes.equals(table.dtypes)


def test_tokens_are_rows_of_a_long_frame() -> None:
    table = tokens([replace(MEASURED[0], id="a", token_ns=((1, 2), (3,))), replace(MEASURED[0], token_ns=())])
    rows = [("a", 1, 1, 1), ("a", 1, 2, 2), ("a", 2, 1, 3)]
    assert list(table.itertuples(index=False, name=None)) == rows
    assert tokens([]).dtypes.equals(table.dtypes)
    assert len(tokens(MEASURED)) == sum(len(times) for record in MEASURED for times in record.token_ns)


def test_a_frame_of_an_older_schema_is_upgraded() -> None:
    new: dict[str, Any] = {"grade": "measured", "grade_reasons": (), "session": 1, "figure": None, "shape": None}
    new |= {"kernels": (), "gauge": None}
    table = frame(MEASURED).drop(columns=list(new)).assign(schema=3)
    assert records_of(table) == [replace(record, **new) for record in MEASURED]


def changed(**columns: Any) -> pd.DataFrame:
    return frame(ALL[:2]).assign(**columns)


@pytest.mark.parametrize(
    ("table", "says"),
    [
        (changed(schema=SCHEMA + 1, colour="blue"), f"schema {SCHEMA + 1}.*upgrade tritmark"),
        (changed(samples_ms="[1]"), "'samples_ms' is unknown; did you mean 'samples_ns'\\? Times are nanoseconds"),
        (changed(zebra="x"), "'zebra' is unknown; remove it"),
        (changed().drop(columns="schema"), "'schema' is missing"),
        (changed().drop(columns="model"), "row 1: record lacks the field 'model'"),
        (changed(samples_ns="[0.5]"), r"row 1: record field samples_ns\[0\] should be int"),
        (changed(samples_ns="[NaN]"), "row 1: samples_ns: holds NaN"),
        (changed(samples_ns="[1"), "row 1: samples_ns: not JSON"),
        (changed(session=float("nan")), "row 1: record field session should be int"),
        (changed(source="a", table="b", value=1, unit="c"), "tritmark audit"),
        (changed(n_prompt=1, n_gen=0), "-o jsonl"),
    ],
)
def test_a_wrong_frame_is_refused_by_column_or_row(table: pd.DataFrame, says: str) -> None:
    with pytest.raises(RecordError, match=says) as caught:
        records_of(table)
    assert "\n" not in str(caught.value)


def test_cells_of_another_type_are_refused() -> None:
    with pytest.raises(RecordError, match="row 2: session should be int, not 'one'"):
        from_rows(["schema", "session"], [[4, 1], [4, "one"]])
    with pytest.raises(RecordError, match="'id' is there twice"):
        from_rows(["schema", "id", "id"], [])
    with pytest.raises(RecordError, match="session holds an integer beyond 64 bits"):
        frame([replace(MEASURED[0], session=2**64)])
