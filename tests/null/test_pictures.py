"""Pictures: what is drawn is what the records say, and nothing else. Artists are read, never pixels.

Where measured records hold no such thing (other lengths of prompts, kernels, a phone's telemetry), they are varied:
tests/picture_records.py.
"""

from __future__ import annotations

import statistics
from dataclasses import replace
from itertools import pairwise

import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from picture_records import H200, HOST, PUBLISHED, SOFTWARE, drawing, made, one, profiled, watched

from tritmark.reports import stats
from tritmark.reports.pictures import context, curve, epoch, losses, memory, pareto, roofline, speed, telemetry
from tritmark.reports.pictures.style import ALARM, colour


def lines(axes: Axes, label: str) -> list[Line2D]:
    return [line for line in axes.lines if line.get_label() == label]


def dots(axes: Axes, label: str) -> list[tuple[float, float]]:
    """(middle, half width of the bar) of the errorbars with a label."""
    found = []
    for container in axes.containers:
        if container.get_label() == label:
            marker, _, (bar,) = container
            (left, _), (right, _) = bar.get_segments()[0]
            found.append((float(marker.get_xdata()[0]), (right - left) / 2))
    return found


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text) if isinstance(text, Text) and text.get_text()]


# speed


def test_speed_shows_median_and_mad_of_each_format_apart_for_prefill_and_decode() -> None:
    prefill, decode = drawing(speed.speed, HOST).axes
    for axes, workload, tps in ((prefill, "prefill:512", stats.prefill_tps), (decode, "decode:128", stats.decode_tps)):
        for format in ("tq1_0", "tq2_0"):
            values = tps(one("7B", format, workload))
            assert dots(axes, f"7B {format}") == [pytest.approx((statistics.median(values), stats.mad(values)))]
    assert prefill.get_xlabel() == "prefill, tok/s" and decode.get_xlabel() == "decode, tok/s"


def test_spread_is_over_sessions_where_there_are_several() -> None:
    first = one("1B", "tq1_0", "decode:128")
    sessions = [made(first, session=n, samples_ns=(n * 10**8,) * 3) for n in (1, 2, 4)]
    tps = [(first.generated_tokens or 0) - 1, 1]
    [axes] = drawing(speed.speed, sessions).axes
    expected = [10 * tps[0] / n for n in (1, 2, 4)]
    assert dots(axes, "1B tq1_0") == [pytest.approx((expected[1], stats.mad(expected)))]


def test_speed_is_logarithmic_only_where_rates_are_100_times_apart() -> None:
    assert [axes.get_xscale() for axes in drawing(speed.speed, HOST).axes] == ["linear", "linear"]
    assert [axes.get_xscale() for axes in drawing(speed.speed, HOST + SOFTWARE).axes] == ["log", "log"]


def test_published_figures_are_hollow_and_suspect_ones_crossed_out() -> None:
    figure = drawing(speed.speed, H200 + PUBLISHED)
    decode = figure.axes[1]
    printed = {record.id: record for record in PUBLISHED}
    shown = [line for line in decode.lines if str(line.get_label()).startswith("published ")]
    hollow = [line for line in shown if line.get_marker() in ("o", "s")]
    assert hollow and all(line.get_fillstyle() == "none" for line in hollow)
    assert all(line.get_linestyle() == "None" for line in shown)
    for line in hollow:
        record = printed[str(line.get_label()).removeprefix("published ")]
        assert record.figure and list(line.get_xdata()) == [record.figure["value"]]
        crosses = [other for other in lines(decode, str(line.get_label())) if other.get_marker() in ("x", "+", "*")]
        assert len(crosses) == (record.grade != "published")
    assert {"published", "published, suspect"} <= set(texts(figure))


def test_published_figures_stand_in_rows_of_their_own() -> None:
    decode = drawing(speed.speed, H200 + PUBLISHED).axes[1]
    theirs = [round(line.get_ydata()[0]) for line in decode.lines if str(line.get_label()).startswith("published ")]
    ours = [round(container[0].get_ydata()[0]) for container in decode.containers]
    assert ours and theirs and not set(ours) & set(theirs)


