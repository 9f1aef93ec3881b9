"""Reading GGUF: golden files come out as gguf-py reads them, and no bytes whatsoever do more than raise FormatError."""

from __future__ import annotations

import hashlib
import struct
from contextlib import suppress
from pathlib import Path

import gguf as gguf_package
import numpy as np
import pytest
from gguf_samples import ARRAY, STRING, gguf, info, pair, sample, text, u32, write
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tritmark.engine.errors import FormatError
from tritmark.engine.formats.blocks import dense
from tritmark.engine.formats.gguf_header import read_header
from tritmark.engine.formats.model import open_model

HUGE = 1 << 60


def read_everything(path: Path) -> None:
    model = open_model(str(path))
    assert len(model.sha256) == 64 and isinstance(model.name, str)
    for name, tensor in model.tensors.items():
        assert model.packed(name).shape == (tensor.rows, tensor.row_bytes)


def test_golden_files_read_like_gguf_py(golden: Path) -> None:
    files = sorted(golden.glob("*.gguf"))
    assert len(files) == 12
    for file in files:
        model, reference = open_model(str(file)), gguf_package.GGUFReader(file)
        assert list(model.tensors) == [tensor.name for tensor in reference.tensors]
        for key, value in model.metadata.items():
            assert reference.fields[key].contents() == value
        for tensor in reference.tensors:
            found = model.tensors[tensor.name]
            values = dense(model.packed(tensor.name), found.type, found.cols)
            expected = gguf_package.dequantize(tensor.data, tensor.tensor_type).reshape(values.shape)
            np.testing.assert_array_equal(values, expected, err_msg=f"{file.name} {tensor.name}")


def test_a_sound_file_gives_names_shapes_metadata_and_bytes(tmp_path: Path) -> None:
    path = write(tmp_path, sample())
    model = open_model(str(path))
    assert model.name == "sample" and model.path == path
    assert model.metadata == {"general.architecture": "bitnet", "general.alignment": 32, "words": ["one", "two"]}
    assert {name: (t.shape, t.type) for name, t in model.tensors.items()} == {
        "a.weight": ((2, 256), "tq2_0"), "b.weight": ((1, 256), "tq1_0"), "norm.weight": ((4,), "f32")}
    assert model.packed("a.weight").shape == (2, 66) and model.packed("b.weight").tobytes()[-2:] == b"\0\x3c"
    assert model.packed("norm.weight").shape == (1, 16)
    assert model.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_packed_bytes_are_a_view_of_the_mapped_file(tmp_path: Path) -> None:
    packed = open_model(str(write(tmp_path, sample()))).packed("a.weight")
    assert not packed.flags.owndata and not packed.flags.writeable


