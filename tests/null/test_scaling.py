"""Series of records that differ in one thing alone, and the law that their times follow."""

from __future__ import annotations

import pytest
from command_runs import tritmark
from session_records import made, written

from tritmark.reports.scaling import fitted, scaling, text


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([(x, 2.0 + 0.01 * x) for x in (100, 500, 2000, 8000)], "2 ms + 10 us x"),
        ([(x, 0.5 * x**1.5) for x in (128, 512, 2048)], "0.5 ms x^1.50"),
        ([(x, 3.0) for x in (1, 2, 4)], "3 ms"),
    ],
    ids=["linear", "power", "constant"],
)
def test_the_law_that_made_the_points_is_found(points: list[tuple[float, float]], expected: str) -> None:
    law = fitted(points)
    assert law.text.startswith(expected) and law.worst < 1e-6


def test_the_worst_point_is_told() -> None:
    assert fitted([(1, 1.0), (2, 2.0), (4, 4.0), (8, 12.0)]).worst > 0.1


def test_series_vary_in_one_thing_alone(tmp_path: object) -> None:
    records = [made(minute=i, workload=f"decode:9@{depth}", format=format, model=model)
               for i, (depth, format, model) in enumerate(
                   [(100, "tq1_0", "a"), (200, "tq1_0", "a"), (400, "tq1_0", "a"), (100, "tq2_0", "a"),
                    (200, "tq2_0", "a"), (100, "tq1_0", "b"), (200, "tq1_0", "b"), (800, "tq2_0", "a")])]  # fmt: skip
    found = list(scaling(records))
    assert [(series.axis.name, [x for x, _ in series.points]) for series in found] == [
        ("decode by depth", [104.5, 204.5, 404.5]), ("decode by depth", [104.5, 204.5, 804.5])
    ]  # fmt: skip
    assert "a tq1_0, made GPU (wgpu)" in text(found[0]) and "positions attended to" in text(found[0])


def test_sizes_and_lengths_make_series_of_their_own() -> None:
    sizes = [made(minute=i, model=f"m{i}", shape={"ternary_weights": weights, "layers": 1, "hidden": 1})
             for i, weights in enumerate((10**8, 10**9, 7 * 10**9))]  # fmt: skip
    lengths = [made(minute=9 + i, workload=f"prefill:{n}", prompt_tokens=n, generated_tokens=0)
               for i, n in enumerate((128, 512, 2048))]  # fmt: skip
    assert [series.axis.name for series in scaling([*sizes, *lengths])] == ["decode by model size", "prefill by length"]


def test_show_prints_the_laws(tmp_path: object) -> None:
    records = [made(minute=i, workload=f"decode:9@{depth}") for i, depth in enumerate((100, 200, 400))]
    folder = written(tmp_path / "found", *records)  # type: ignore[operator]
    printed = tritmark("show", folder, "--scaling").stdout
    assert "decode by depth" in printed and "worst point" in printed
    assert "no series" in tritmark("show", written(tmp_path / "one", records[0]), "--scaling").stdout  # type: ignore[operator]
