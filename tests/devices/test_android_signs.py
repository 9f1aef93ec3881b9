"""What Android's commands print becomes states: of phones, screens, browsers and how processes ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torn_texts import torn

from tritmark.devices.android import signs

LISTED = """R5CT123ABC             device usb:1-4.3 product:dm1qxeea model:SM_S911B device:dm1q transport_id:3
39121FDJH00ABC         unauthorized usb:1-2 transport_id:4
0123456789             no permissions (missing udev rules? user is in the plugdev group); see [http://x/y] usb:1-1
192.168.1.7:5555       offline product:x model:Pixel_8 device:shiba transport_id:9
emulator-5554	device
"""


def test_every_line_of_the_servers_list_is_a_phone_with_a_state():
    phones = list(signs.listed(LISTED))
    assert [phone.state for phone in phones] == ["device", "unauthorized", "no permissions", "offline", "device"]
    assert phones[0] == signs.Listed("R5CT123ABC", "device", "1-4.3", "SM S911B")
    assert (phones[2].port, phones[3].serial, phones[4].serial) == ("1-1", "192.168.1.7:5555", "emulator-5554")


def test_an_empty_list_has_no_phones():
    assert not list(signs.listed("")) and not list(signs.listed("List of devices attached\n\n"))


def test_screen_and_lock_are_read_where_they_are_told():
    assert signs.awake("Power Manager State:\n  mWakefulness=Awake\n") is True
    assert signs.awake("  mWakefulness=Dozing\n") is False
    assert signs.awake("") is None
    assert signs.locked("  mShowingDream=false mDreamingLockscreen=true mDreamingSleepToken=null\n") is True
    assert signs.locked("  mDreamingLockscreen=false\n  isKeyguardShowing=false\n") is False
    assert signs.locked("nothing about it") is None


@pytest.mark.parametrize(
    "text",
    [
        "    topResumedActivity=ActivityRecord{a1b2 u0 com.android.chrome/com.google.android.apps.chrome.Main t17}\n",
        "  ResumedActivity: ActivityRecord{a1b2 u0 com.android.chrome/com.google.android.apps.chrome.Main t17}\n",
        "  mResumedActivity: ActivityRecord{a1b2 u0 com.android.chrome/com.google.android.apps.chrome.Main t17}\n",
    ],
)
def test_what_is_in_front_is_found_in_several_versions(text):
    assert signs.in_front(text) == "com.android.chrome/com.google.android.apps.chrome.Main"
    assert signs.in_front("") is None


EXITS = """ACTIVITY MANAGER PROCESS EXIT INFO (dumpsys activity exit-info)
Last Timestamp of Persistence Into Persistent Storage: 2025-11-01 15:54:06.558
  package: com.android.chrome
    Historical Process Exit for uid=10123
        ApplicationExitInfo #0:
          timestamp=2025-11-01 19:21:57.535 pid=3421 realUid=10123 packageUid=10123 definingUid=10123 user=0
          process=com.android.chrome reason=5 (APP CRASH(NATIVE)) subreason=0 (UNKNOWN) status=11
          importance=100 pss=0.00 rss=0.00 description=crash state=empty trace=null
        ApplicationExitInfo #1:
          timestamp=2025-11-01 19:25:46.855 pid=2176 realUid=99001 packageUid=10123 definingUid=10123 user=0
          process=com.android.chrome:sandboxed_process0:S:0 reason=3 (LOW MEMORY) subreason=0 (UNKNOWN) status=0
          importance=100 pss=0,00 rss=557MB state=empty trace=null
          description=lmkd
        ApplicationExitInfo #2:
          timestamp=garbage
"""


def test_ends_of_processes_are_told_latest_first():
    low, crash = signs.exits(EXITS)
    assert (low.code, low.reason, low.description) == (3, "LOW MEMORY", "lmkd") and "sandboxed" in low.process
    assert crash == signs.Exit("2025-11-01 19:21:57.535", "com.android.chrome", 5, "APP CRASH(NATIVE)", "crash")
    assert signs.exits("No such package\n") == []


def test_the_version_in_use_stands_before_the_one_that_an_update_hides():
    text = "Packages:\n    versionName=121.0.6167.101\nHidden system packages:\n    versionName=99.0.4844.73\n"
    assert signs.version_name(text) == "121.0.6167.101" and signs.version_name("Unable to find package: x") is None


def test_installed_packages_come_with_their_user_ids_where_told():
    text = "package:com.android.chrome uid:10123\npackage:org.example\nError: x\n"
    assert signs.installed(text) == {"com.android.chrome": 10123, "org.example": None}


@pytest.mark.parametrize(("text", "number"), [("121.0.6167.101", 121), ("12", 12), ("S", None), (None, None)])
def test_major_versions(text, number):
    assert signs.major(text) == number


PARSERS: list[tuple[Callable[[str], Any], str]] = [
    (lambda text: list(signs.listed(text)), LISTED),
    (signs.exits, EXITS),
    (signs.in_front, "topResumedActivity=ActivityRecord{a u0 a.b/c.D t1}"),
    (signs.installed, "package:com.android.chrome uid:10123"),
    (signs.major, "121.0"),
]


@given(st.sampled_from(PARSERS), st.data())
def test_no_text_makes_a_parser_fail(parser, data):
    read, sample = parser
    read(torn(sample, data))
