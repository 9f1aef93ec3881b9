"""Weights as a page gets them: the bytes that the model's source gives, by range, from an image made once."""

from __future__ import annotations

import errno
import json
import os
import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from page_client import LOADED, Page, Server, opened, plan_file

from tritmark.engine.errors import PlayerError
from tritmark.engine.formats.model import open_model
from tritmark.engine.models.source import Source
from tritmark.engine.plan import Plan, Slot
from tritmark.engine.players.web import weights
from tritmark.engine.players.web.weights import WeightImage

MODEL = "synthetic:tiny"


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return plan_file(tmp_path_factory.mktemp("plan"))


@pytest.fixture(scope="module")
def plan(file: Path) -> Plan:
    return Plan.from_json(json.loads(file.read_text()))


@pytest.fixture(scope="module")
def served(file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Any]]:
    """GET of a part of the weight file, given a Range header, from a page that is loading."""
    with opened(tmp_path_factory.mktemp("images")) as (server, page):
        pending = server.begin("load", plan=str(file), model=MODEL, format="tq1_0")
        asked = page.next().json()
        [name] = page.get(asked["plan"]).json()["files"]
        yield lambda wanted=None: page.get(asked["weights"] + name, **({"Range": wanted} if wanted else {}))
        assert page.get("weights/" + "0" * 64).status == 404
        page.answer(asked, **LOADED)
        assert pending.result(10)["ok"]


def content(slot: Slot, resident: str = "tq1_0") -> bytes:
    return b"".join(part.tobytes() for part in Source(open_model(MODEL), resident).parts(slot))


def test_every_slot_holds_what_the_source_gives(served: Callable[..., Any], plan: Plan) -> None:
    slots = [slot for slot in plan.slots if slot.ranges]
    assert len(slots) > 5
    for slot in slots:
        replies = [served(f"bytes={part.offset}-{part.offset + part.bytes - 1}") for part in slot.ranges]
        assert all(reply.status == 206 for reply in replies)
        assert b"".join(reply.body for reply in replies) == content(slot), slot.id


def test_ranges_of_every_kind(served: Callable[..., Any], plan: Plan) -> None:
    [size] = plan.files.values()
    whole = served()
    assert whole.status == 200 and len(whole.body) == size and whole.headers["accept-ranges"] == "bytes"
    for wanted, first, last in [
        ("bytes=0-0", 0, 1), ("bytes=5-99", 5, 100), (f"bytes={size - 1}-", size - 1, size),
        ("bytes=-7", size - 7, size), (f"bytes=0-{size - 1}", 0, size),
        (f"bytes=9-{10 * size}", 9, size), (f"bytes=-{2 * size}", 0, size),
    ]:  # fmt: skip
        reply = served(wanted)
        assert reply.status == 206 and reply.body == whole.body[first:last], wanted
        assert reply.headers["content-range"] == f"bytes {first}-{last - 1}/{size}"
        assert reply.headers["content-length"] == str(last - first)


