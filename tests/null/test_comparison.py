"""Comparison: what is called a difference and how often wrongly, and what is refused."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
from command_runs import last, tritmark
from session_records import failed, made, written

from tritmark.reports.comparison import rendering, rivals
from tritmark.reports.comparison.comparison import Comparison, compare
from tritmark.reports.comparison.judgement import Finding
from tritmark.reports.comparison.ratio import pairs, ratio_of
from tritmark.results.record import Record, RecordError

SESSIONS = 12  # of either side, interleaved: what reports/comparison/README.md says that it takes
BETWEEN, WITHIN = 0.15, 0.03  # of logarithms: of sessions, common to a pair; of a session's own median
NAMES = ("decode", "ttft", "gaps", "load", "compile", "rss")
FORMATS = ("tq1_0", "tq2_0")
WORKLOADS = ("decode:9", "decode:9@64")


def history(rng: np.random.Generator, slowdown: float = 1.0) -> tuple[list[Record], list[Record]]:
    """Two sides of four cases in pairs of sessions, A B, B A, ...; ``slowdown``: of one case's decoding in B."""
    sides: tuple[list[Record], list[Record]] = ([], [])
    for format in FORMATS:
        for workload in WORKLOADS:
            hit = (format, workload) == (FORMATS[0], WORKLOADS[0])
            for session in range(SESSIONS):
                luck = rng.normal(0, BETWEEN)
                for side, records in enumerate(sides):
                    own = np.exp(luck + rng.normal(0, WITHIN, len(NAMES))).tolist()
                    factors = dict(zip(NAMES, own, strict=True))
                    factors["decode"] *= slowdown if side and hit else 1.0
                    minute = 10 * session + (side if session % 2 == 0 else 1 - side)
                    records.append(made(minute=minute, session=session + 1, slowdown=factors, format=format,
                                        workload=workload))  # fmt: skip
    return sides


def sides(slowdown: float | dict[str, float], sessions: int = 5, **fields: Any) -> tuple[list[Record], list[Record]]:
    """Interleaved sessions of one case with a spread of about 1 %, B slower by ``slowdown``; ``fields``: of B."""
    factors = slowdown if isinstance(slowdown, dict) else dict.fromkeys(NAMES, slowdown)
    jitter = (0.99, 1.0, 1.01, 1.005, 0.995)
    a = [made(minute=2 * n, slowdown=jitter[n % 5]) for n in range(sessions)]
    own = [{name: factors.get(name, 1.0) * jitter[(n + 2) % 5] for name in NAMES} for n in range(sessions)]
    return a, [made(minute=2 * n + 1, slowdown=own[n], **fields) for n in range(sessions)]


def finding(comparison: Comparison, name: str = "decode_tps") -> Finding:
    return next(found for found in comparison.findings if found.metric.name == name)


def test_equal_arms_are_called_a_regression_in_at_most_5_of_100_histories() -> None:
    rng = np.random.default_rng(11)
    found = [compare(*history(rng)) for _ in range(100)]
    assert all(len(each.findings) == 44 for each in found)
    assert sum(any(finding.worse for finding in each.findings) for each in found) <= 5


def test_a_slowdown_of_8_percent_in_one_of_44_metrics_is_caught_in_80_of_100_histories() -> None:
    rng = np.random.default_rng(12)
    found = [compare(*history(rng, slowdown=1.08)) for _ in range(100)]
    assert sum(finding(each).verdict == "slower" for each in found) >= 80


def test_only_what_is_significant_over_the_whole_family_counts() -> None:
    """Benjamini and Hochberg by hand: the k-th smallest of m p-values times m / k, no larger than the next."""
    comparison = compare(*history(np.random.default_rng(3), slowdown=1.08))
    tested = [found for found in comparison.findings if not found.metric.counted]
    p = sorted(2 * scipy.stats.t.sf(abs(found.ratio.t or 0), found.ratio.freedom) for found in tested)
    by_hand = [min(p[j] * len(p) / (j + 1) for j in range(k, len(p))) for k in range(len(p))]
    assert sorted(found.p_adjusted or 0 for found in tested) == pytest.approx(by_hand)
    assert len(tested) == 40 and min(by_hand) < 0.05 < max(by_hand)


