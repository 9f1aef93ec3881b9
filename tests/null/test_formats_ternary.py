"""TQ1_0 and TQ2_0 packing: the bytes of gguf-py and the golden files, and repacking without loss."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import gguf
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tritmark.engine.errors import FormatError
from tritmark.engine.formats.blocks import dense, first_nonfinite, row_bytes
from tritmark.engine.formats.ternary import pack, quantise, repack, require_trits, unpack

TYPES = ("tq1_0", "tq2_0")
GGUF_TYPE = {name: gguf.GGMLQuantizationType[name.upper()] for name in ("tq1_0", "tq2_0", "q8_0", "q4_0", "q6_k")}

trit_matrices = st.tuples(st.integers(1, 4), st.integers(1, 3)).flatmap(
    lambda shape: hnp.arrays(np.int8, (shape[0], 256 * shape[1]), elements=st.integers(-1, 1)))


def some_scales(trits: np.ndarray, seed: int) -> np.ndarray:
    shape = (len(trits), trits.shape[1] // 256)
    return np.random.default_rng(seed).uniform(-2, 2, shape).astype(np.float16)


def test_golden_matrices_are_packed_byte_for_byte(golden: Path) -> None:
    arrays = np.load(golden / "tq_matrices.npz")
    cases = [name.removesuffix("/x") for name in arrays.files if name.endswith("/x")]
    assert len(cases) == 15
    for case in cases:
        weights = arrays[f"{case}/x"]
        packed = {kind: quantise(weights, kind) for kind in TYPES}
        for kind in TYPES:
            np.testing.assert_array_equal(packed[kind], arrays[f"{case}/{kind.upper()}"], err_msg=case)
            np.testing.assert_array_equal(dense(packed[kind], kind, weights.shape[1]),
                                          arrays[f"{case}/{kind.upper()}/deq"], err_msg=case)
        np.testing.assert_array_equal(repack(packed["tq1_0"], "tq1_0", "tq2_0"), packed["tq2_0"], err_msg=case)
        np.testing.assert_array_equal(repack(packed["tq2_0"], "tq2_0", "tq1_0"), packed["tq1_0"], err_msg=case)


def test_large_golden_matrices_have_the_recorded_digests(golden: Path) -> None:
    cases = json.loads((golden / "tq_matrices.json").read_text())["cases"]
    name, seed = "many_rows_4099x768_s14", 14
    random = np.random.RandomState(seed)
    shape = tuple(cases[name]["shape"])
    zero = random.random_sample(shape) < 1 / 3
    signs = np.where(random.random_sample(shape) < 0.5, -1.0, 1.0)
    weights = np.where(zero, 0.0, signs).astype(np.float32) * np.float32(0.0371)
    assert hashlib.sha256(weights.tobytes()).hexdigest() == cases[name]["sha256_input_f32"]
    for kind in TYPES:
        packed = quantise(weights, kind)
        assert hashlib.sha256(packed.tobytes()).hexdigest() == cases[name][kind.upper()]["sha256_bytes"]
        values = dense(packed, kind, shape[1])
        assert hashlib.sha256(values.tobytes()).hexdigest() == cases[name][kind.upper()]["sha256_deq_f32"]


@pytest.mark.parametrize("kind", TYPES)
@given(trits=trit_matrices, seed=st.integers(0, 9))
def test_unpack_undoes_pack(kind: str, trits: np.ndarray, seed: int) -> None:
    scales = some_scales(trits, seed)
    packed = pack(trits, scales, kind)
    assert packed.shape == (len(trits), row_bytes(kind, trits.shape[1]))
    found, found_scales = unpack(packed, kind)
    np.testing.assert_array_equal(found, trits)
    np.testing.assert_array_equal(found_scales, scales)


@given(trits=trit_matrices, seed=st.integers(0, 9))
def test_repack_gives_the_bytes_of_packing_directly_and_back(trits: np.ndarray, seed: int) -> None:
    scales = some_scales(trits, seed)
    first, second = (pack(trits, scales, kind) for kind in TYPES)
    np.testing.assert_array_equal(repack(first, "tq1_0", "tq2_0"), second)
    np.testing.assert_array_equal(repack(second, "tq2_0", "tq1_0"), first)


@pytest.mark.parametrize("kind", TYPES)
@given(trits=trit_matrices, seed=st.integers(0, 9))
def test_dense_equals_gguf_py(kind: str, trits: np.ndarray, seed: int) -> None:
    packed = pack(trits, some_scales(trits, seed), kind)
    np.testing.assert_array_equal(dense(packed, kind, trits.shape[1]), gguf.dequantize(packed, GGUF_TYPE[kind]))


@settings(max_examples=50)
@given(weights=hnp.arrays(np.float32, (2, 256), elements=st.floats(-(2.0**100), 2.0**100, width=32)),
       kind=st.sampled_from(TYPES))
def test_quantise_equals_gguf_py(weights: np.ndarray, kind: str) -> None:
    with np.errstate(all="ignore"):
        expected = gguf.quantize(weights, GGUF_TYPE[kind])
    np.testing.assert_array_equal(quantise(weights, kind), expected)


@given(data=hnp.arrays(np.uint8, (3, 108)))
def test_any_tq1_bytes_repack_to_the_values_they_decode_to(data: np.ndarray) -> None:
    """Also the 13 byte values that no packer writes."""
    data[:, [52, 53, 106, 107]] = 0x3C
    np.testing.assert_array_equal(dense(repack(data, "tq1_0", "tq2_0"), "tq2_0", 512), dense(data, "tq1_0", 512))


@given(row=st.integers(0, 2), byte=st.integers(0, 63), pair=st.integers(0, 3))
def test_code_3_is_refused_by_repack_and_decodes_as_twice_the_scale(row: int, byte: int, pair: int) -> None:
    packed = pack(np.zeros((3, 256), np.int8), np.full((3, 1), 0.5, np.float16), "tq2_0")
    packed[row, byte] |= 3 << 2 * pair
    assert dense(packed, "tq2_0", 256).max() == 1.0
    with pytest.raises(FormatError, match="code 3"):
        repack(packed, "tq2_0", "tq1_0")


def test_codes_0_to_2_pass_the_trit_check_however_they_lie_in_memory() -> None:
    codes = np.array([[a | b << 2 | c << 4 | d << 6 for a in range(3) for b in range(3) for c in range(3)]
                      for d in range(3)], np.uint8)
    require_trits(codes)
    require_trits(np.tile(codes, (8, 1)))
    require_trits(codes[:, ::2])


def test_the_worked_examples_of_the_formats() -> None:
    weights = np.zeros((1, 256), np.float32)
    weights[0, [64, 96, 160, 176, 192, 208, 224, 240, 252]] = 0.5
    weights[0, [0, 128, 244]] = -0.5
    expected = bytes([54]) + b"\x80" * 31 + b"\xff" + b"\x80" * 15 + bytes([187]) + b"\x7f" * 3 + b"\0\x38"
    assert quantise(weights, "tq1_0").tobytes() == expected
    weights[:] = 0
    weights[0, [64, 96, 128, 160]], weights[0, [0, 192, 224]] = 0.5, -0.5
    assert quantise(weights, "tq2_0").tobytes() == bytes([164]) + b"\x55" * 31 + b"\n" + b"\x55" * 31 + b"\0\x38"


@pytest.mark.parametrize("kind", ["q8_0", "q4_0", "q6_k"])
@given(seed=st.integers(0, 99))
def test_dense_types_decode_like_gguf_py(kind: str, seed: int) -> None:
    random = np.random.default_rng(seed)
    packed = random.integers(0, 256, (3, row_bytes(kind, 512)), np.uint8)
    size = row_bytes(kind, 256 if kind == "q6_k" else 32)
    at = 208 if kind == "q6_k" else 0
    blocks = packed.reshape(3, -1, size)
    blocks[:, :, at : at + 2] = random.normal(size=(3, blocks.shape[1], 1)).astype("<f2").view(np.uint8)
    np.testing.assert_array_equal(dense(packed, kind, 512), gguf.dequantize(packed, GGUF_TYPE[kind]))


@given(values=hnp.arrays(np.float32, (2, 5), elements=st.floats(width=32, allow_nan=False)))
def test_float_types_decode_exactly(values: np.ndarray) -> None:
    np.testing.assert_array_equal(dense(values.view(np.uint8), "f32", 5), values)
    with np.errstate(over="ignore"):
        half = values.astype("<f2")
    np.testing.assert_array_equal(dense(half.view(np.uint8), "f16", 5), half.astype(np.float32))
    truncated = (values.view(np.uint32) >> 16).astype("<u2")
    np.testing.assert_array_equal(dense(truncated.view(np.uint8), "bf16", 5),
                                  (values.view(np.uint32) & 0xFFFF0000).view(np.float32))


def test_the_first_nonfinite_row_is_found_past_the_first_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    from tritmark.engine.formats import blocks

    monkeypatch.setattr(blocks, "CHUNK_BYTES", 1000)
    values = np.zeros((50, 64), np.float32)
    assert first_nonfinite(values.view(np.uint8), "f32") is None
    values[33, 63] = np.nan
    assert first_nonfinite(values.view(np.uint8), "f32") == 33


@pytest.mark.parametrize(("kind", "cols"), [("tq1_0", 255), ("q8_0", 33), ("tq3_0", 256)])
def test_rows_that_are_no_whole_blocks_and_unknown_types_are_refused(kind: str, cols: int) -> None:
    with pytest.raises(FormatError):
        row_bytes(kind, cols)


def test_repack_of_a_dense_type_is_refused() -> None:
    with pytest.raises(FormatError, match="not ternary"):
        repack(np.zeros((1, 64), np.uint8), "f16", "tq1_0")