ONE = [info("a", (256, 1), 35, 0)]
BAD = {
    "empty": (b"", "empty"),
    "wrong magic": (gguf([], [], magic=b"GGML"), "not a GGUF"),
    "text file": (b"hello, world\n" * 10, "not a GGUF"),
    "four bytes": (b"GGUF", "truncated"),
    "version 1": (gguf([], [], version=1), "version 1"),
    "big endian": (gguf([], [], version=3 << 24), "big-endian"),
    "2^60 tensors": (gguf([], [], info_count=HUGE), "tensor count"),
    "2^60 keys": (gguf([], [], pair_count=HUGE), "key count"),
    "many keys in a short file": (gguf([], [], pair_count=60000), "truncated"),
    "key of 2^60 bytes": (gguf([struct.pack("<Q", HUGE) + b"x" * 20], []), "length of key 0"),
    "string of 2^60 bytes": (gguf([pair("k", STRING, struct.pack("<Q", HUGE))], []), "length of key k"),
    "array of 2^60 strings": (gguf([pair("k", ARRAY, struct.pack("<IQ", STRING, HUGE))], []), "length of key k"),
    "array of 2^60 bytes": (gguf([pair("k", ARRAY, struct.pack("<IQ", 0, HUGE))], []), "length of key k"),
    "array longer than the file": (gguf([pair("k", ARRAY, struct.pack("<IQ", 12, 1 << 20))], []), "truncated"),
    "array of arrays": (gguf([pair("k", ARRAY, struct.pack("<IQ", ARRAY, 1))], []), "array of arrays"),
    "unknown value type": (gguf([pair("k", 99, b"\0" * 8)], []), "value type 99"),
    "same key twice": (gguf([u32("k", 1), u32("k", 2)], []), "key k appears twice"),
    "key not UTF-8": (gguf([pair("k", STRING, text(b"\xff\xfe"))], []), "UTF-8"),
    "alignment 0": (gguf([u32("general.alignment", 0)], ONE, b"\0" * 66), "alignment"),
    "alignment 24": (gguf([u32("general.alignment", 24)], ONE, b"\0" * 66), "alignment"),
    "alignment 2^31": (gguf([u32("general.alignment", 1 << 31)], ONE, b"\0" * 66), "alignment"),
    "alignment as text": (gguf([pair("general.alignment", STRING, text("32"))], ONE, b"\0" * 66), "alignment"),
    "same tensor twice": (gguf([], [*ONE, info("a", (256, 1), 35, 96)], b"\0" * 256), "tensor a appears twice"),
    "overlapping tensors": (gguf([], [*ONE, info("b", (256, 1), 35, 64)], b"\0" * 256), "overlaps"),
    "no dimension": (gguf([], [info("a", (), 35, 0)], b"\0" * 256), "impossible shape"),
    "a side of 0": (gguf([], [info("a", (256, 0), 35, 0)], b"\0" * 256), "impossible shape"),
    "a side of 2^60": (gguf([], [info("a", (256, HUGE), 35, 0)], b"\0" * 256), "impossible shape"),
    "sides whose product wraps": (gguf([], [info("a", (1 << 32, 1 << 32), 0, 0)], b"\0" * 256), "impossible shape"),
    "five dimensions": (gguf([], [info("a", (256, 1, 1, 1, 1), 35, 0)], b"\0" * 256), "dimension count"),
    "2^32 - 1 dimensions": (gguf([], [text("a") + struct.pack("<I", 0xFFFFFFFF)]), "dimension count"),
    "row of 250": (gguf([], [info("a", (250, 1), 35, 0)], b"\0" * 256), "no multiple of its block"),
    "offset 2^60": (gguf([], [info("a", (256, 1), 35, HUGE)], b"\0" * 256), "truncated"),
    "offset off the alignment": (gguf([], [info("a", (256, 1), 35, 2)], b"\0" * 256), "alignment 32"),
    "data cut off": (gguf([], ONE, b"\0" * 65), "truncated: tensor a"),
    "unknown tensor type": (gguf([], [info("a", (256, 1), 77, 0)], b"\0" * 256), "unknown tensor type 77"),
    "removed tensor type": (gguf([], [info("a", (256, 1), 31, 0)], b"\0" * 256), "unknown tensor type 31"),
    "I2_S": (gguf([], [info("a", (256, 1), 36, 0)], b"\0" * 256), "I2_S, a private layout"),
    "TL1": (gguf([], [info("a", (256, 1), 38, 0)], b"\0" * 256), "TL1, a private layout"),
    "TL2": (gguf([], [info("a", (256, 1), 39, 0)], b"\0" * 256), "TL2, a private layout"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_file_is_refused_in_one_line_that_names_it(case: str, tmp_path: Path) -> None:
    content, expected = BAD[case]
    path = write(tmp_path, content)
    with pytest.raises(FormatError) as caught:
        open_model(str(path))
    message = str(caught.value)
    assert expected in message and str(path) in message and "\n" not in message


def test_newlines_in_names_do_not_break_the_one_line(tmp_path: Path) -> None:
    with pytest.raises(FormatError) as caught:
        open_model(str(write(tmp_path, gguf([], [info("a\nb" * 100, (256, 1), 77, 0)], b"\0" * 256))))
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


@pytest.mark.parametrize("spec", ["missing.gguf", ".", "/dev/null", "", "a\0b"])
def test_what_is_no_file_is_refused(spec: str) -> None:
    with pytest.raises(FormatError):
        open_model(spec)


@pytest.mark.parametrize(("type_id", "content"), [
    (35, b"\x55" * 64 + b"\x00\x7c"), (35, b"\x55" * 64 + b"\x01\xfe"), (34, b"\x80" * 52 + b"\x00\x7e"),
    (8, (b"\x00\x7c" + b"\0" * 32) * 8), (2, (b"\0\xfc" + b"\0" * 16) * 8), (14, b"\0" * 208 + b"\x00\x7c"),
    (0, b"\0" * 1020 + b"\0\0\xc0\x7f"), (1, b"\0" * 510 + b"\0\x7c"), (30, b"\0" * 510 + b"\x80\x7f"),
])
def test_nan_and_infinity_are_refused_when_the_tensor_is_read(type_id: int, content: bytes, tmp_path: Path) -> None:
    zeros = b"\0" * len(content)  # a sound first row
    model = open_model(str(write(tmp_path, gguf([], [info("a", (256, 2), type_id, 0)], zeros + content))))
    with pytest.raises(FormatError, match=r"tensor a has a NaN or infinite value or scale in row 1"):
        model.packed("a")


def test_a_type_of_ggml_that_bitnet_files_do_not_use_is_named_when_read(tmp_path: Path) -> None:
    model = open_model(str(write(tmp_path, gguf([], [info("a", (256, 1), 12, 0)], b"\0" * 144))))
    assert model.tensors["a"].type == "q4_k"
    with pytest.raises(FormatError, match="tensor a is q4_k; supported are f32"):
        model.packed("a")


def test_an_unknown_tensor_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="no tensor nothing"):
        open_model(str(write(tmp_path, sample()))).packed("nothing")


@pytest.mark.parametrize("length", range(0, len(sample()), 7))
def test_every_truncation_is_refused(length: int, tmp_path: Path) -> None:
    with pytest.raises(FormatError):
        read_everything(write(tmp_path, sample()[:length]))


@settings(max_examples=400, deadline=2000, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(flips=st.lists(st.tuples(st.integers(0, len(sample()) - 1), st.integers(0, 255)), min_size=1, max_size=6),
       cut=st.one_of(st.none(), st.integers(0, len(sample()))))
def test_flipped_bytes_give_an_error_or_a_working_model(tmp_path: Path, flips: list[tuple[int, int]],
                                                        cut: int | None) -> None:
    content = bytearray(sample())
    for at, value in flips:
        content[at] = value
    with suppress(FormatError):
        read_everything(write(tmp_path, bytes(content[:cut])))


@settings(max_examples=200, deadline=2000)
@given(st.binary(max_size=300))
def test_any_bytes_after_the_magic_give_an_error_or_a_header(tail: bytes) -> None:
    with suppress(FormatError):
        read_header(np.frombuffer(b"GGUF\3\0\0\0" + tail, np.uint8))