VERDICTS = [(1.5, "slower"), (1.08, "slower"), (1 / 1.08, "faster"), (1.0, "same"), (1.02, "same")]


@pytest.mark.parametrize(("slowdown", "verdict"), VERDICTS)
def test_a_difference_has_to_be_above_the_floor(slowdown: float, verdict: str) -> None:
    found = compare(*sides(slowdown)).findings
    assert {each.verdict for each in found if each.metric.unit != "MiB"} == {verdict}


def test_a_significant_difference_below_the_floor_is_the_same_and_a_lower_floor_shows_it() -> None:
    a, b = sides(1.03, sessions=10)
    found = finding(compare(a, b))
    assert found.p_adjusted is not None and found.p_adjusted < 0.01 and found.verdict == "same"
    assert finding(compare(a, b, floor=0.01)).verdict == "slower"


def test_a_ratio_has_the_interval_that_scipy_gives_it() -> None:
    a, b = [100.0, 110.0, 96.0, 104.0], [90.0, 99.0, 88.0, 91.0]
    paired = ratio_of(a, b, paired=True)
    differences = np.log(b) - np.log(a)
    low, high = scipy.stats.t.interval(0.95, 3, differences.mean(), scipy.stats.sem(differences))
    assert paired.interval_95 == pytest.approx((math.exp(low), math.exp(high)), rel=1e-3)
    welch = scipy.stats.ttest_ind(np.log(b), np.log(a), equal_var=False)
    apart = ratio_of(a, b, paired=False)
    assert (apart.t, apart.freedom) == pytest.approx((welch.statistic, welch.df))
    assert apart.ratio == paired.ratio == pytest.approx(math.exp(differences.mean()))


def test_sessions_are_paired_only_where_they_were_interleaved() -> None:
    def at(*minutes: float) -> list[Record]:
        return [made(minute=minute) for minute in minutes]

    def found(a: list[Record], b: list[Record]) -> list[tuple[str, str]] | None:
        both = pairs(a, b)
        return both and [(one.started_at[14:16], other.started_at[14:16]) for one, other in both]

    assert found(at(0, 3, 4), at(1, 2, 5)) == [("00", "01"), ("03", "02"), ("04", "05")]
    assert found(at(0, 1, 2), at(3, 4, 5)) is None and found(at(0), at(1)) is None
    assert found(at(0, 1, 2, 3, 5), at(4, 6)) == [("03", "04"), ("05", "06")]  # earlier sessions of A are left out
    a, b = history(np.random.default_rng(1))
    assert all(each.ratio.paired for each in compare(a, b).findings)


def test_rival_formats_with_several_sessions_are_told_apart_by_these() -> None:
    a, b = sides({"decode": 1.2}, format="tq2_0")
    (sentence,) = rivals.sentences([*a, *b])
    assert sentence.startswith("decode:9: tq1_0 has 1.20 times the decode rate of tq2_0 (1.1")
    assert sentence.endswith(", 95 % over 5 sessions).")
    (sentence,) = rivals.sentences([*a, *(sides(1.0, format="tq2_0")[1])])
    assert sentence.endswith("sessions); that may be no difference.")


def test_a_single_session_decides_nothing_and_says_what_it_takes() -> None:
    found = finding(compare(*sides(3.0, sessions=1)))
    assert (found.verdict, found.more, found.ratio.interval_95, found.p_adjusted) == ("undecided", 2, None, None)
    assert found.ratio.ratio == pytest.approx(1 / 3, rel=0.02)