def test_failed_and_fallback_records_are_not_drawn() -> None:
    good = one("1B", "tq1_0", "decode:128")
    assert speed.speed([made(good, status="fallback"), made(good, status="failed")]) is None
    assert speed.speed([made(good, grade="suspect")]) is None


# decode curve


def test_curve_draws_every_repetition_thin_and_their_median_thick() -> None:
    record = one("7B", "tq1_0", "decode:128")
    steady = made(record, token_ns=tuple(tuple(range(0, 40 * gap, gap)) for gap in (10**7, 2 * 10**7, 4 * 10**7)))
    [axes] = drawing(curve.curve, [steady]).axes
    assert sorted(line.get_ydata()[0] for line in lines(axes, "_repetition")) == [25.0, 50.0, 100.0]
    [middle] = lines(axes, "TQ1_0")
    assert set(middle.get_ydata()) == {50.0} and list(middle.get_xdata()) == list(range(2, 41))
    assert middle.get_color() == colour("tq1_0") and middle.get_linewidth() > 1


def test_curve_marks_throttling_and_nothing_else() -> None:
    steady = one("7B", "tq2_0", "decode:128")
    fast, slow = list(range(10**7, 129 * 10**7, 10**7)), list(range(2 * 10**7, 257 * 10**7, 2 * 10**7))
    slowed = made(steady, token_ns=(tuple(fast), tuple(fast), tuple(slow)))
    [axes] = drawing(curve.curve, [slowed]).axes
    [marks] = [line for line in axes.lines if line.get_color() == ALARM]
    assert set(marks.get_ydata()) == {50.0}
    assert "x TQ2_0 throttled -50 %" in [text.get_text() for text in axes.texts]
    [axes] = drawing(curve.curve, [steady]).axes
    assert not axes.texts and not [line for line in axes.lines if line.get_color() == ALARM]


def test_curve_takes_tokens_together_that_the_clock_does_not_tell_apart() -> None:
    coarse = made(one("1B", "tq1_0", "decode:128"), token_ns=((0, 0, 10, 10, 20, 20, 30, 30, 40, 40),) * 3)
    assert {rate for line in curve.rates(coarse) for _, rate in line} == {0.2e9}


# context


def test_context_draws_rates_over_lengths_and_wants_two_of_them() -> None:
    record = one("1B", "tq1_0", "prefill:512")
    longer = made(record, workload="prefill:2048", prompt_tokens=2048, samples_ns=(10**9, 10**9, 10**9))
    [axes] = drawing(context.context, [record, longer]).axes
    [container] = axes.containers
    line = container[0]
    assert list(line.get_xdata()) == [512, 2048]
    assert list(line.get_ydata()) == pytest.approx([statistics.median(stats.prefill_tps(record)), 2048.0])
    assert context.context([record]) is None


# memory


def test_formats_that_did_not_run_are_computed_from_those_that_did() -> None:
    for workload in ("prefill:512", "decode:128"):
        tq1, tq2 = one("7B", "tq1_0", workload), one("7B", "tq2_0", workload)
        assert tq1.ledger and tq2.ledger
        count = memory.ternary_weights([tq1, tq2])
        assert count == 32 * (4 * 4096**2 + 3 * 4096 * 12032)  # the published shape of this model
        known = made(tq1, shape={"ternary_weights": int(count)})
        computed = memory.bars([known])["tq2_0"]
        assert not computed.measured and sum(computed.parts.values()) == sum(tq2.ledger.values())
        assert memory.bars([known])["f16"].parts["ternary weights"] == 2 * count


def test_parts_of_measured_formats_are_those_of_the_ledger() -> None:
    record = one("1B", "tq1_0", "lora:r8,c128")
    ledger = record.ledger or {}
    parts = memory.bars([record, one("1B", "tq2_0", "lora:r8,c128")])["tq1_0"].parts
    assert parts["adapter, optimiser"] == ledger["state"] and parts["activations"] == ledger["scratch"]
    assert parts["ternary weights"] + parts["other weights"] == ledger["weight"]
    assert sum(parts.values()) == sum(ledger.values())


