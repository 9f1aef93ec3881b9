"""Bundles: what is signed verifies, and whatever is changed is found by the check that it is for.

Every record here is made, none measured. A tampered record is written into a bundle of its own, signed anew, so that
arithmetic alone can find it.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from command_runs import last, tritmark
from session_records import made, written

from tritmark.results.bundles import archive, arithmetic, bundle, signing
from tritmark.results.record import Record, RecordError
from tritmark.results.store import read

ROOT = Path(__file__).resolve().parents[2]
TOOL = {"tritmark": "0.1.0", "revision": "a" * 40}
HASHES = {"plan_hash": "1" * 64, "shader_hash": "2" * 64, "model_sha256": "5" * 64, "digest": "d" * 64}
LEDGER = {"weight": 60_000_000, "input": 0, "state": 20_000_000, "scratch": 3_000_000, "output": 886_080, "steps": 0}
CAPS = {"adapter": "made GPU", "driver": "1.0"}
TOKENS = tuple(10_000_000 * (1 + at) for at in range(8))


def decode(**fields: Any) -> Record:
    told = {"token_ns": (TOKENS,) * 3, "turns": (0, 1, 2), "ledger": LEDGER, "caps": CAPS, "dispatches": 80,
            "token_timing": "step", "predicted_peak_bytes": 80 << 20, "warmup_ns": (81_000_000,) * 3,
            "encode_ns": (1_000_000,) * 3, "kernels": ({"count": 10, "time_ns": 5, "bytes": 1, "operations": 1},),
            "shape": {"ternary_weights": 100_000_000}, "gauge": {"copy_bytes_per_s": 1e11, "dispatch_ns": 1e3},
            "process_memory": ((0, 1), (2_000_000_000, 2)), "id": "decode", "minute": 1}  # fmt: skip
    return made(**{**told, **HASHES, **fields})


def prefill(**fields: Any) -> Record:
    return decode(**{"workload": "prefill:8", "generated_tokens": 1, "ttft_ns": (79_000_000, 80_000_000, 90_000_000),
                     "token_ns": (), "kernels": (), "id": "prefill", "digest": "e" * 64, **fields})  # fmt: skip


def lora(**fields: Any) -> Record:
    training = {"steps": 2, "tokens": 14, "slots": 16, "supervised_tokens": 10, "losses": [6.0, 5.5]}
    return decode(**{"workload": "lora:r2,c8,s2", "generated_tokens": None, "prompt_tokens": None, "ttft_ns": (),
                     "training": training, "token_ns": (), "dispatches": 20, "id": "lora", "digest": "f" * 64,
                     **fields})  # fmt: skip


RECORDS = (decode(), prefill(), lora())


@pytest.fixture
def key(tmp_path: Path) -> signing.Key:
    path = tmp_path / "key.pem"
    return signing._make(path)


@pytest.fixture
def file(tmp_path: Path, key: signing.Key) -> Path:
    path = tmp_path / "made.tritmark"
    bundle.write(RECORDS, path, key, TOOL)
    return path


def rewritten(path: Path, name: str, change: Callable[[bytes], bytes]) -> Path:
    """The same archive with a member changed and nothing signed anew."""
    members = archive.unpacked(path)
    path.write_bytes(archive.packed({**members, name: change(members[name])}))
    return path


def checks(path: Path, fingerprint: str | None = None) -> set[str]:
    return {fault.check for fault in bundle.check(path, fingerprint).faults}


def test_what_was_written_holds_and_is_the_same_records(file: Path, key: signing.Key) -> None:
    checked = bundle.check(file, signing.fingerprint(key.public))
    assert checked.faults == () and checked.records == RECORDS and checked.known is True
    assert checked.made_by["revision"] == "a" * 40
    assert bundle.check(file).known is None


def test_the_same_records_and_key_give_the_same_bytes(file: Path, key: signing.Key, tmp_path: Path) -> None:
    bundle.write(RECORDS, tmp_path / "again.tritmark", key, TOOL)
    assert (tmp_path / "again.tritmark").read_bytes() == file.read_bytes()


def test_our_own_measurements_hold() -> None:
    records = [record for folder in sorted((ROOT / "results/measured").iterdir()) for record in read(folder)]
    assert len(records) > 30 and arithmetic.faults(records) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [(b"79000000", b"39000000"), (b"30000000,", b"30000001,"), (b"d" * 64, b"c" * 64), (b'"state":20', b'"state":21'),
     (b"5.5", b"4.5"), (b"5" * 64, b"6" * 64), (b"made GPU", b"mode GPU")],
    ids=["sample", "token time", "digest", "ledger", "loss", "model hash", "adapter"],
)  # fmt: skip
def test_a_changed_record_is_found_by_its_sha256(file: Path, old: bytes, new: bytes) -> None:
    assert old in archive.unpacked(file)[archive.RECORDS]
    assert "members" in checks(rewritten(file, archive.RECORDS, lambda text: text.replace(old, new)))


def test_a_changed_manifest_is_found_by_the_signature(file: Path) -> None:
    assert checks(rewritten(file, archive.MANIFEST, lambda text: text.replace(b"0.1.0", b"0.1.1"))) == {"signature"}


@pytest.mark.parametrize("name", ["signature", "public_key", "fingerprint", "algorithm"])
def test_a_changed_signature_is_found(file: Path, name: str) -> None:
    def change(text: bytes) -> bytes:
        found = json.loads(text)
        value = found[name]
        found[name] = ("B" if value[0] == "A" else "A") + value[1:]
        return json.dumps(found).encode()

    checked = bundle.check(rewritten(file, archive.SIGNATURE, change))
    assert [fault.check for fault in checked.faults] == ["signature"] and checked.signer is None


def test_another_key_is_found_by_who_knows_the_right_one(file: Path, key: signing.Key, tmp_path: Path) -> None:
    other = signing._make(tmp_path / "other.pem")
    bundle.write(RECORDS, file, other, TOOL)
    assert checks(file) == set()
    checked = bundle.check(file, signing.fingerprint(key.public))
    assert [fault.field for fault in checked.faults] == ["fingerprint"] and checked.known is False


def test_a_manifest_that_lists_other_records_is_found(file: Path, key: signing.Key) -> None:
    members = archive.unpacked(file)
    manifest = json.loads(members[archive.MANIFEST])
    manifest["records"][0]["digest"] = "0" * 64
    manifest["records"].append({"id": "gone"})
    text = bundle._json(manifest)
    signature = bundle._json(signing.signed(key, text))
    file.write_bytes(archive.packed({**members, archive.MANIFEST: text, archive.SIGNATURE: signature}))
    found = {(fault.check, fault.record_id, fault.field) for fault in bundle.check(file).faults}
    assert found == {("manifest", "decode", "digest"), ("manifest", "gone", "id")}


def tampered() -> Iterator[tuple[str, Record, str]]:
    """What was done, the record, and the field that must be named."""
    first = RECORDS[0]
    yield "decode rate", replace(first, samples_ns=tuple(ns // 4 for ns in first.samples_ns)), "samples_ns"
    yield "rate and warm-up", replace(first, samples_ns=(8_000_000,) * 3, warmup_ns=(8_000_000,) * 3), "samples_ns"
    yield "one sample of a prefill", replace(prefill(), samples_ns=(1, 80_000_000, 90_000_000)), "samples_ns"
    yield (
        "a token before another",
        replace(first, token_ns=((5, *TOKENS[:-1]), (9, 8, *TOKENS[2:]), TOKENS)),
        "token_ns",
    )
    yield "a token left out", replace(first, token_ns=(TOKENS[1:],) * 3), "token_ns"
    yield "a sample left out", replace(first, samples_ns=first.samples_ns[1:]), "samples_ns"
    yield "ledger", replace(first, ledger={**LEDGER, "state": 1}), "ledger"
    yield "weights", replace(first, ledger={**LEDGER, "weight": 6_000_000, "state": 74_000_000}), "ledger"
    yield "both peaks", replace(first, ledger={**LEDGER, "state": 0}, ledger_peak_bytes=63_886_080), "ledger_peak_bytes"
    yield "no digest", replace(first, digest="x"), "digest"
    yield "adapter", replace(first, adapter="faster GPU"), "adapter"
    yield "case", replace(first, model="made:7B"), "model"
    yield "key of the case", replace(first, case_key="0" * 16), "case_key"
    yield "dispatches", replace(first, dispatches=79), "dispatches"
    yield "turns", replace(first, turns=(0, 2, 1)), "turns"
    yield "encoding", replace(first, encode_ns=(10**9,) * 3), "encode_ns"
    yield "slower", replace(first, samples_ns=(2 * 10**8,) * 3, process_memory=((0, 1), (10**8, 2))), "samples_ns"
    yield "exactness", replace(first, exact=False), "exact"
    short = {**(lora().training or {}), "losses": [6.0]}
    yield "a loss left out", replace(lora(), training=short), "training.losses"
    yield "tokens", replace(lora(), training={**(lora().training or {}), "tokens": 17}), "training.tokens"
    yield "form", replace(lora(), training={"losses": []}), "record"
    large = {"shape": {"ternary_weights": 10**10}, "gauge": {"copy_bytes_per_s": 1e9, "dispatch_ns": 1.0}}
    ledger = {"weight": 10**10 // 4}
    yield "above the roof", replace(first, **large, ledger=ledger, ledger_peak_bytes=10**10 // 4,
                                    predicted_peak_bytes=10**10 // 4), "samples_ns"  # fmt: skip


@pytest.mark.parametrize(("record", "field"), [pytest.param(*row[1:], id=row[0]) for row in tampered()])
def test_a_tampered_record_that_was_signed_anew_is_found_by_arithmetic(
    file: Path, key: signing.Key, record: Record, field: str
) -> None:
    bundle.write([record], file, key, TOOL)
    faults = bundle.check(file).faults
    assert field in [fault.field for fault in faults]
    assert {(fault.check, fault.record_id) for fault in faults} == {("arithmetic", record.id)}


def test_formats_that_disagree_about_the_same_work_name_each_other() -> None:
    rival = decode(id="rival", format="tq2_0", ledger={**LEDGER, "state": 20_000_000})
    assert arithmetic.faults([RECORDS[0], rival]) == []
    (fault,) = arithmetic.faults([RECORDS[0], replace(rival, digest="0" * 64)])
    assert fault.field == "digest" and fault.record_id == "rival" and "decode" in fault.says
    other = lora(id="rival", format="tq2_0")
    told = {**(other.training or {}), "losses": [6.0, 5.25]}
    (fault,) = arithmetic.faults([lora(), replace(other, training=told)])
    assert fault.field == "training.losses"


def test_noise_is_no_fault() -> None:
    noisy = replace(RECORDS[0], samples_ns=(50_000_000, 80_000_000, 190_000_000), warmup_ns=(150_000_000,) * 3)
    assert arithmetic.faults([noisy]) == []


def test_a_line_that_is_no_record_and_an_id_twice_are_found(file: Path) -> None:
    text = archive.unpacked(file)[archive.RECORDS]
    first = text.splitlines()[0]
    rewritten(file, archive.RECORDS, lambda text: text + first + b"\n" + first.replace(b'"measured"', b'"guessed"'))
    found = [(fault.field, fault.says) for fault in bundle.check(file).faults if fault.check == "schema"]
    assert [field for field, _ in found] == ["line 4", "line 5"] and "twice" in found[0][1] and "guessed" in found[1][1]


class TestArchive:
    def refused(self, path: Path, says: str, build: Callable[[zipfile.ZipFile], None]) -> None:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
            build(made)
        with pytest.raises(RecordError, match=says):
            archive.unpacked(path)

    @pytest.mark.parametrize("name", ["/etc/passwd", "../up.json", "extra.txt", "records.jsonl/", "a\\records.jsonl"])
    def test_another_member_is_refused(self, file: Path, name: str) -> None:
        with zipfile.ZipFile(file, "a") as opened:
            opened.writestr(name, "x")
        with pytest.raises(RecordError, match="has the member"):
            archive.unpacked(file)

    @pytest.mark.filterwarnings("ignore:Duplicate name")
    def test_a_member_twice_is_refused(self, file: Path) -> None:
        with zipfile.ZipFile(file, "a") as opened:
            opened.writestr(archive.MANIFEST, "{}")
        with pytest.raises(RecordError, match="twice"):
            archive.unpacked(file)

    def test_a_bomb_is_refused_before_it_is_unpacked(self, tmp_path: Path) -> None:
        def build(made: zipfile.ZipFile) -> None:
            made.writestr(archive.RECORDS, bytes(32 << 20))
            made.writestr(archive.MANIFEST, "{}")
            made.writestr(archive.SIGNATURE, "{}")

        self.refused(tmp_path / "bomb.tritmark", "more than a bundle may unpack", build)

    def test_a_missing_member_is_named(self, tmp_path: Path) -> None:
        says = "lacks the member manifest.json"
        self.refused(tmp_path / "x.tritmark", says, lambda made: made.writestr(archive.RECORDS, "{}"))

    def test_bytes_beside_the_members_are_refused(self, file: Path) -> None:
        whole = file.read_bytes()
        with zipfile.ZipFile(file, "a") as opened:
            opened.comment = b"hidden"
        with pytest.raises(RecordError, match="bytes beside"):
            archive.unpacked(file)
        file.write_bytes(b"#!/bin/sh\n" + whole)
        with pytest.raises(RecordError, match="bytes beside"):
            archive.unpacked(file)

    def test_a_damaged_archive_is_one_line(self, file: Path) -> None:
        whole = bytearray(file.read_bytes())
        whole[200] ^= 0xFF
        file.write_bytes(whole)
        with pytest.raises(RecordError, match="damaged"):
            archive.unpacked(file)

    def test_every_cut_is_refused(self, file: Path) -> None:
        whole = file.read_bytes()
        for length in range(0, len(whole), 97):
            file.write_bytes(whole[:length])
            with pytest.raises(RecordError):
                archive.unpacked(file)

    def test_no_times_and_no_owners_are_in_it(self, file: Path) -> None:
        with zipfile.ZipFile(io.BytesIO(file.read_bytes())) as opened:
            assert {info.date_time for info in opened.infolist()} == {(1980, 1, 1, 0, 0, 0)}


class TestKey:
    def test_it_is_made_once_for_its_owner_alone(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
        first, second = signing.key_of(None), signing.key_of(None)
        assert (first.made, second.made) == (True, False) and first.public == second.public
        assert first.path.stat().st_mode & 0o777 == 0o600 and tmp_path in first.path.parents

    def test_one_that_others_may_read_is_refused(self, key: signing.Key) -> None:
        os.chmod(key.path, 0o640)
        with pytest.raises(RecordError, match="others may read"):
            signing.key_of(key.path)

    def test_another_file_is_no_key(self, tmp_path: Path) -> None:
        path = tmp_path / "key"
        path.write_text("secret")
        path.chmod(0o600)
        with pytest.raises(RecordError, match="Ed25519"):
            signing.key_of(path)
        with pytest.raises(RecordError, match="cannot read the key"):
            signing.key_of(tmp_path / "none")


class TestCommands:
    def test_a_bundle_says_what_leaves_and_verifies(self, tmp_path: Path, key: signing.Key) -> None:
        folder, out = written(tmp_path / "made", *RECORDS), tmp_path / "made.tritmark"
        told = tritmark("bundle", folder, "--out", out, "--key", key.path).stdout
        fingerprint = signing.fingerprint(key.public)
        assert fingerprint in told and "adapters        made GPU" in told and max(map(len, told.splitlines())) <= 110
        assert "already" in tritmark("bundle", folder, "--out", out, "--key", key.path, status=2).stderr
        result = last(tritmark("verify", out, "--key", fingerprint, "--json"))
        assert result["held"] and result["known_key"] and result["faults"] == 0 and result["records"] == 3
        assert "not proven" in tritmark("verify", out).stdout

    def test_each_fault_is_a_line_that_names_record_and_field(self, tmp_path: Path, key: signing.Key) -> None:
        out = tmp_path / "made.tritmark"
        bundle.write([replace(RECORDS[0], dispatches=79)], out, key, TOOL)
        ended = tritmark("verify", out, status=1)
        assert "\n  decode  dispatches: 79, and 80 by the profile of a step\n" in ended.stdout
        assert "no  arithmetic" in ended.stdout and "ok  signature" in ended.stdout

    def test_wrong_usage_and_other_files_are_one_line(self, file: Path, tmp_path: Path) -> None:
        assert "64 hex digits" in tritmark("verify", file, "--key", "abc", status=2).stderr
        (tmp_path / "text").write_text("hello")
        assert "no bundle" in tritmark("verify", tmp_path / "text", status=1).stderr