def test_noise_is_undecided_and_says_how_many_sessions_would_tell() -> None:
    a = [made(minute=2 * n, slowdown=1 + 0.1 * (n % 3)) for n in range(4)]
    b = [made(minute=2 * n + 1, slowdown=1 + 0.1 * ((n + 1) % 3)) for n in range(4)]
    found = finding(compare(a, b))
    assert found.verdict == "undecided" and found.more is not None and 10 < found.more < 200


def test_counted_bytes_need_no_sessions() -> None:
    a, b = sides(1.0, sessions=1, ledger_peak_bytes=90 << 20)
    assert finding(compare(a, b), "peak_bytes").verdict == "larger" and finding(compare(b, a), "peak_bytes").better
    assert finding(compare(a, b, floor=0.2), "peak_bytes").verdict == "same"


def test_failed_and_fallen_back_rows_are_never_compared_but_said() -> None:
    a, b = sides(1.0)
    broken = [failed(minute=1), failed(minute=2, format="tq2_0", status="fallback")]
    other = [made(minute=n, format="tq2_0") for n in range(3)]
    comparison = compare([*a, *other], [*b, *broken])
    assert {each.key[1] for each in comparison.findings} == {"tq1_0"} and len(comparison.findings[0].b.values) == 5
    assert [each.reason for each in comparison.failed] == ["fallback: out of memory"] and not comparison.only_a
    assert [each.case for each in compare(broken + b, other + a).recovered] == ["made:1B tq2_0 decode:9 on host"]
    with pytest.raises(RecordError, match="B holds no measurement that ran"):
        compare([made(minute=0, workload="decode:5")], broken)


def test_outputs_that_differ_are_reported_apart() -> None:
    comparison = compare(*sides(1.0, digest="e" * 64))
    assert comparison.outputs == ["made:1B tq1_0 decode:9 on host"]
    assert not compare(*sides(1.0, digest=None)).outputs
    assert "OUTPUTS DIFFER: made:1B" in rendering.text(comparison) and finding(comparison).verdict == "same"


UNLIKE: dict[str, dict[str, Any]] = {
    "adapter": {"adapter": "another GPU"},
    "backend": {"caps": {"backend": "Metal"}},
    "processors": {"before": {"cpu_count": 4}},
    "player": {"player": "web"},
    "timing": {"timing": "dispatch"},
    "token timing": {"token_timing": "wall"},
    "schedule": {"schedule": "reopened"},
    "exact": {"exact": False},
    "power": {"before": {"battery": {"percent": 50, "plugged": False}, "power_saver": True}},
    "governor": {"before": {"cpu_governor": "powersave"}},
    "heat": {"conditions": {"rest": {"reached": False}}},
    "temperature": {"before": {"temperatures_celsius": {"battery": 36.0, "soc": 40.0}}},
}


@pytest.mark.parametrize("field", UNLIKE)
def test_unlike_conditions_are_refused_by_name_and_compared_on_request(field: str) -> None:
    alike = {"caps": {"backend": "Vulkan"}, "token_timing": "step"}
    before = {"battery": {"percent": 90, "plugged": True}, "power_saver": False, "cpu_governor": "performance",
              "temperatures_celsius": {"battery": 30.0, "soc": 39.0}}  # fmt: skip
    rested = {"conditions": {"rest": {"reached": True}}} if field == "heat" else {}
    a = [made(minute=n, before=before, **{**alike, **rested}) for n in range(3)]
    other = {**alike, **UNLIKE[field]}
    told = {**before, **other.pop("before", {})}
    b = [made(minute=n + 5, before=told, **other) for n in range(3)]
    with pytest.raises(RecordError, match=rf"unlike conditions .*{field} \(.*--across '{field}'"):
        compare(a, b)
    assert finding(compare(a, b, across=[field])).verdict == "same"


