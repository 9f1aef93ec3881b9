"""A page in a phone's browser: opened, watched, closed, and nothing left. A tiny web server stands for the player's."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from phone_page import Site, wait_for
from stand_in_phone import Phone

from tritmark.devices.android.adb import Adb
from tritmark.devices.android.apps import choose_app
from tritmark.devices.android.browser import AndroidBrowser
from tritmark.devices.android.claim import claim
from tritmark.devices.android.devtools import pages
from tritmark.devices.android.phone import Phone as AndroidPhone
from tritmark.devices.base import DeviceError

PATH = "/r/nonce/"


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as site:
        yield site


@pytest.fixture
def open_page(adb: Adb, site: Site) -> Iterator[Callable[[], AndroidBrowser]]:
    """Opens the site on the phone; closed at the end."""
    opened = []

    def open_page() -> AndroidBrowser:
        browser = AndroidBrowser(adb, choose_app(adb), claim(adb).journal)
        opened.append(browser)
        try:
            browser.open("http", site.port, PATH)
        except DeviceError:
            browser.close()  # as a session does
            raise
        wait_for(lambda: PATH in site.asked, "the page to be fetched")
        return browser

    yield open_page
    for browser in opened:
        browser.close()


def port_of(phone: Phone) -> str:
    (remote,) = phone.reverse
    return remote.removeprefix("tcp:")


def test_a_page_is_opened_through_a_reversed_port_and_leaves_nothing(phone: Phone, adb: Adb, untouched, open_page):
    before = untouched(phone)
    browser = open_page()
    assert list(phone.reverse.values()) and phone.debug_app == "com.android.chrome"
    assert phone.settings["global/stay_on_while_plugged_in"] == "15"
    urls = [str(page["url"]) for page in pages(adb, "com.android.chrome")]
    assert [url for url in urls if url.startswith("http")] == [f"http://localhost:{port_of(phone)}{PATH}"]
    assert browser.trouble() is None and browser.gone() is None
    browser.close()
    browser.close()
    assert untouched(phone) == before


def test_what_the_person_had_set_is_restored(phone: Phone, adb: Adb, untouched, open_page):
    (phone.files / "data/local/tmp/chrome-command-line").write_text("_ --mine\n")
    adb.must("settings put global stay_on_while_plugged_in 2", "")
    adb.must("am set-debug-app --persistent org.example.app", "")
    before = untouched(phone)
    open_page().close()
    assert untouched(phone) == before
    assert (phone.files / "data/local/tmp/chrome-command-line").read_text() == "_ --mine\n"


def test_the_welcome_screens_are_skipped(phone: Phone, open_page):
    phone.set("first_run_done", False)
    open_page()
    assert any("--disable-fre" in line for line in [(phone.files / "data/local/tmp/chrome-command-line").read_text()])


def test_a_phone_is_watched_while_a_page_is_open(phone: Phone, open_page):
    browser = open_page()

    def told() -> bool:
        seen = browser.telemetry()
        return len(seen.samples) > 1 and {"pss_bytes", "gpu_memory_bytes"} <= set(seen.methods)

    wait_for(told, "a second sample, and what comes every fifth time")  # the browser may have come after the first
    telemetry = browser.telemetry()
    values = {name: value for _, sample in telemetry.samples for name, value in sample.items()}
    assert values["battery_percent"] == 67 and values["battery_celsius"] == 29.1 and values["skin_celsius"] == 31.4
    assert values["thermal_status"] == 0 and values["available_memory_bytes"] > 1e9
    assert values["pss_bytes"] > 1e6 and values["rss_bytes"] > 1e6 and values["gpu_memory_bytes"] == 260_679_680
    assert set(values) <= set(telemetry.methods)
    assert telemetry.methods["battery_celsius"] == "dumpsys battery"
    times = [at_ns for at_ns, _ in telemetry.samples]
    resident = [sample["rss_bytes"] for _, sample in telemetry.samples if "rss_bytes" in sample]
    assert times == sorted(times) and browser.memory()[0][1] == resident[0]
    slow = [sample for _, sample in telemetry.samples if "pss_bytes" in sample]
    assert len(slow) < len(telemetry.samples)


def test_watching_ends_with_the_page(phone: Phone, open_page):
    open_page().close()
    time.sleep(0.2)
    seen = len(phone.calls)
    time.sleep(1.5)
    assert len(phone.calls) == seen


@pytest.mark.parametrize("android", ["12", "13", "15", "16"])
def test_other_versions_of_android_tell_the_same_values(plugged_in, android):
    conditions = AndroidPhone(plugged_in(android=android).serial, 10.0).conditions()
    assert conditions["android"] == android and conditions["battery"] == {"percent": 67.0, "plugged": True}
    assert conditions["thermal_status"] == 0 and conditions["temperatures_celsius"]["battery"] == 29.1


def test_conditions_tell_what_the_phone_is_and_how_it_feels(phone: Phone):
    phone.set("charging", False)
    phone.set("thermal_status", 2)
    conditions = AndroidPhone(phone.serial, 10.0).conditions()
    assert conditions["battery"]["plugged"] is False and conditions["charging"] is False
    assert conditions["thermal_status"] == 2 and conditions["power_saver"] is False
    assert conditions["model"] and conditions["soc"] and conditions["browser"].startswith("com.android.chrome 1")
    assert conditions["total_memory_bytes"] > conditions["available_memory_bytes"] > 1e9


def test_conditions_of_a_phone_that_is_gone_say_so(phone: Phone):
    device = AndroidPhone(phone.serial, 10.0)
    phone.unplug()
    assert "is gone" in device.conditions()["unreachable"]


def test_free_memory_is_what_the_system_could_give_away(phone: Phone):
    (phone.files / "proc/meminfo").write_text("MemTotal: 8000000 kB\nMemAvailable: 2097152 kB\n")
    assert AndroidPhone(phone.serial, 10.0).memory_bytes(None) == 2 << 30


@pytest.mark.parametrize(
    ("condition", "value", "says"),
    [
        ("chrome", None, "has no Chrome: install Chrome from the Play Store"),
        ("chrome", "120.0.6099.230", r"com\.android\.chrome 120\.0\.6099\.230, which has no WebGPU: update it to 121"),
        ("settings_writable", False, r"refuses `settings put .*USB debugging \(Security settings\)"),
        ("locked", True, "is locked: unlock it"),
        ("reverse", False, "reverse a port"),
        ("free_bytes", 0, "free some space"),
    ],
)
def test_a_phone_that_cannot_open_pages_says_why_and_keeps_nothing(
    phone: Phone, untouched, open_page, condition, value, says
):
    phone.set(condition, value)
    before = untouched(phone)
    with pytest.raises(DeviceError, match=says) as caught:
        open_page()
    assert "\n" not in str(caught.value)
    for name, usual in (("settings_writable", True), ("free_bytes", None)):
        phone.set(name, usual)
    assert untouched(phone) == before


def test_an_old_android_is_told_to_update(monkeypatch, phone: Phone, adb: Adb):
    release = phone.files / "system/bin/getprop"
    release.unlink()
    release.write_text("#!/bin/sh\necho 11\n")
    release.chmod(0o755)
    with pytest.raises(DeviceError, match="runs Android 11, where browsers have no WebGPU: update it to Android 12"):
        choose_app(adb)


def test_a_dark_screen_is_woken_and_a_swipe_lock_opened(phone: Phone, open_page):
    phone.set("awake", False)
    phone.set("locked", True)
    phone.set("lock_secret", False)
    assert open_page().trouble() is None
