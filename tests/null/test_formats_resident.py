"""The resident layout: words are the file's bytes in another order, and scales say what the file's scales say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from imagined_device import CAPS
from made_models import Recipe, made_model

from tritmark.engine import weights
from tritmark.engine.errors import FormatError
from tritmark.engine.formats import resident
from tritmark.engine.formats.blocks import BLOCKS, TERNARY, block_scales, dense, row_bytes
from tritmark.engine.formats.gguf_writer import write_gguf
from tritmark.engine.formats.model import TensorInfo, content_id, open_model
from tritmark.engine.formats.resident import KINDS, tiled, untiled
from tritmark.engine.formats.ternary import pack, unpack
from tritmark.engine.inference import Workload, compile_workload, parse_format
from tritmark.engine.models.source import Source


class MadeModel:
    """A Model of given packed tensors."""

    name, path, sha256 = "made", None, "0" * 64

    def __init__(self, **tensors: tuple[str, tuple[int, ...], np.ndarray]) -> None:
        self.metadata: dict[str, Any] = {}
        self.tensors = {f"{key}": TensorInfo(key, shape, kind) for key, (kind, shape, _) in tensors.items()}
        self._packed = {key: packed for key, (_, _, packed) in tensors.items()}

    def known_scale(self, name: str) -> None:
        return None

    def packed(self, name: str) -> np.ndarray:
        return self._packed[name]


def made(kind: str, trits: np.ndarray, scales: np.ndarray, outer: float | None = None) -> MadeModel:
    tensors = {"w.weight": (kind, trits.shape, pack(trits, scales, kind))}
    if outer is not None:
        tensors["w.scale"] = ("f32", (1,), np.array([[outer]], "<f4").view(np.uint8))
    return MadeModel(**tensors)


def random_trits(rows: int, cols: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-1, 2, (rows, cols), np.int8)


@settings(max_examples=150)
@given(kind=st.sampled_from(sorted(KINDS)), rows=st.integers(1, 70), units=st.integers(1, 20), seed=st.integers(0, 99))
def test_untile_undoes_tile(kind: str, rows: int, units: int, seed: int) -> None:
    cols = units * BLOCKS[kind].weights if BLOCKS[kind].weights < 256 else -(-units // 7) * 256
    packed = np.random.default_rng(seed).integers(0, 256, (rows, row_bytes(kind, cols)), np.uint8)
    words = tiled(packed, kind, rows, cols)
    parts = KINDS[kind].parts
    assert words.shape == (-(-rows // 32), -(-cols // 256), KINDS[kind].words // parts, 32, parts)
    assert words.dtype == np.uint32
    size = BLOCKS[kind].bytes
    expected = packed.reshape(rows, -1, size)[:, :, :-2].reshape(rows, -1) if kind in TERNARY else packed
    np.testing.assert_array_equal(untiled(words, kind, rows, cols), expected)


def test_word_order_is_tile_block_load_row_part() -> None:
    packed = np.zeros((40, 2 * 66), np.uint8)
    packed[33, 66 + 5] = 7  # row 33, block 1, byte 5
    words = tiled(packed, "tq2_0", 40, 512)
    assert words[1, 1, 0, 1, 1] == 7 << 8 and words[0].sum() == 0


def test_padding_rows_are_zero_trits() -> None:
    for kind in TERNARY:
        words = tiled(pack(random_trits(33, 256), np.ones((33, 1), np.float16), kind), kind, 33, 256)
        trits, _ = unpack(resident.packed_blocks(words, kind), kind)
        assert trits.shape == (64, 256) and not trits[33:].any() and trits[:33].any()


@pytest.mark.parametrize("kind", TERNARY)
@pytest.mark.parametrize("held", TERNARY)
def test_words_of_either_type_hold_the_same_trits(kind: str, held: str) -> None:
    trits = random_trits(70, 768)
    model = made(kind, trits, np.ones((70, 3), np.float16))
    words = resident.weight_words(model, "w.weight", held)
    found = unpack(resident.packed_blocks(words, held), held)[0]
    np.testing.assert_array_equal(found[:70], trits)
    np.testing.assert_array_equal(resident.weight_words(model, "w.weight", held, slice(1, 3)), words[1:3])


def test_words_of_small_blocks_are_quants_in_order_then_scales() -> None:
    q8 = np.arange(8 * 34, dtype=np.uint8)[None]
    words = tiled(q8, "q8_0", 1, 256)[0, 0, :, 0].tobytes()
    blocks = q8.reshape(8, 34)
    assert words == blocks[:, 2:].tobytes() + blocks[:, :2].tobytes()
    q4 = np.arange(3 * 18, dtype=np.uint8)[None]  # 96 columns: five of eight sub-blocks are padding
    words = tiled(q4, "q4_0", 1, 96)[0, 0, :, 0].tobytes()
    blocks = q4.reshape(3, 18)
    assert words == blocks[:, 2:].tobytes() + b"\0" * 80 + blocks[:, :2].tobytes() + b"\0" * 10
    q6 = np.arange(210, dtype=np.uint8)[None]
    assert tiled(q6, "q6_k", 1, 256)[0, 0, :, 0].tobytes() == q6.tobytes() + b"\0\0"


def test_one_scale_a_tensor_lies_by_row_and_zero_blocks_may_carry_none() -> None:
    trits, scales = random_trits(40, 512), np.full((40, 2), 0.25, np.float16)
    trits[3, 256:], scales[3, 1] = 0, 0
    trits[4], scales[4] = 0, 0
    model = made("tq2_0", trits, scales)
    assert resident.scale_layout(model, "w.weight") == "row"
    found = resident.weight_row_scales(model, "w.weight")
    assert found.shape == (64,) and found.dtype == np.float32
    np.testing.assert_array_equal(found, [0 if row == 4 or row >= 40 else 0.25 for row in range(64)])


@pytest.mark.parametrize("kind", TERNARY)
def test_a_zero_scale_over_nonzero_trits_is_a_scale_of_its_own(kind: str) -> None:
    trits, scales = random_trits(4, 512), np.full((4, 2), 0.25, np.float16)
    scales[2, 1] = 0
    model = made(kind, trits, scales)
    assert resident.scale_layout(model, "w.weight") == "block"
    with pytest.raises(FormatError, match="different scales"):
        resident.weight_row_scales(model, "w.weight")


@settings(max_examples=40)
@given(rows=st.integers(1, 40), blocks=st.integers(1, 3), seed=st.integers(0, 99), per_row=st.booleans())
def test_trits_times_resident_scales_are_the_dense_weights(rows: int, blocks: int, seed: int, per_row: bool) -> None:
    random = np.random.default_rng(seed)
    scales = random.uniform(0.1, 1, (rows, 1 if per_row else blocks)).astype(np.float16)
    scales = np.broadcast_to(scales, (rows, blocks))
    trits = random.integers(-1, 2, (rows, 256 * blocks), np.int8)
    model = made("tq1_0", trits, scales, outer=0.3)
    expected = dense(model.packed("w.weight"), "tq1_0", 256 * blocks).astype(np.float64) * np.float32(0.3)
    found = np.repeat(resident.weight_block_scales(model, "w.weight").transpose(0, 2, 1).reshape(-1, blocks)[:rows],
                      256, axis=1)
    np.testing.assert_allclose(found.astype(np.float64) * trits, expected, rtol=1e-7)
    if resident.scale_layout(model, "w.weight") == "row":
        row = resident.weight_row_scales(model, "w.weight")[:rows, None]
        np.testing.assert_allclose(row.astype(np.float64) * trits, expected, rtol=1e-7)
    else:
        assert not per_row


def test_code_3_never_reaches_a_buffer() -> None:
    model = made("tq2_0", random_trits(2, 256), np.ones((2, 1), np.float16))
    model.packed("w.weight")[1, 5] = 0xFF
    for held in TERNARY:
        with pytest.raises(FormatError, match="code 3"):
            resident.weight_words(model, "w.weight", held)


@pytest.mark.parametrize("kind", ["f16", "f32", "bf16"])
def test_a_dense_tensor_that_is_ternary_is_held_as_ternary(kind: str) -> None:
    trits = random_trits(40, 352)
    values = (trits * np.float32(0.375)).astype("<f4")
    packed = {"f32": values, "f16": values.astype("<f2"), "bf16": (values.view("<u4") >> 16).astype("<u2")}[kind]
    model = MadeModel(**{"w.weight": (kind, trits.shape, packed.view(np.uint8))})
    found = resident.as_ternary(model, "w.weight")
    assert found is not None and found[1] == 0.375
    np.testing.assert_array_equal(found[0], trits)
    for held in TERNARY:
        words = resident.weight_words(model, "w.weight", held)
        unpacked = unpack(resident.packed_blocks(words, held), held)[0]
        np.testing.assert_array_equal(unpacked[:40, :352], trits)
        assert not unpacked[40:].any() and not unpacked[:, 352:].any()
    np.testing.assert_array_equal(resident.weight_row_scales(model, "w.weight"), [0.375] * 40 + [0] * 24)
    assert resident.weight_block_scales(model, "w.weight").shape == (2, 2, 32)


def test_almost_ternary_is_not_ternary_and_cannot_be_held_as_such() -> None:
    values = random_trits(4, 352).astype("<f4")
    values[3, 351] = 0.5
    model = MadeModel(**{"w.weight": ("f32", values.shape, values.view(np.uint8))})
    assert resident.as_ternary(model, "w.weight") is None
    with pytest.raises(FormatError, match="cannot be held as tq1_0"):
        resident.weight_words(model, "w.weight", "tq1_0")
    with pytest.raises(FormatError, match="not ternary"):
        resident.weight_row_scales(model, "w.weight")


def test_all_zeros_are_ternary_with_scale_0() -> None:
    model = MadeModel(**{"w.weight": ("f16", (2, 4), np.zeros((2, 8), np.uint8))})
    found = resident.as_ternary(model, "w.weight")
    assert found is not None and found[1] == 0 and not found[0].any()


def test_golden_models_are_held_as_their_files_say(golden: Path) -> None:
    for file in sorted(golden.glob("tiny-*.gguf")):
        model = open_model(str(file))
        for name, tensor in model.tensors.items():
            if len(tensor.shape) != 2 or tensor.type not in TERNARY:
                continue
            assert resident.scale_layout(model, name) == "row"
            for held in TERNARY:
                rows = resident.packed_blocks(resident.weight_words(model, name, held), held)
                np.testing.assert_array_equal(unpack(rows, held)[0][: tensor.rows],
                                              unpack(model.packed(name), tensor.type)[0])
            scale = block_scales(model.packed(name), tensor.type).astype(np.float32).max()
            scale *= resident.outer_scale(model, name)
            assert set(resident.weight_row_scales(model, name)[: tensor.rows]) <= {scale, np.float32(0)}


def test_rows_of_352_in_a_golden_model_are_ternary_in_f16_and_not_in_q4_0(golden: Path) -> None:
    exact = open_model(str(golden / "tiny-odd.tq2_0.gguf"))
    lossy = open_model(str(golden / "tiny-odd.llamaquantize.tq1_0.gguf"))
    assert resident.as_ternary(exact, "blk.0.ffn_down.weight") is not None
    assert resident.as_ternary(lossy, "blk.0.ffn_down.weight") is None


FILES = [Recipe(), Recipe(scales="block"), Recipe(scales="outer"), Recipe(embedding=320, feed_forward=352),
         Recipe(embed_type="q8_0"), Recipe(embed_type="q6_k", head_type="q4_0", vocabulary=130)]  # fmt: skip


@pytest.mark.parametrize("held", TERNARY)
@pytest.mark.parametrize("recipe", FILES, ids=str)
def test_pieces_of_a_file_are_the_bytes_of_its_tensors_read_whole(
    recipe: Recipe, held: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every slot, joined, paired, dense and padded ones too, in pieces of a tile or two, made in any order."""
    made = made_model(recipe)
    written = open_model(str(write_gguf(made, tmp_path / "made.gguf", "f16")))
    plan = compile_workload(written, parse_format(held), Workload.parse("decode:2"), CAPS).plan
    monkeypatch.setattr(weights, "PIECE_BYTES", 9000)
    slots = [slot for slot in plan.slots if slot.ranges]
    pieces = {slot.id: Source(written, held).pieces(slot) for slot in slots}
    assert max(map(len, pieces.values())) > 2
    for slot in slots:
        parts = [piece.make() for piece in reversed(pieces[slot.id])][::-1]
        assert [part.nbytes for part in parts] == [piece.bytes for piece in pieces[slot.id]]
        whole = b"".join(part.tobytes() for part in Source(made, held).parts(slot))
        assert b"".join(part.tobytes() for part in parts) == whole


def test_content_is_named_by_what_a_file_holds_and_not_by_its_name(tmp_path: Path) -> None:
    one, other, changed = (tmp_path / f"{name}.gguf" for name in ("one", "other", "changed"))
    write_gguf(made_model(Recipe()), one, "f16")
    other.write_bytes(one.read_bytes())
    changed.write_bytes(one.read_bytes()[:-1] + b"\1")
    first, second, third = (content_id(open_model(str(path))) for path in (one, other, changed))
    assert first == second != third
    assert content_id(open_model("synthetic:tiny")) == open_model("synthetic:tiny").sha256
