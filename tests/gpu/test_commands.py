"""The commands on this machine's GPU, from the command line to what is on disk."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from command_runs import last, tritmark

from tritmark.results.store import read

pytestmark = pytest.mark.usefixtures("gpu")


def test_logits_have_the_digest_of_their_file_and_do_not_depend_on_the_format(tmp_path: Path) -> None:
    digests = set()
    for format in ("tq1_0", "tq2_0>tq1_0", "tq2_0"):
        out = tmp_path / "logits"  # written under this name, without a suffix of numpy's choice
        arguments = ("--model", "synthetic:tiny", "--tokens", "1,2,3", "--format", format)
        found = last(tritmark("logits", *arguments, "--out", out, "--json"))
        array = np.load(out)
        assert array.dtype == np.float32 and array.shape == (3, 512)
        assert hashlib.sha256(array.tobytes()).hexdigest() == found["digest"]
        digests.add(found["digest"])
    assert len(digests) == 1 and [path.name for path in tmp_path.iterdir()] == ["logits"]


def test_a_matrix_is_measured_recorded_and_predicted(tmp_path: Path) -> None:
    axes = ("--model", "synthetic:tiny", "--format", "tq1_0,tq2_0", "--workload", "prefill:8,decode:4")
    out = tmp_path / "out"
    tally = last(tritmark("run", *axes, "--out", out, "--json"))
    assert tally == {"folder": str(out), "records": 4, "ok": 4, "failed": 0}
    planned = [json.loads(line) for line in tritmark("plan", *axes, "--json").stdout.splitlines()]
    records = read(out)
    for record, plan in zip(records, planned, strict=True):
        assert record.exact and record.ledger_peak_bytes and all(record.samples_ns) and len(record.samples_ns) == 3
        assert (record.format, record.workload) == (plan["format"], plan["workload"])
        assert plan["fits"] and abs(plan["peak_gpu_bytes"] / record.ledger_peak_bytes - 1) < 0.01
        assert plan["plan_hash"] == record.plan_hash
    assert records[0].digest == records[1].digest and records[2].digest == records[3].digest
    resumed = last(tritmark("run", *axes, "--out", out, "--resume", "--json"))
    assert resumed == tally and len(read(out)) == 4


def test_generation_streams_what_its_last_line_holds_and_repeats_by_seed() -> None:
    sampled = ("--temperature", "1", "--top-k", "40", "--seed", "7")
    runs = [tritmark("generate", "--model", "synthetic:tiny", "--prompt-tokens", "1,2,3", "--tokens", "12", *sampled,
                     "--json") for _ in range(2)]  # fmt: skip
    pieces = [json.loads(line)["tokens"] for line in runs[0].stdout.splitlines()]
    assert (
        [token for piece in pieces[:-1] for token in piece] == pieces[-1]
        and len(pieces[-1]) == 12
        and all(0 <= token < 512 for token in pieces[-1])
    )
    assert last(runs[0]) == last(runs[1])


def test_generation_from_text_spells_its_tokens(golden: Path) -> None:
    model = golden / "tiny-llama.tq2_0.gguf"
    arguments = ("generate", "--model", model, "--prompt", "a song", "--tokens", "6")
    found = last(tritmark(*arguments, "--json"))
    assert 0 < found["count"] <= 6 and tritmark(*arguments).stdout == found["text"] + "\n"


def test_devices_are_measured_and_probed() -> None:
    lines = [json.loads(line) for line in tritmark("devices", "--json").stdout.splitlines()]
    assert lines[-1]["devices"] == [line["device"] for line in lines[:-1] if line["state"] == "ready"]
    adapters = [line for line in lines[:-1] if line["device"].startswith("host:")]
    assert adapters
    for device in adapters:
        assert device["exact"] and device["usable"] and device["copy_bytes_per_s"] > 0 and device["dispatch_ns"] > 0
        assert device["limits"]["maxStorageBufferBindingSize"] >= 1 << 27


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("logits", "--model", "synthetic:tiny", "--tokens", "1,512"), "token 512 is outside the vocabulary 0..511"),
        (("logits", "--model", "synthetic:tiny", "--tokens", "1", "--device", "host:nonesuch"), "nonesuch"),
        (("logits", "--model", "synthetic:tiny", "--tokens", ",".join(["1"] * 2049)), "context of 2048"),
        (("generate", "--model", "synthetic:tiny", "--prompt", "hi"), "give token ids instead of text"),
        (("logits", "--model", "synthetic:tiny", "--tokens", "1", "--out", "/nowhere/logits.npy"), "/nowhere"),
    ],
)
def test_bad_input_is_one_line(arguments: tuple[str, ...], says: str) -> None:
    ended = tritmark(*arguments, status=1)
    assert says in ended.stderr and ended.stderr.count("\n") == 1 and not ended.stdout


def test_a_device_that_is_not_there_gives_failed_rows(tmp_path: Path) -> None:
    ended = tritmark("run", "--model", "synthetic:tiny", "--workload", "decode:2", "--device", "host:nonesuch",
                     "--out", tmp_path, "--json", status=1)  # fmt: skip
    assert last(ended) == {"folder": str(tmp_path), "records": 2, "ok": 0, "failed": 2}
    assert all("nonesuch" in str(record.reason) and record.samples_ns == () for record in read(tmp_path))
