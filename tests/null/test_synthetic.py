"""Synthetic models: the same bits for ever, shapes as published, and files that hold the same model in either type."""

from __future__ import annotations

import hashlib
import resource as process_limits
import subprocess
import sys
import tracemalloc
from pathlib import Path

import gguf
import numpy as np
import pytest

from tritmark.engine.errors import FormatError
from tritmark.engine.formats.blocks import dense, first_nonfinite
from tritmark.engine.formats.gguf_file import GgufFile
from tritmark.engine.formats.gguf_writer import write_gguf
from tritmark.engine.formats.model import Model, open_model
from tritmark.engine.formats.resident import scale_layout
from tritmark.engine.formats.synthetic import SHAPES
from tritmark.engine.formats.ternary import repack, unpack

# SHA-256 over all tensors of synthetic:tiny, and of one matrix of 125M. A change needs a new RECIPE number.
TINY_DIGEST = "ded513442c0364c7a2b3ce627011d6386a05f23a919b8709efa782fe9fdd921e"
MATRIX_DIGEST = "d5216838655daaa56305486a4fb15055c5f1cf9df8684f0284c59c5bddc19f33"
LINEAR_PARAMETERS = {"125M": 104e6, "350M": 327e6, "1B": 931e6, "1.5B": 1453e6, "2.7B": 2605e6, "3.8B": 3681e6,
                     "7B": 6879e6, "13B": 12688e6}


def digest(model: Model) -> str:
    total = hashlib.sha256()
    for name in model.tensors:
        total.update(name.encode() + model.packed(name).tobytes())
    return total.hexdigest()


def test_bits_never_change() -> None:
    assert digest(open_model("synthetic:tiny")) == TINY_DIGEST
    matrix = open_model("synthetic:125M").packed("blk.10.ffn_down.weight")
    assert hashlib.sha256(matrix.tobytes()).hexdigest() == MATRIX_DIGEST


@pytest.mark.parametrize("size", LINEAR_PARAMETERS)
def test_parameter_counts_are_the_published_ones(size: str) -> None:
    tensors = open_model(f"synthetic:{size}").tensors.values()
    linear = sum(t.rows * t.cols for t in tensors if t.type == "tq2_0")
    assert abs(linear - LINEAR_PARAMETERS[size]) < 1e6
    assert len(tensors) == 11 * SHAPES[size].layers + 2
    assert all(t.cols % 256 == 0 for t in tensors)


def test_weights_are_even_trits_with_one_scale_near_unit_gain() -> None:
    model = open_model("synthetic:125M")
    packed = model.packed("blk.3.ffn_gate.weight")
    trits, scales = unpack(packed, "tq2_0")
    for trit in (-1, 0, 1):
        assert abs((trits == trit).mean() - 1 / 3) < 0.002
    assert scale_layout(model, "blk.3.ffn_gate.weight") == "row" and np.unique(scales).size == 1
    assert abs(float(scales[0, 0]) * np.sqrt(768 * 2 / 3) - 1) < 1e-3
    assert len({model.packed(f"blk.3.{part}.weight").tobytes() for part in ("attn_q", "attn_k", "attn_v")}) == 3


def test_embedding_is_nearly_normal_and_norms_are_near_1() -> None:
    model = open_model("synthetic:tiny")
    embedding = dense(model.packed("token_embd.weight"), "f16", 256)
    assert abs(embedding.mean()) < 2e-4 and abs(embedding.std() - 0.02) < 2e-4
    assert 2.7 < (embedding**4).mean() / embedding.var() ** 2 < 3.1
    norms = dense(model.packed("output_norm.weight"), "f32", 256)
    assert norms.min() >= 0.875 and norms.max() < 1.125 and abs(norms.mean() - 1) < 0.02
    for name, tensor in model.tensors.items():
        assert first_nonfinite(model.packed(name), tensor.type) is None


def test_seeds_give_other_weights_and_other_identities() -> None:
    first, second = open_model("synthetic:tiny"), open_model("synthetic:tiny?seed=7")
    assert first.sha256 != second.sha256 and first.name != second.name
    assert not np.array_equal(first.packed("blk.0.attn_q.weight"), second.packed("blk.0.attn_q.weight"))
    assert first.sha256 == open_model("synthetic:tiny?seed=0").sha256