def test_what_people_compare_is_said_and_not_refused() -> None:
    versions = {"revision": "b" * 40 + "+", "numpy": "2.0"}
    b = sides(1.0, driver="2.0", versions=versions, before={"load_1min": 7.0})[1]
    comparison = compare(sides(1.0)[0], b)
    said = {each.field: str(each) for each in comparison.warnings}
    assert set(said) == {"driver", "revision", "uncommitted changes", "other work"}
    assert said["revision"] == "revision (aaaaaaaaaa / bbbbbbbbbb+)"
    assert {each.field for each in compare(sides(1.0)[0], b, across=["driver", "revision"]).warnings} == {
        "uncommitted changes", "other work"}  # fmt: skip


def test_what_a_side_does_not_tell_is_not_held_against_it() -> None:
    assert not compare(sides(1.0)[0], sides(1.0, conditions=None, versions=None, timing=None)[1]).warnings


def test_cases_are_matched_by_what_was_measured() -> None:
    a = sides(1.0)[0]
    with pytest.raises(RecordError, match="models of one name have different weights"):
        compare(a, sides(1.0, model_sha256="6" * 64)[1])
    moved = [made(minute=n, model="/elsewhere/made:1B", case=dict(a[0].case)) for n in range(5)]
    assert len(compare(a, moved).findings) == 11
    comparison = compare([*a, made(minute=0, workload="decode:5")], sides(1.0)[1])
    assert comparison.only_a == ["made:1B decode:5 on host".replace("1B", "1B tq1_0")] and not comparison.only_b
    two = [made(minute=n, adapter="second GPU", slowdown=2.0) for n in range(3)]
    comparison = compare([*a, *two], [*two, *sides(1.0)[1]])
    assert {each.verdict for each in comparison.findings} == {"same"} and len(comparison.findings) == 22


def test_the_table_fits_80_columns_and_markdown_escapes(tmp_path: Path) -> None:
    a, b = sides({"decode": 1.3}, sessions=5)
    b[0] = made(minute=1, slowdown=4.0)
    told = rendering.text(compare(a, b))
    assert max(map(len, told.splitlines())) <= 80
    assert "  5 sessions each, paired" in told and "outlying, and kept: TTFT of B in its session 1" in told
    model = "<img src=x>|"
    page = rendering.markdown(compare(*([made(minute=n, model=model)] for n in (0, 1))))
    assert "&lt;img src=x>\\|" in page and "<img" not in page


def test_the_command_compares_folders(tmp_path: Path) -> None:
    a, b = (written(tmp_path / name, *records) for name, records in zip("ab", sides({"decode": 1.2}), strict=True))
    ended = tritmark("compare", a, b, "--json")
    rows = [json.loads(line) for line in ended.stdout.splitlines()]
    assert [row["metric"] for row in rows[:-1] if row["verdict"] == "slower"] == ["decode_tps"]
    assert rows[0]["ratio_low_95"] < rows[0]["ratio"] < rows[0]["ratio_high_95"] < 1 and rows[0]["paired"]
    assert last(ended)["verdicts"] == {"slower": 1, "same": 10} and last(ended)["outputs_differ"] == []
    page = tritmark("compare", a, b, "--markdown").stdout
    assert "- slower: made:1B tq1_0 decode:9 on host: decode 100 -> 83.3 tok/s" in page
    assert "| made:1B tq1_0 decode:9 on host | decode, tok/s | 100 |" in page


def test_the_command_refuses_in_one_line(tmp_path: Path) -> None:
    a = written(tmp_path / "a", made(minute=0))
    b = written(tmp_path / "b", made(minute=0, adapter="another"))
    assert "adapter (made GPU / another)" in tritmark("compare", a, b, status=1).stderr
    assert "known fields: temperature, adapter" in tritmark("compare", a, b, "--across", "colour", status=2).stderr
    assert tritmark("compare", a, tmp_path, status=1).stderr.count("\n") == 1
    assert "undecided +2" in tritmark("compare", a, b, "--across", "adapter").stdout
