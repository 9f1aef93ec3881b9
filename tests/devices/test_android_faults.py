"""Everything that may go wrong with a phone, one case after another: each row says what, and the last case still runs.

One campaign meets all faults (phone_day.py); a test a fault looks at what it left.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import pytest
from browser_runs import binary
from phone_day import (
    Day,
    Fault,
    long_probe,
    model_with_weights,
    probe_that_needs_f16,
    probe_with_a_huge_buffer,
)
from stand_in_phone import Phone

from tritmark.devices.android.browser import AndroidBrowser

SILENCE_S = 6.0  # after which a page is given up that says nothing
GONE = "the phone PHONE is gone: plug the cable in again (a data cable, straight into the computer)"
FAULTS = {
    "another run uses the phone": Fault(  # the first one: afterwards the phone is ours
        strike=Day.run_elsewhere,
        heal=Day.give_back,
        row="another run is using the phone PHONE: wait for its end, or choose another phone",
    ),
    "unauthorized": Fault(
        strike=lambda day: day.phone.state("unauthorized"),
        heal=lambda day: day.phone.state("device"),
        row="the phone PHONE does not trust this computer: unlock the phone and accept 'Allow USB debugging?'",
    ),
    "cable pulled during weights": Fault(
        plan=model_with_weights,
        strike=lambda day: day.phone.unplug_when(b"/weights/"),
        heal=Day.plug,
        row=GONE,
    ),
    "cable pulled during a run": Fault(
        plan=long_probe, at="warm-up 1", in_play=True, strike=lambda day: day.phone.unplug(), heal=Day.plug, row=GONE
    ),
    "browser killed": Fault(
        plan=long_probe,
        at="warm-up 1",
        in_play=True,
        strike=lambda day: os.kill(day.phone.browser_pids("browser")[0], signal.SIGKILL),
        row="com.android.chrome ended on the phone PHONE: it was killed, most likely because memory ran out: choose a "
        "smaller model or format, and close other apps (SIGNALED)",
    ),
    "tab out of memory": Fault(
        plan=long_probe,
        at="warm-up 1",
        in_play=True,
        strike=lambda day: day.phone.kill("renderer", "LOW_MEMORY"),
        row="the page's process of com.android.chrome ended on the phone PHONE: memory ran out: choose a smaller model "
        "or format, and close other apps (LOW_MEMORY) (the page has been silent for",
    ),
    "screen locked": Fault(
        at="warm-up 1",
        strike=lambda day: day.phone.set("locked", True),
        heal=lambda day: day.phone.set("locked", False),
        row="the page was hidden while it ran (screen locked, or another app in front); keep it open and the screen on",
    ),
    "page reloaded": Fault(
        plan=long_probe,
        at="warm-up 1",
        in_play=True,
        strike=lambda day: day.phone.reload(),
        row="the page was closed or reloaded; leave it open and in front until the run has ended",
    ),
    "Chrome too old": Fault(
        strike=lambda day: day.phone.set("chrome", "120.0.6099.230"),
        heal=lambda day: day.phone.set("chrome", "141.0.7390.122"),
        row="the phone PHONE has com.android.chrome 120.0.6099.230, which has no WebGPU: update it to 121 or newer",
    ),
    "no adapter": Fault(
        strike=lambda day: day.phone.set("webgpu", False),
        heal=lambda day: day.phone.set("webgpu", True),
        row="the page cannot play: the browser has WebGPU but found no adapter; its GPU or driver is blocked",
    ),
    "feature missing": Fault(
        plan=probe_that_needs_f16, row="google swiftshader lacks the feature shader-f16 that the plan requires"
    ),
    "buffer limit exceeded": Fault(
        plan=probe_with_a_huge_buffer,
        row="slot huge needs 2,147,483,648 bytes; google swiftshader allows buffers of 1,073,741,824",
    ),
    "adb server of another version": Fault(
        strike=Day.replace_adb, heal=Day.give_back, row="the adb server that runs has version 1.0.40, but "
    ),
    "none": Fault(row=""),
}


@pytest.fixture(scope="module")
def day(long_plugged_in: Phone, untouched: Callable[[Phone], dict[str, Any]]) -> Day:
    binary()
    with pytest.MonkeyPatch.context() as patch:
        listen = AndroidBrowser.listen
        patch.setattr(AndroidBrowser, "listen", lambda browser: {**listen(browser), "silence_s": SILENCE_S})
        day = Day(long_plugged_in, untouched)
        day.run(FAULTS)
    return day


@pytest.mark.parametrize("name", FAULTS)
def test_the_row_says_what_happened(day: Day, name: str) -> None:
    record, expected = day.rows[name], FAULTS[name].row.replace("PHONE", day.phone.serial)
    assert record.status == ("failed" if expected else "ok")
    assert str(record.reason or "").startswith(expected) and "\n" not in str(record.reason)
    assert bool(record.samples_ns) is not bool(expected)


@pytest.mark.parametrize("name", FAULTS)
def test_nothing_is_left_on_the_phone_once_it_is_back(day: Day, name: str) -> None:
    gone = "cable" in name
    assert {"journals", "files", "settings", "debug_app"} <= day.changed[name] if gone else not day.changed[name]
    assert not day.left[name]