def test_a_large_embedding_needs_little_more_memory_than_itself() -> None:
    model = open_model("synthetic:1B")
    tracemalloc.start()
    packed = model.packed("token_embd.weight")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < packed.nbytes + (64 << 20)


@pytest.mark.parametrize("spec", ["synthetic:", "synthetic:9B", "synthetic:125m", "synthetic:1B?seed=",
                                  "synthetic:1B?seed=-1", "synthetic:1B?seed=x", "synthetic:1B?speed=1",
                                  "synthetic:1B?seed=1&seed=2", "synthetic:1B?seed=" + "9" * 30])
def test_other_names_are_refused(spec: str) -> None:
    with pytest.raises(FormatError, match=r"synthetic model"):
        open_model(spec)


@pytest.mark.parametrize("kind", ["tq1_0", "tq2_0"])
def test_a_written_file_is_the_same_model(kind: str, tmp_path: Path) -> None:
    source = open_model("synthetic:tiny")
    path = write_gguf(source, tmp_path / "tiny.gguf", kind)
    written = open_model(str(path))
    assert list(tmp_path.iterdir()) == [path]
    assert dict(written.metadata) == {**source.metadata, "general.file_type": {"tq1_0": 36, "tq2_0": 37}[kind]}
    assert list(written.tensors) == list(source.tensors)
    for name, tensor in source.tensors.items():
        if tensor.type == "tq2_0":
            assert written.tensors[name].type == kind
            np.testing.assert_array_equal(repack(written.packed(name), kind, "tq2_0"), source.packed(name))
        else:
            np.testing.assert_array_equal(written.packed(name), source.packed(name))
    assert len(gguf.GGUFReader(path).tensors) == len(source.tensors)


def test_writing_a_read_file_again_gives_the_same_bytes(tmp_path: Path) -> None:
    first = write_gguf(open_model("synthetic:tiny"), tmp_path / "first.gguf", "tq1_0")
    middle = write_gguf(GgufFile(first), tmp_path / "middle.gguf", "tq2_0")
    last = write_gguf(GgufFile(middle), tmp_path / "last.gguf", "tq1_0")
    assert first.read_bytes() == last.read_bytes()


def test_value_types_of_metadata_survive_a_copy(golden: Path, tmp_path: Path) -> None:
    source = GgufFile(golden / "tiny-ms.tq2_0.gguf")
    copy = GgufFile(write_gguf(source, tmp_path / "copy.gguf", "tq1_0"))
    assert {**copy.value_types} == {**source.value_types}
    assert {**copy.metadata, "general.file_type": 37} == source.metadata
    for name in source.tensors:
        np.testing.assert_array_equal(copy.packed(name), GgufFile(golden / "tiny-ms.tq1_0.gguf").packed(name))


def test_a_write_that_fails_leaves_the_old_file_and_no_part(tmp_path: Path) -> None:
    """A limit on file size stands for a full disk."""
    target = tmp_path / "model.gguf"
    target.write_bytes(b"old")
    script = f"""
import resource
from pathlib import Path
from tritmark.engine.errors import FormatError
from tritmark.engine.formats.gguf_writer import write_gguf
from tritmark.engine.formats.model import open_model
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, {process_limits.getrlimit(process_limits.RLIMIT_FSIZE)[1]}))
try:
    write_gguf(open_model("synthetic:tiny"), Path({str(target)!r}), "tq1_0")
except FormatError as error:
    print(error)
"""
    output = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert output.startswith(f"cannot write {target}: ") and output.count("\n") == 1
    assert list(tmp_path.iterdir()) == [target] and target.read_bytes() == b"old"


def test_a_folder_that_is_missing_and_a_type_that_is_not_ternary_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="cannot write"):
        write_gguf(open_model("synthetic:tiny"), tmp_path / "nowhere" / "model.gguf", "tq1_0")
    with pytest.raises(FormatError, match="choose one of tq1_0, tq2_0"):
        write_gguf(open_model("synthetic:tiny"), tmp_path / "model.gguf", "q8_0")
    assert not list(tmp_path.iterdir())


def test_a_longer_context_is_another_model_of_the_same_weights() -> None:
    long, short = (open_model(spec) for spec in ("synthetic:tiny?context=40000&seed=3", "synthetic:tiny?seed=3"))
    assert long.metadata["bitnet.context_length"] == 40000 and long.sha256 != short.sha256
    assert (long.packed("blk.0.attn_q.weight") == short.packed("blk.0.attn_q.weight")).all()
