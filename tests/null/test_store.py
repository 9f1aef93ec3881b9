"""The store: append-only, safe against kills, full disks and a second writer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tritmark.results.record import SCHEMA, Record, RecordError
from tritmark.results.store import FILE_NAME, Store, held, read


def record(key: str, **fields: str) -> Record:
    return Record(
        **{
            **{"schema": SCHEMA, "id": key, "kind": "measured", "status": "ok", "reason": None, "started_at": "now"},
            **{"case": {"options": {}}, "case_key": key, "model": "m", "format": "f", "workload": "decode:2"},
            **{"device": "d", **fields},
        }
    )


def test_records_come_back_in_the_order_they_were_appended(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    assert held(folder) == set()
    for key in "ab":  # the second store continues the first one's file
        with Store(folder) as store:
            store.append(record(key))
    assert [r.id for r in read(folder)] == ["a", "b"] and held(folder) == {("a", 1), ("b", 1)}


def test_a_torn_last_line_is_skipped_by_readers_and_put_aside_by_the_next_writer(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        store.append(record("a"))
    path = tmp_path / FILE_NAME
    path.write_bytes(path.read_bytes() + b'{"schema": 1, "id": "torn')
    assert [r.id for r in read(tmp_path)] == ["a"]
    with Store(tmp_path) as store:
        store.append(record("b"))
    assert [r.id for r in read(tmp_path)] == ["a", "b"]


def test_a_damaged_line_in_the_middle_is_named(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        store.append(record("a"))
    path = tmp_path / FILE_NAME
    path.write_bytes(b"{nonsense}\n" + path.read_bytes())
    with pytest.raises(RecordError, match=r"records.jsonl, line 1: not JSON"):
        read(tmp_path)


def test_a_folder_with_a_newer_schema_is_refused_with_advice(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text(json.dumps({"schema": SCHEMA + 1}) + "\n")
    with pytest.raises(RecordError, match=r"line 1: record has schema .* upgrade tritmark"):
        read(tmp_path)
    with pytest.raises(RecordError, match="upgrade tritmark"):
        held(tmp_path)


def test_a_folder_without_records_is_refused_with_advice(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="tritmark run --out"):
        read(tmp_path)


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    with Store(tmp_path), pytest.raises(RecordError, match="another run is writing"), Store(tmp_path):
        pass
    with Store(tmp_path):
        pass  # the lock went with its holder


@contextmanager
def files_limited_to(size: int) -> Iterator[None]:
    """No file may grow beyond ``size``: writes stop half-way as on a full disk."""
    resource = pytest.importorskip("resource", reason="limits on file sizes need a Unix system")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_one_error_and_leaves_no_half_record(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        store.append(record("a"))
        size = os.path.getsize(tmp_path / FILE_NAME)
        with files_limited_to(size + 100), pytest.raises(RecordError, match="--resume") as caught:
            store.append(record("b"))
        assert "\n" not in str(caught.value)
        assert os.path.getsize(tmp_path / FILE_NAME) == size
        store.append(record("c"))
    assert [r.id for r in read(tmp_path)] == ["a", "c"]


def test_a_folder_that_cannot_be_made_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordError, match="choose another --out"), Store(tmp_path / "file" / "folder"):
        pass


WRITER = """
import sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from test_store import record
from tritmark.results.store import Store, held
folder = Path(sys.argv[1])
done = held(folder)
with Store(folder) as store:
    for key in map(str, range(300)):
        if (key, 1) not in done:
            store.append(record(key, model="m" * 20_000))
"""


@pytest.mark.parametrize("seconds", [0.25, 0.4])
def test_a_writer_killed_at_any_moment_resumes_without_loss_or_repetition(tmp_path: Path, seconds: float) -> None:
    command = [sys.executable, "-c", WRITER, str(tmp_path), str(Path(__file__).parent)]
    for attempt in range(6):
        writer = subprocess.Popen(command)
        time.sleep(seconds + 0.05 * attempt)
        writer.kill()
        writer.wait()
    subprocess.run(command, check=True)
    assert sorted(int(r.case_key) for r in read(tmp_path)) == list(range(300))
