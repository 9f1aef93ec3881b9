"""Rendering kernels: includes, conditions, repetition, constants, binding numbers, and what is refused."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tritmark.engine import wgsl
from tritmark.engine.errors import PlanError
from tritmark.engine.wgsl import Parameter, render


@pytest.fixture
def kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder of kernels."""
    monkeypatch.setattr(wgsl, "KERNELS", tmp_path)
    wgsl._source.cache_clear()
    wgsl._render.cache_clear()
    yield tmp_path
    wgsl._source.cache_clear()
    wgsl._render.cache_clear()


def lines(kernels: Path, text: str, **constants: int | float | bool) -> list[str]:
    """The rendered lines of a kernel with this text."""
    (kernels / "k.wgsl").write_text(text)
    return render("k", constants).text.splitlines()


def test_constants_become_a_prelude(kernels: Path) -> None:
    assert lines(kernels, "body\n", WG=64, EPS=0.5, FLAG=True) == [
        "const EPS: f32 = 5.000000000e-01f;", "const WG: u32 = 64u;", "body"]  # fmt: skip


@given(value=st.floats(2**-100, 2**100, allow_subnormal=False))
def test_float_constants_are_the_nearest_f32(value: float) -> None:
    """Not the nearest to some digits of a double, which may lie on the other side of a tie."""
    text = wgsl._constant("C", value).removeprefix("const C: f32 = ").removesuffix("f;")
    assert np.float32(text) == np.float32(value)


def test_the_scale_of_heads_of_96_is_rounded_once() -> None:
    text = wgsl._constant("SCALE", 96**-0.5).split()[-1].removesuffix("f;")
    assert np.float32(text) == np.float32(96**-0.5)


def test_an_include_is_expanded_once(kernels: Path) -> None:
    (kernels / "a.wgsl").write_text('#include "b.wgsl"\na\n')
    (kernels / "b.wgsl").write_text("b\n")
    assert lines(kernels, '#include "b.wgsl"\n#include "a.wgsl"\n#include "a.wgsl"\nk\n') == ["b", "a", "k"]


def test_an_include_may_be_chosen_by_the_op(kernels: Path) -> None:
    (kernels / "one.wgsl").write_text("one\n")
    (kernels / "k.wgsl").write_text('#include "part"\n')
    assert render("k", {}, {"part": "one.wgsl"}).text == "one\n"


@pytest.mark.parametrize(("a", "b", "kept"), [(True, True, "1 2 5"), (True, False, "1 3 5"), (False, True, "4 5")])
def test_conditions_nest(kernels: Path, a: bool, b: bool, kept: str) -> None:
    text = "#if A\n1\n#if !B\n3\n#else\n2\n#endif\n#else\n4\n#endif\n5\n"
    assert lines(kernels, text, A=a, B=b) == kept.split()


def test_an_include_that_is_left_out_need_not_exist(kernels: Path) -> None:
    assert lines(kernels, '#if A\n#include "missing.wgsl"\n#endif\nx\n', A=False) == ["x"]


def test_repetition_nests_and_counts(kernels: Path) -> None:
    text = "#for i in N\na[i]\n#for j in M\nb[i][j] pi\n#end\n#end\n"
    found = lines(kernels, text, N=2, M=2)[2:]
    assert found == ["a[0u]", "b[0u][0u] pi", "b[0u][1u] pi", "a[1u]", "b[1u][0u] pi", "b[1u][1u] pi"]


def test_comments_and_empty_lines_go(kernels: Path) -> None:
    assert lines(kernels, "// all\n\n  let x = 1;  // why\n  // indented\n") == ["  let x = 1;"]


def test_bindings_are_numbered_in_order(kernels: Path) -> None:
    declared = ("@group(0) @binding(0) var<uniform> step: Step;", "@group(0) @binding(auto) var<storage, read> a: A;",
                "#if F", "@group(0) @binding(auto) var<uniform> b: B;", "#endif",
                "@group(0) @binding(auto) var<storage, read_write> c: C;")  # fmt: skip
    (kernels / "k.wgsl").write_text("\n".join(declared))
    module = render("k", {"F": True})
    expected = (Parameter(1, "a", "read"), Parameter(2, "b", "uniform"), Parameter(3, "c", "read_write"))
    assert module.parameters == expected
    assert "@binding(3) var<storage, read_write> c" in module.text and "auto" not in module.text
    assert [p.name for p in render("k", {"F": False}).parameters] == ["a", "c"]


def test_the_hash_is_of_the_text(kernels: Path) -> None:
    (kernels / "k.wgsl").write_text("x\n")
    one, two = render("k", {"N": 1}), render("k", {"N": 2})
    assert one.hash == hashlib.sha256(one.text.encode()).hexdigest() != two.hash
    assert render("k", {"N": 1}) is one


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("#if UNKNOWN\n#endif\n", "UNKNOWN is not set"),
        ("#if A\n", "#if without #endif"),
        ("#endif\n", "#endif without #if"),
        ("#else\n", "#else without #if"),
        ("#if a-b\n#endif\n", "cannot read"),
        ("#ifdef A\n#endif\n", "cannot read"),
        ('#include "missing.wgsl"\n', "missing.wgsl does not exist"),
        ("#include missing\n", "cannot read"),
        ("#for i in UNKNOWN\n#end\n", "cannot read"),
        ("#for i in N\nx\n", "has no #end"),
        ("#end\n", "cannot read"),
        ("#define X\n", "cannot read"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line(kernels: Path, text: str, says: str) -> None:
    with pytest.raises(PlanError, match=says) as caught:
        lines(kernels, text, A=True, N=2)
    assert "\n" not in str(caught.value)


def test_a_kernel_that_is_not_there_is_refused() -> None:
    with pytest.raises(PlanError, match="does not exist"):
        render("nonesuch", {})
