"""Merging adapters: what becomes of adapted matrices, that nothing else changes, and what is refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from adapter_samples import LAYER, random_adapter
from imagined_device import CAPS
from made_models import Recipe, made_model

from tritmark.engine.errors import FormatError
from tritmark.engine.formats.adapter import write_adapter
from tritmark.engine.formats.blocks import dense
from tritmark.engine.formats.gguf_writer import write_gguf
from tritmark.engine.formats.merge import MERGED_KEY, absmean, merge
from tritmark.engine.formats.model import Model, open_model
from tritmark.engine.formats.resident import as_ternary, outer_scale
from tritmark.engine.formats.ternary import unpack
from tritmark.engine.inference import compile_logits, parse_format
from tritmark.engine.models.adapters import open_adapters, parse_weighted
from tritmark.engine.plan import problems

RECIPES = {
    "one scale, rows that no block divides, a head": Recipe(feed_forward=352, kv_heads=2, head_type="q8_0"),
    "scale tensors": Recipe(scales="outer"),
    "block scales, a dense projection": Recipe(scales="block", down_type="q6_k"),
}


def values(model: Model, name: str) -> np.ndarray:
    info = model.tensors[name]
    return dense(model.packed(name), info.type, info.cols).astype(np.float64) * float(outer_scale(model, name))


def product(path: Path, name: str) -> np.ndarray:
    """B A of an adapter file, in float64."""
    file = open_model(str(path))
    a, b = (values(file, f"{name}.lora_{half}") for half in "ab")
    return b @ a


@pytest.fixture(params=RECIPES)
def base(request: pytest.FixtureRequest, tmp_path: Path) -> Model:
    """A model file of each way a projection is stored."""
    return open_model(str(write_gguf(made_model(RECIPES[request.param]), tmp_path / "base.gguf", "tq2_0")))


def test_dense_is_the_sum_as_f16_and_nothing_else_changes(base: Model, tmp_path: Path) -> None:
    names = [f"blk.0.{part}" for part in LAYER if part != "attn_k"] + (["output"] if "output.weight" in base.tensors
                                                                       else [])  # fmt: skip
    first = random_adapter(tmp_path / "1.gguf", base, names)
    second = random_adapter(tmp_path / "2.gguf", base, ["blk.0.attn_q"], rank=2, seed=2)
    adapters = open_adapters([f"{first}=0.5", str(second)], base)
    merged = open_model(str(merge(base, adapters.used, tmp_path / "merged.gguf", "dense")))
    for name, info in merged.tensors.items():
        if name.removesuffix(".weight") not in names:
            assert info == base.tensors[name]
            np.testing.assert_array_equal(merged.packed(name), base.packed(name))
            continue
        expected = values(base, name) + product(first, name)  # scale alpha / rank = 2, weight 0.5
        if name == "blk.0.attn_q.weight":
            expected += 2 * product(second, name)
        assert info.type == "f16"
        np.testing.assert_allclose(values(merged, name), expected, rtol=2**-11, atol=1e-7)
    gone = base.tensors.keys() - merged.tensors.keys()
    assert gone == {f"{name}.scale" for name in names} & base.tensors.keys()
    compiled = compile_logits(merged, [1, 2, 3], parse_format("tq2_0"), CAPS)
    assert list(problems(compiled.plan, CAPS)) == []


@pytest.mark.parametrize("kind", ["tq1_0", "tq2_0"])
def test_ternary_again_is_absmean_with_one_scale(base: Model, kind: str, tmp_path: Path) -> None:
    path = random_adapter(tmp_path / "a.gguf", base)
    merged = open_model(str(merge(base, open_adapters([str(path)], base).used, tmp_path / "merged.gguf", kind)))
    changed = 0
    for part in LAYER:
        name = f"blk.0.{part}.weight"
        expected = values(base, name) + 2 * product(path, name)
        if base.tensors[name].type == "q6_k":
            assert merged.tensors[name].type == "f16"
            continue
        scale = np.abs(expected).mean()
        trits, found = trits_and_scale(merged, name)
        clear = np.abs(np.abs(expected / scale) - 0.5) > 1e-5
        np.testing.assert_array_equal(trits[clear], np.clip(np.rint(expected / scale), -1, 1)[clear])
        assert clear.mean() > 0.999 and abs(found / scale - 1) < 2**-11
        assert merged.tensors[name].type == ("f16" if expected.shape[1] % 256 else kind)
        changed += int((trits != np.sign(values(base, name))).sum())
    assert changed > 0


def trits_and_scale(model: Model, name: str) -> tuple[np.ndarray, float]:
    held = as_ternary(model, name)
    if held is not None:
        return held[0], float(held[1])
    trits, scales = unpack(model.packed(name), model.tensors[name].type)
    assert np.unique(scales).size == 1
    return trits, float(scales[0, 0])


def test_an_adapter_of_nothing_but_zeros_leaves_absmean_of_the_base(tmp_path: Path) -> None:
    """The scale falls to the mean of |W|, as two thirds of the trits are not 0; the trits are the same."""
    base = made_model(Recipe())
    path = random_adapter(tmp_path / "a.gguf", base, ["blk.0.attn_q"], b=0)
    merged = open_model(str(merge(base, open_adapters([str(path)], base).used, tmp_path / "merged.gguf", "tq2_0")))
    before, after = (trits_and_scale(model, "blk.0.attn_q.weight") for model in (base, merged))
    np.testing.assert_array_equal(after[0], before[0])
    assert after[1] == pytest.approx(before[1] * np.abs(before[0]).mean(), rel=2**-10)


def test_ties_round_to_even_and_zeros_keep_a_scale() -> None:
    trits, scale = absmean(np.tile(np.array([0.5, -0.5, 1.5, -1.5, 1, -1, 1, -1], np.float32), (4, 4)), "w")
    assert scale == 1 and trits[0, :8].tolist() == [0, 0, 1, -1, 1, -1, 1, -1]
    trits, scale = absmean(np.zeros((2, 8), np.float32), "w")
    assert scale == np.float16(1e-5) and not trits.any()
    with pytest.raises(FormatError, match="does not fit fp16"):
        absmean(np.full((2, 8), 1e6, np.float32), "w")


def test_metadata_are_kept_and_tell_of_the_merge(tmp_path: Path) -> None:
    base = open_model(str(write_gguf(made_model(Recipe()), tmp_path / "base.gguf", "tq1_0")))
    path = random_adapter(tmp_path / "a.gguf", base)
    for kind, file_type in (("dense", 1), ("tq2_0", 37)):
        used = open_adapters([f"{path}=0.25"], base).used
        merged = open_model(str(merge(base, used, tmp_path / f"{kind}.gguf", kind)))
        told = {MERGED_KEY: [f"{open_model(str(path)).sha256}=0.25"], "general.file_type": file_type}
        assert merged.metadata == {**base.metadata, **told}
    again = open_model(str(merge(merged, open_adapters([str(path)], merged).used, tmp_path / "again.gguf", "tq1_0")))
    assert len(again.metadata[MERGED_KEY]) == 2


def test_a_model_can_be_merged_onto_itself(tmp_path: Path) -> None:
    base = open_model(str(write_gguf(made_model(Recipe()), tmp_path / "base.gguf", "tq1_0")))
    used = open_adapters([str(random_adapter(tmp_path / "a.gguf", base))], base).used
    expected = merge(base, used, tmp_path / "merged.gguf", "tq1_0").read_bytes()
    assert merge(base, used, tmp_path / "base.gguf", "tq1_0").read_bytes() == expected


@pytest.mark.parametrize(("spec", "path", "weight"), [
    ("a.gguf", "a.gguf", 1.0), ("a.gguf=0.5", "a.gguf", 0.5), ("a=b.gguf", "a=b.gguf", 1.0), ("a=b=-2", "a=b", -2.0),
])  # fmt: skip
def test_an_adapter_has_a_weight_where_a_number_follows(spec: str, path: str, weight: float) -> None:
    assert parse_weighted(spec) == (Path(path), weight)


def tritmark(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tritmark.bench.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


REFUSED = {
    "no such adapter": (("--lora", "none.gguf"), "none.gguf: no such file"),
    "a model as adapter": (("--lora", "other.gguf"), "is no LoRA adapter"),
    "another shape": (("--lora", "wide.gguf"), "adapts blk.0.ffn_up.weight of shape (256, 512)"),
    "another architecture": (("--lora", "foreign.gguf"), "made for the architecture 'bitnet-b1.58'"),
    "half an adapter": (("--lora", "half.gguf"), "has only one of .lora_a and .lora_b"),
    "an embedding": (("--lora", "embedding.gguf"), "adapts token_embd.weight; only"),
    "nothing in it": (("--lora", "empty.gguf"), "holds no pair"),
    "no weight": (("--lora", "good.gguf=nan"), "finite number"),
    "too large for F16": (("--lora", "good.gguf=1e9"), "F16 cannot hold"),
    "no such type": (("--lora", "good.gguf", "--type", "q8_0"), "choose one of dense, tq1_0, tq2_0"),
    "no such text": (("--lora", "good.gguf", "--data", "none.txt"), "none.txt: No such file"),
    "no text": (("--lora", "good.gguf", "--data", "half.gguf"), "is not UTF-8"),
    "no tokenizer": (("--lora", "good.gguf", "--data", "text.txt"), "the model has no tokenizer"),
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    base, name = made_model(Recipe()), "blk.0.attn_q.weight"
    write_gguf(base, folder / "base.gguf", "tq2_0")
    write_gguf(base, folder / "other.gguf", "tq2_0")
    random_adapter(folder / "good.gguf", base)
    random_adapter(folder / "embedding.gguf", base, ["token_embd"])
    random_adapter(folder / "wide.gguf", made_model(Recipe(embedding=512)), ["blk.0.ffn_up"])
    random_adapter(folder / "foreign.gguf", made_model(Recipe(architecture="bitnet-b1.58")))
    write_adapter(folder / "half.gguf", base, 1.0, {f"{name}.lora_a": np.zeros((2, 256), np.float32)}, {})
    halves = {f"output_norm.weight.lora_{half}": np.zeros((2, 2), np.float32) for half in "ab"}
    write_adapter(folder / "empty.gguf", base, 1.0, halves, {})
    (folder / "text.txt").write_text("some words")
    return folder


@pytest.mark.parametrize("name", REFUSED)
def test_bad_input_is_one_line_and_leaves_nothing_behind(files: Path, name: str) -> None:
    arguments, says = REFUSED[name]
    paths = [str(files / text) if ".gguf" in text or text.endswith(".txt") else text for text in arguments]
    before = sorted(files.iterdir())
    ended = tritmark("merge", "--model", files / "base.gguf", "--out", files / "out.gguf", *paths)
    assert ended.returncode == 1 and says in ended.stderr and ended.stderr.count("\n") == 1 and not ended.stdout
    assert sorted(files.iterdir()) == before


def test_a_full_disk_leaves_the_old_file_and_no_part(files: Path, tmp_path: Path) -> None:
    """A limit on file size stands for a full disk."""
    target = tmp_path / "merged.gguf"
    target.write_bytes(b"old")
    script = f"""
import resource, sys
from tritmark.bench.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
sys.argv = ["tritmark", "merge", "--model", {str(files / "base.gguf")!r}, "--lora", {str(files / "good.gguf")!r},
            "--out", {str(target)!r}]
main()
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert ended.returncode == 1 and ended.stderr.startswith(f"tritmark: cannot write {target}: ")
    assert ended.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == [target] and target.read_bytes() == b"old"


def test_merging_reports_what_it_wrote(files: Path, tmp_path: Path) -> None:
    target = tmp_path / "merged.gguf"
    ended = tritmark("merge", "--model", files / "base.gguf", "--lora", files / "good.gguf", "--out", target,
                     "--type", "tq1_0")  # fmt: skip
    assert ended.returncode == 0 and ended.stdout.startswith(f"wrote {target} (")
    assert open_model(str(target)).sha256 in ended.stdout and ended.stdout.count("\n") == 1
