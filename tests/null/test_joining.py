"""Folders and files of many machines joined into one folder, and what is said of bad ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from real_records import MEASURED

from tritmark.bench import cli
from tritmark.results.exchange import files
from tritmark.results.exchange.exporting import export
from tritmark.results.exchange.joining import import_into, joined
from tritmark.results.record import SCHEMA, Record, RecordError
from tritmark.results.store import FILE_NAME, TORN_NAME, Store, contents, line_of, read

OLD = Path(__file__).with_name("records")
HALF = line_of(MEASURED[0])[:500]


def folder_of(path: Path, *records: Record) -> Path:
    with Store(path) as store:
        store.extend(records)
    return path


def test_an_equal_record_is_kept_once_and_counted(tmp_path: Path) -> None:
    one = folder_of(tmp_path / "one", *MEASURED[:3])
    files.write(MEASURED[2:5], tmp_path / "two.csv")
    whole = import_into(tmp_path / "all", [one, tmp_path / "two.csv"])
    assert read(tmp_path / "all") == MEASURED[:5] == list(whole.records)
    assert [(part.records, part.added) for part in whole.parts] == [(3, 3), (3, 2)] and whole.repeated == 1


def test_joining_again_adds_nothing_and_a_new_source_only_what_is_new(tmp_path: Path) -> None:
    one = folder_of(tmp_path / "one", *MEASURED[:3])
    for _ in range(2):
        import_into(tmp_path / "all", [one])
    before = (tmp_path / "all" / FILE_NAME).read_bytes()
    import_into(tmp_path / "all", [folder_of(tmp_path / "two", *MEASURED[1:5])])
    assert (tmp_path / "all" / FILE_NAME).read_bytes().startswith(before)
    assert read(tmp_path / "all") == MEASURED[:5]


def test_two_different_records_of_one_id_are_refused_with_both_places(tmp_path: Path) -> None:
    one = folder_of(tmp_path / "one", MEASURED[0])
    two = folder_of(tmp_path / "two", MEASURED[1], replace(MEASURED[0], samples_ns=(1,)))
    with pytest.raises(RecordError, match=f"{one} and {two} hold two different records of the id {MEASURED[0].id}"):
        import_into(tmp_path / "new" / "all", [one, two])
    assert not (tmp_path / "new").exists()
    with pytest.raises(RecordError, match=f"{one} and {two} hold two different"):
        import_into(one, [two])
    assert read(one) == [MEASURED[0]]


def test_a_disk_that_refuses_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(store: Store, records: object) -> None:
        raise RecordError("no space")

    one = folder_of(tmp_path / "one", MEASURED[0])
    monkeypatch.setattr(Store, "extend", full)
    with pytest.raises(RecordError, match="no space"):
        import_into(tmp_path / "new" / "all", [one])
    assert [found.name for found in tmp_path.iterdir()] == ["one"]


@pytest.mark.parametrize(("shape", "name"), [("llama-bench", "x.jsonl"), ("pytest-benchmark", "x.json")])
def test_a_copy_in_another_tools_file_does_not_count_beside_its_record(tmp_path: Path, shape: str, name: str) -> None:
    export(MEASURED[:2], tmp_path / name, shape)
    assert len(joined([tmp_path / name]).records) == 2
    one = folder_of(tmp_path / "one", MEASURED[0])
    whole = joined([tmp_path / name, one])
    assert {record.grade for record in whole.records} == {"measured", "imported"}
    assert [(part.records, part.added) for part in whole.parts] == [(2, 1), (1, 1)]


def test_a_half_written_last_line_is_said_and_moved_aside_by_the_next_writer(tmp_path: Path) -> None:
    path = folder_of(tmp_path / "one", MEASURED[0]) / FILE_NAME
    path.write_bytes(path.read_bytes() + HALF)
    found = contents(tmp_path / "one")
    assert found.records == MEASURED[:1]
    assert found.notes == (f"{path}: the last line is half-written and left out, 500 bytes; its case has to run again",)
    assert path.read_bytes().endswith(HALF), "readers change nothing"
    folder_of(tmp_path / "one", MEASURED[1])
    assert read(tmp_path / "one") == MEASURED[:2] and contents(tmp_path / "one").notes == ()
    path.write_bytes(path.read_bytes() + HALF[:7])
    folder_of(tmp_path / "one", MEASURED[2])
    assert (tmp_path / "one" / TORN_NAME).read_bytes() == HALF + b"\n" + HALF[:7] + b"\n"
    assert read(tmp_path / "one") == MEASURED[:3]


def test_a_last_line_that_lacks_only_its_end_is_whole(tmp_path: Path) -> None:
    path = folder_of(tmp_path / "one", MEASURED[0]) / FILE_NAME
    path.write_bytes(path.read_bytes().removesuffix(b"\n"))
    assert contents(tmp_path / "one").records == MEASURED[:1] and contents(tmp_path / "one").notes == ()
    folder_of(tmp_path / "one", MEASURED[1])
    assert read(tmp_path / "one") == MEASURED[:2] and not (tmp_path / "one" / TORN_NAME).exists()


def test_lines_that_stand_twice_in_a_folder_count_once_and_are_said(tmp_path: Path) -> None:
    one = folder_of(tmp_path / "one", *MEASURED[:2], *MEASURED[:2])
    assert read(one) == MEASURED[:2]
    assert "2 of 4 records stand there more than once" in contents(one).notes[0]


def test_two_different_records_of_one_id_in_a_folder_are_refused_with_both_lines(tmp_path: Path) -> None:
    one = folder_of(tmp_path / "one", *MEASURED[:2], replace(MEASURED[0], reason="edited"))
    with pytest.raises(RecordError, match=f"{FILE_NAME}, lines 1 and 3: two different records"):
        read(one)


def test_records_of_all_schemas_live_in_one_folder(tmp_path: Path) -> None:
    lines = b"".join(path.read_bytes().rstrip() + b"\n" for path in sorted(OLD.glob("*.jsonl")))
    (tmp_path / FILE_NAME).write_bytes(lines + line_of(MEASURED[0]))
    found = {record.schema for record in joined([tmp_path]).records}
    assert found == {SCHEMA}
    (tmp_path / FILE_NAME).write_bytes(lines + json.dumps({"schema": SCHEMA + 1}).encode() + b"\n")
    with pytest.raises(RecordError, match=f"line {SCHEMA}: record has schema {SCHEMA + 1}.*upgrade tritmark"):
        joined([tmp_path])


def test_records_from_the_future_are_kept_and_said(tmp_path: Path) -> None:
    one = folder_of(tmp_path, MEASURED[0], replace(MEASURED[1], started_at="2999-01-01T00:00:00+00:00"))
    whole = joined([one])
    assert len(whole.records) == 2
    assert [note for note in whole.notes if "1 records are from the future, up to 2999-01-01" in note]


def test_nothing_to_join_is_one_line(tmp_path: Path) -> None:
    empty = folder_of(tmp_path / "empty")
    with pytest.raises(RecordError, match=f"no record in {empty}"):
        import_into(tmp_path / "all", [empty])
    assert not (tmp_path / "all").exists()
    whole = joined([empty, folder_of(tmp_path / "one", MEASURED[0])])
    assert len(whole.records) == 1 and whole.notes == (f"{empty} holds no record",)
    (tmp_path / "bare").mkdir()
    with pytest.raises(RecordError, match=f"bare holds no {FILE_NAME}"):
        joined([tmp_path / "bare"])
    with pytest.raises(RecordError, match=r"there is no .*nowhere"):
        joined([tmp_path / "nowhere"])


Ran = tuple[int, str, str]  # exit status, standard output, standard error


@pytest.fixture
def tritmark(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """The command in this process: importing pandas for each call would take most of the time."""

    def run(*arguments: str | Path) -> Ran:
        monkeypatch.setattr("sys.argv", ["tritmark", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return int(ended.value.code or 0), *capsys.readouterr()

    return run


def test_the_commands_take_records_there_and_back(tmp_path: Path, tritmark: Callable[..., Ran]) -> None:
    one = folder_of(tmp_path / "one", *MEASURED[:4])
    sheet, again = tmp_path / "x.csv", tmp_path / "again"
    assert tritmark("export", one, "--to", sheet) == (0, f"{sheet}: 4 records\n", "")
    status, out, _ = tritmark("import", sheet, one, "--out", again, "--json")
    parts = [{"source": str(sheet), "records": 4, "added": 4}, {"source": str(one), "records": 4, "added": 0}]
    expected = {"folder": str(again), "records": 4, "repeated": 4, "sources": parts, "notes": []}
    assert status == 0 and json.loads(out) == expected
    assert (again / FILE_NAME).read_bytes() == (one / FILE_NAME).read_bytes()
    assert tritmark("export", one, "--to", sheet, "--force")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "says", "expected"),
    [
        ("export {one} --to {one}/records.jsonl", "already; choose another --to, or replace it with --force", 2),
        ("export {one} --to {one}/x.xls", "the ending of --to is the format: .csv", 2),
        ("export {one} --to {one}/x.csv --as llama-bench", "--as llama-bench writes .jsonl", 2),
        ("export {one} --to {one}/none/x.csv", "No such file or directory", 1),
        ("import {one} {one}/gone.csv --out {one}/all", "there is no", 1),
    ],
)
def test_wrong_usage_is_one_line_and_writes_nothing(
    tmp_path: Path, tritmark: Callable[..., Ran], arguments: str, says: str, expected: int
) -> None:
    one = folder_of(tmp_path / "one", MEASURED[0])
    status, out, error = tritmark(*arguments.format(one=one).split())
    assert (status, out) == (expected, "") and says in error and error.count("\n") == 1
    assert [found.name for found in one.iterdir()] == [FILE_NAME]


@pytest.mark.parametrize("arguments", ["show {one}", "import {one} --out {one}/all", "export {one} --to {one}/x.csv"])
def test_commands_say_what_they_left_out(tmp_path: Path, tritmark: Callable[..., Ran], arguments: str) -> None:
    path = folder_of(tmp_path / "one", MEASURED[0]) / FILE_NAME
    path.write_bytes(path.read_bytes() + HALF)
    status, out, error = tritmark(*arguments.format(one=tmp_path / "one").split())
    note = "the last line is half-written and left out, 500 bytes; its case has to run again"
    assert status == 0 and out and error == f"tritmark: {path}: {note}\n"


def test_a_record_that_another_tools_file_cannot_hold_is_counted(tmp_path: Path, tritmark: Callable[..., Ran]) -> None:
    one = folder_of(tmp_path / "one", MEASURED[0], replace(MEASURED[1], status="failed", samples_ns=()))
    _, out, _ = tritmark("export", one, "--to", tmp_path / "x.jsonl", "--as", "llama-bench")
    assert out == f"{tmp_path / 'x.jsonl'}: 1 records\nleft out: 1, which llama-bench has no place for\n"