def test_a_single_format_of_an_unknown_shape_is_drawn_alone() -> None:
    assert set(memory.bars([made(one("1B", "tq1_0", "decode:128"), shape=None)])) == {"tq1_0"}


def test_repacked_weights_count_as_the_format_that_is_held() -> None:
    repacked = made(one("1B", "tq2_0", "decode:128"), format="tq1_0>tq2_0")
    bars = memory.bars([one("1B", "tq1_0", "decode:128"), replace(repacked, shape={"ternary_weights": 931135488})])
    assert bars["tq2_0"].measured and list(bars) == ["tq1_0", "tq2_0", "q4_0", "q8_0", "f16"]


def test_computed_bars_are_hatched_and_end_in_a_tilde() -> None:
    figure = drawing(memory.memory, [r for r in HOST if r.model == "synthetic:7B"])
    [axes] = figure.axes
    bars: dict[int, list[Rectangle]] = {}
    for patch in axes.patches:
        assert isinstance(patch, Rectangle)
        bars.setdefault(round(patch.get_y() + patch.get_height() / 2), []).append(patch)
    assert [all(patch.get_hatch() for patch in bars[row]) for row in sorted(bars)] == [False, False, True, True, True]
    largest = one("7B", "tq1_0", "prefill:512")
    assert sum(patch.get_width() for patch in bars[0]) == pytest.approx(sum((largest.ledger or {}).values()) / 2**20)
    assert [text.get_text().startswith("~") for text in axes.texts] == [False, False, True, True, True]


# epoch, losses


def test_an_epoch_is_extrapolated_with_hatching_and_a_tilde_only_where_steps_are_missing() -> None:
    record = one("1B", "tq1_0", "lora:r8,c128")
    assert record.training
    whole = made(record, training={**record.training, "epoch_steps": record.training["steps"]})
    for each, extrapolated in ((record, True), (whole, False)):
        [axes] = drawing(epoch.epoch, [each]).axes
        [bar] = axes.patches
        assert isinstance(bar, Rectangle) and bool(bar.get_hatch()) == extrapolated
        expected = stats.epoch_s(each)
        assert expected and bar.get_width() == pytest.approx(expected[0])
        assert axes.texts[0].get_text().startswith("~") == extrapolated


def test_long_epochs_are_told_in_hours() -> None:
    record = one("1B", "tq1_0", "lora:r8,c128")
    slow = made(record, samples_ns=tuple(1000 * ns for ns in record.samples_ns))
    [axes] = drawing(epoch.epoch, [slow]).axes
    expected = stats.epoch_s(slow)
    assert axes.get_xlabel() == "an epoch, h" and expected
    assert axes.patches[0].get_window_extent().width > 0
    assert axes.patches[0].get_width() == pytest.approx(expected[0] / 3600)


def test_equal_losses_are_one_line_and_others_another() -> None:
    tq1, tq2 = one("1B", "tq1_0", "lora:r8,c128"), one("1B", "tq2_0", "lora:r8,c128")
    [axes] = drawing(losses.losses, [tq1, tq2]).axes
    [curve_] = lines(axes, "TQ1_0, TQ2_0 on NVIDIA H200: all the same")
    assert list(curve_.get_ydata()) == list((tq1.training or {})["losses"])
    wrong = made(tq2, training={**(tq2.training or {}), "losses": (9.0,) * 16})
    [axes] = drawing(losses.losses, [tq1, wrong]).axes
    assert [line.get_label() for line in axes.lines] == ["TQ1_0 on NVIDIA H200", "TQ2_0 on NVIDIA H200"]


# roofline


def test_roofline_holds_every_kernel_that_computes_under_the_measured_roof() -> None:
    [axes] = drawing(roofline.roofline, [profiled("tq1_0"), profiled("tq2_0")]).axes
    for label in ("TQ1_0", "TQ2_0"):
        [line] = lines(axes, label)
        points = sorted(zip(line.get_xdata(), line.get_ydata(), strict=True))
        assert [x for x, _ in points] == [n + 1 for n in range(14)] and {round(y) for _, y in points} == {1000}
    [roof] = lines(axes, "_roof")
    assert [y / x for x, y in zip(roof.get_xdata(), roof.get_ydata(), strict=True)] == pytest.approx([2e3, 2e3])