def test_a_download_that_broke_off_is_resumed_where_it_ended(served: Callable[..., Any]) -> None:
    whole = served().body
    at, pieces = 0, [len(whole) // 3, len(whole) // 7, len(whole)]
    found = b""
    for piece in pieces:
        found += served(f"bytes={at}-").body[:piece]  # the rest of it was lost
        at = len(found)
    assert found == whole


@pytest.mark.parametrize(
    "wanted", ["bytes=5-4", "bytes=-0", "bytes=-", "bytes=a-b", "items=0-1", "bytes=0-1,5-6", "bytes=99999999999999-",
               "bytes=" + "9" * 5000 + "-", "bytes=\u0661-\u0662"],
)  # fmt: skip
def test_a_range_that_is_none_is_refused_with_the_size(served: Callable[..., Any], plan: Plan, wanted: str) -> None:
    reply = served(wanted.encode().decode("latin-1"))
    [size] = plan.files.values()
    assert reply.status == 416 and reply.headers["content-range"] == f"bytes */{size}"
    assert reply.text == f"the weight file has {size:,} bytes"


def whole(image: WeightImage) -> bytes:
    """All bytes of an image's weight files, once they are made."""
    found = b""
    for name, size in image._plan.files.items():
        deadline = time.monotonic() + 20
        while not image.ready(name, 0, size):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        found += image.read(name, 0, size)
    return found


def image_of(plan: Plan, folder: Path, resident: str = "tq1_0", model: Any = None) -> WeightImage:
    return WeightImage(plan, Source(model or open_model(MODEL), resident), folder)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_finished_image_is_used_again(plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = image_of(plan, tmp_path)
    content = whole(first)
    first.close()
    [kept] = names(tmp_path)
    assert kept.endswith(".weights")
    monkeypatch.setattr(Source, "parts", None)  # nothing is made any more
    second = image_of(plan, tmp_path)
    assert second.finished and whole(second) == content and names(tmp_path) == [kept]
    second.close()


def test_another_model_format_or_layout_gets_an_image_of_its_own(plan: Plan, tmp_path: Path) -> None:
    files = [plan_file(tmp_path, format_="tq2_0"), plan_file(tmp_path, workload="prefill:600")]
    packed, longer = (Plan.from_json(json.loads(file.read_text())) for file in files)
    folder = tmp_path / "images"
    for each, model, resident in (
        (plan, MODEL, "tq1_0"), (plan, MODEL + "?seed=1", "tq1_0"), (packed, MODEL, "tq2_0"), (longer, MODEL, "tq1_0")
    ):  # fmt: skip
        image = image_of(each, folder, resident, open_model(model))
        whole(image)
        image.close()
    assert len(names(folder)) == 4


def slow(plan: Plan, folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[WeightImage, list[str], list[Slot]]:
    """An image whose source gives a slot's bytes, all alike, when it is let."""
    allowed: list[str] = []

    def parts(self: Source, slot: Slot) -> Iterator[np.ndarray[Any, Any]]:
        while slot.id not in allowed:
            time.sleep(0.005)
        yield np.full(slot.bytes, len(slot.id), np.uint8)

    monkeypatch.setattr(Source, "parts", parts)
    return image_of(plan, folder), allowed, [slot for slot in plan.slots if slot.ranges]


def test_a_range_is_ready_as_soon_as_its_bytes_are_there(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, allowed, (first, second, *_) = slow(plan, tmp_path, monkeypatch)
    [a], [b] = first.ranges, second.ranges
    assert not image.ready(a.file, a.offset, a.offset + a.bytes)
    allowed.append(first.id)
    deadline = time.monotonic() + 5
    while not image.ready(a.file, a.offset, a.offset + a.bytes):
        assert time.monotonic() < deadline
    assert not image.ready(b.file, b.offset, b.offset + 1) and not image.ready(a.file, 0, plan.files[a.file])
    assert image.read(a.file, a.offset, a.bytes) == bytes([len(first.id)]) * a.bytes
    image.stop()
    allowed.extend(slot.id for slot in plan.slots)
    image.close()


def test_an_image_that_was_not_finished_leaves_nothing_behind(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, allowed, slots = slow(plan, tmp_path, monkeypatch)
    allowed.append(slots[0].id)
    assert [name.endswith(".part") for name in names(tmp_path)] == [True]
    image.stop()
    assert names(tmp_path) == []
    allowed.extend(slot.id for slot in slots)
    image.close()
    assert names(tmp_path) == []
    with pytest.raises(PlayerError, match="closed"):
        image.ready(slots[0].ranges[0].file, 0, 1)


def test_an_unfinished_image_of_a_killed_process_is_swept_away_later(plan: Plan, tmp_path: Path) -> None:
    left, recent = tmp_path / "left.part", tmp_path / "recent.part"
    for part in (left, recent):
        part.write_bytes(b"x")
    os.utime(left, (0, 0))
    image = image_of(plan, tmp_path)
    whole(image)
    image.close()
    assert not left.exists() and recent.exists()


def test_older_images_make_way_for_a_new_one(plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for age, name in ((10, "oldest.weights"), (5, "older.weights"), (1, "newest.weights")):
        (tmp_path / name).write_bytes(b"x")
        os.utime(tmp_path / name, (time.time() - age,) * 2)

    def full_until_two_are_gone(file: int, size: int) -> None:
        if (tmp_path / "older.weights").exists():
            raise OSError(errno.ENOSPC, "full")
        os.ftruncate(file, size)

    monkeypatch.setattr(weights, "_allocate", full_until_two_are_gone)
    image = image_of(plan, tmp_path)
    whole(image)
    image.close()
    assert "newest.weights" in names(tmp_path) and len(names(tmp_path)) == 2


def test_a_disk_that_fills_up_while_weights_are_made_is_one_line(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(
        PlayerError, match=r"no space left for the weights image \(1 MiB\) in .*; free some or set TMPDIR"
    ):
        whole(image_of(plan, tmp_path))
    assert names(tmp_path) == []


def test_a_full_disk_fails_the_load_before_the_page_hears_of_it(file: Path, tmp_path: Path) -> None:
    """The system's own limit on the size of files stands for a full disk."""
    images = tmp_path / "images"
    limit = 100_000
    server = Server(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    try:
        server.listen(images)
        page = Page(server.served)
        page.hello()
        server.ask("open")
        answer = server.ask("load", plan=str(file), model=MODEL, format="tq1_0")
        assert answer["error"] == f"no space left for the weights image (1 MiB) in {images}; free some or set TMPDIR"
        assert names(images) == []
        pending = server.begin("show")  # the run goes on
        page.serve()
        assert pending.result(5)["ok"]
    finally:
        server.child.kill()
        server.child.wait()


@pytest.mark.parametrize(
    ("model", "format_", "says"),
    [
        ("synthetic:tiny", "tq2_0", "for blk.0.attn_q"),
        ("synthetic:125M", "tq1_0", "for "),
        ("synthetic:9T", "tq1_0", "no synthetic model '9T'"),
        ("/nowhere.gguf", "tq1_0", "no such file"),
    ],
)
def test_a_model_that_cannot_fill_the_plan_is_one_line(
    file: Path, tmp_path: Path, model: str, format_: str, says: str
) -> None:
    images = tmp_path / "images"
    with opened(images) as (server, page):
        pending = server.begin("load", plan=str(file), model=model, format=format_)
        if "9T" not in model and "nowhere" not in model:
            asked = page.next().json()
            [[name, size]] = page.get(asked["plan"]).json()["files"].items()
            reply = page.get(f"weights/{name}", Range=f"bytes=0-{size - 1}")
            assert reply.status == 500 and says in reply.text
            page.send("POST", "answer", {"id": asked["id"], "ok": False, "error": "no weights", "kind": "PlayerError"})
        error = pending.result(20)["error"]
        assert says in error and "\n" not in error and "no weights" not in error
        assert not images.exists() or names(images) == []


def test_waiting_for_weights_is_no_silence(tmp_path: Path) -> None:
    """Making the weights of a large model takes longer than a page may be silent."""
    file = plan_file(tmp_path, "synthetic:125M")
    with opened(tmp_path / "images", silence_s=0.3) as (server, page):
        pending = server.begin("load", plan=str(file), model="synthetic:125M", format="tq1_0")
        asked = page.next().json()
        [[name, size]] = page.get(asked["plan"]).json()["files"].items()
        began = time.monotonic()
        assert page.get(f"weights/{name}", Range=f"bytes={size - 256}-{size - 1}").status == 206
        assert time.monotonic() - began > 0.4, "this computer is too fast for this test; take a larger model"
        page.answer(asked, **LOADED)
        assert pending.result(5)["ok"]


def test_loading_again_replaces_what_was_loaded(tmp_path: Path) -> None:
    files = [plan_file(tmp_path, format_=format_) for format_ in ("tq1_0", "tq2_0")]
    with opened(tmp_path / "images") as (server, page):
        replies = []
        for file, format_ in zip(files, ("tq1_0", "tq2_0"), strict=True):
            pending = server.begin("load", plan=str(file), model=MODEL, format=format_)
            asked = page.next().json()
            replies.append((asked["plan"], "weights/" + next(iter(page.get(asked["plan"]).json()["files"]))))
            assert page.get(replies[-1][1]).status == 200
            page.answer(asked, **LOADED)
            assert pending.result(5)["ok"]
        old, new = replies
        assert page.get(old[0]).status == page.get(old[1]).status == 404
        assert page.get(new[0]).status == page.get(new[1]).status == 200


def test_a_process_that_ends_while_weights_are_made_leaves_nothing_behind(tmp_path: Path) -> None:
    file, images = plan_file(tmp_path, "synthetic:125M"), tmp_path / "images"
    with opened(images) as (server, page):
        server.begin("load", plan=str(file), model="synthetic:125M", format="tq1_0")
        assert page.next().status == 200
        assert [name.endswith(".part") for name in names(images)] == [True]
        assert server.child.stdin
        server.child.stdin.close()
        assert server.child.wait(10) == 0
        assert names(images) == []