def test_roofline_names_the_ten_longest_kernels_and_their_names_do_not_overlap() -> None:
    figure = drawing(roofline.roofline, [profiled("tq1_0"), profiled("tq2_0")])
    [axes] = figure.axes
    assert {text.get_text().split(" ")[1] for text in axes.texts} == {str(n) for n in range(4, 14)}
    assert "kernel 13 13 %" in [text.get_text() for text in axes.texts]  # 14,000 of 105,500 ns
    boxes = sorted((text.get_window_extent() for text in axes.texts), key=lambda box: box.y0)
    assert all(below.y1 <= above.y0 for below, above in pairwise(boxes))


def test_roofline_needs_a_profile_but_no_gauge() -> None:
    assert roofline.roofline([replace(record, kernels=()) for record in HOST]) is None
    [axes] = drawing(roofline.roofline, [replace(profiled("tq1_0"), gauge=None)]).axes
    assert not lines(axes, "_roof")


@pytest.mark.parametrize("wanted", [[0.5] * 10, [0.0] * 10, [1.0] * 10, [0.1, 0.11, 0.9]])
def test_places_are_apart_and_within_the_panel(wanted: list[float]) -> None:
    places = roofline.apart(wanted, 0.1)
    assert all(after - before >= 0.1 - 1e-9 for before, after in pairwise(places))
    assert places[0] >= -1e-9 and places[-1] <= 1


# Pareto


def test_front_leaves_out_what_is_larger_and_no_faster() -> None:
    def option(mib: float, tps: float) -> pareto.Option:
        return pareto.Option("tq1_0", "", mib, tps, 1.0)

    every = [option(3, 30), option(1, 10), option(2, 9), option(2, 20), option(4, 30)]
    assert [(each.peak_mib, each.decode_tps) for each in pareto.front(every)] == [(1, 10), (2, 20), (3, 30)]


def test_pareto_joins_formats_of_one_model_on_one_machine_only() -> None:
    cells = [axes for axes in drawing(pareto.pareto, HOST + SOFTWARE).axes if axes.get_visible()]
    assert len(cells) == 4  # three models on the H200, one in software
    tq1, tq2 = one("7B", "tq1_0", "decode:128"), one("7B", "tq2_0", "decode:128")
    [axes] = [axes for axes in cells if axes.get_title(loc="left").startswith("7B")]
    [front] = lines(axes, "_front")
    assert list(front.get_xdata()) == [(r.ledger_peak_bytes or 0) / 2**20 for r in (tq1, tq2)]
    assert list(front.get_ydata()) == [statistics.median(stats.decode_tps(r)) for r in (tq1, tq2)]


# telemetry


def test_telemetry_shares_one_axis_of_time_between_a_panel_a_quantity() -> None:
    panels = {axes.get_ylabel(): axes for axes in drawing(telemetry.telemetry, [watched()]).axes}
    assert list(panels) == ["°C", "battery, %", "clock, MHz", "memory, MiB"]
    assert len({axes.get_xlim() for axes in panels.values()}) == 1
    drawn_lines = {(name, str(line.get_label())): list(line.get_ydata()) for name, axes in panels.items()
                   for line in axes.lines}  # fmt: skip
    assert drawn_lines["°C", "battery"] == [30.0 + n for n in range(10)]
    assert drawn_lines["memory, MiB", "pss"] == [500.0 + n for n in range(10)]
    assert drawn_lines["memory, MiB", "process"] == [1.0, 300.0]
    assert ("memory, MiB", "total memory") not in drawn_lines  # of the whole machine


def test_telemetry_shades_where_the_phone_holds_itself_back() -> None:
    for axes in drawing(telemetry.telemetry, [watched()]).axes:
        [shade] = axes.collections
        xs = [float(x) for path in shade.get_paths() for x, _ in path.vertices]
        assert (min(xs), max(xs)) == (6.0, 9.0)


def test_process_memory_alone_is_drawn_too() -> None:
    [axes] = drawing(telemetry.telemetry, [watched(telemetry=None)]).axes
    assert axes.get_ylabel() == "memory, MiB"
