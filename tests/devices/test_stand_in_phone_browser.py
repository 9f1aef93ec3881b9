"""The stand-in phone's Android: its commands speak as each version does, and its Chrome is a real Chromium."""

from __future__ import annotations

import http.client
import json
import os
import queue
import signal
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from stand_in_phone import Phone, fixtures
from stand_in_phone.texts import VERSIONS
from stand_in_phone.waiting import wait_until

adbutils = pytest.importorskip("adbutils", reason="needs pip install 'tritmark[android]'")

phone, plugged_in, browsing_phone = fixtures.phone, fixtures.plugged_in, fixtures.browsing_phone
FLAGS = "/data/local/tmp/chrome-command-line"
PAGE = b"""<script>
const say = (words) => fetch('/said', {method: 'POST', body: words});
document.addEventListener('visibilitychange', () => say(document.visibilityState));
navigator.gpu.requestAdapter().then((adapter) => say(adapter ? 'adapter' : 'no adapter'));
</script>"""


class Site:
    """A web server of this computer with one page; what the page says can be waited for."""

    def __init__(self) -> None:
        site, self.said = self, queue.SimpleQueue[str]()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.end_headers()
                self.wfile.write(PAGE)
                if "favicon" not in self.path:
                    site.said.put(f"GET {self.path}")

            def do_POST(self) -> None:
                site.said.put(self.rfile.read(int(self.headers["Content-Length"])).decode())
                self.send_response(204)
                self.end_headers()

            def log_message(self, format: str, *words: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    threading.Thread(target=site.server.serve_forever, args=(0.05,), daemon=True).start()
    yield site
    site.server.shutdown()
    site.server.server_close()


def shell(phone: Phone, line: str) -> str:
    return str(adbutils.AdbClient().device(phone.serial).shell(line, timeout=30))


def skip_first_run(phone: Phone) -> None:
    shell(phone, f"echo '_ --disable-fre --no-first-run' > {FLAGS}; chmod 644 {FLAGS}")
    shell(phone, "am set-debug-app --persistent com.android.chrome")


def start(phone: Phone, site: Site) -> str:
    """Open the site in the phone's browser through a reversed port; returns what `am` prints."""
    adbutils.AdbClient().device(phone.serial).reverse("tcp:0", f"tcp:{site.server.server_address[1]}")
    port = next(iter(phone.reverse)).removeprefix("tcp:")
    where = "-n com.android.chrome/com.google.android.apps.chrome.Main"
    return shell(phone, f"am start -a android.intent.action.VIEW {where} -d http://localhost:{port}/page")


def pages(phone: Phone) -> list[str]:
    """Addresses of the pages that the phone's browser lists on its debugging socket."""
    connection = http.client.HTTPConnection("localhost", timeout=10)
    connection.sock = adbutils.AdbClient().device(phone.serial).create_connection(
        adbutils.Network.LOCAL_ABSTRACT, "chrome_devtools_remote"
    )
    connection.request("GET", "/json/list")
    listed = json.loads(connection.getresponse().read())
    connection.close()
    return [page["url"] for page in listed if page["type"] == "page"]


@pytest.mark.parametrize("android", VERSIONS)
def test_every_version_tells_its_identity_and_condition(plugged_in: Any, android: str) -> None:
    phone = plugged_in(android=android)
    assert shell(phone, "getprop ro.build.version.release") == android
    assert f"[ro.product.model]: [{shell(phone, 'getprop ro.product.model')}]" in shell(phone, "getprop")
    for name, value in {"battery_celsius": 33.7, "battery_percent": 42, "charging": False, "thermal_status": 2}.items():
        phone.set(name, value)
    battery, thermal = shell(phone, "dumpsys battery"), shell(phone, "dumpsys thermalservice")
    assert {"  level: 42", "  temperature: 337", "  USB powered: false", "  status: 3"} <= set(battery.splitlines())
    assert "Thermal Status: 2\n" in thermal
    assert "mValue=33.7, mType=2" in thermal.partition("Current temperatures from HAL:")[2]
    assert "mWakefulness=Awake" in shell(phone, "dumpsys power")
    assert "mDreamingLockscreen=false" in shell(phone, "dumpsys window")
    assert "MemAvailable:" in shell(phone, "cat /proc/meminfo")
    assert len(shell(phone, "cat /sys/devices/system/cpu/cpufreq/policy*/scaling_cur_freq").split()) >= 3
    everything = " ".join(shell(phone, f"dumpsys {name}") for name in ("gpu", "trust", "activity activities"))
    assert "<<" not in battery + thermal + everything


def test_gpu_files_are_there_only_where_the_maker_offers_them(plugged_in: Any) -> None:
    adreno, mali = plugged_in(android="13"), plugged_in(android="14")
    line = "cat /sys/class/kgsl/kgsl-3d0/gpubusy"
    assert shell(adreno, line) == "667051 1007167"
    assert shell(mali, line) == "cat: /sys/class/kgsl/kgsl-3d0/gpubusy: No such file or directory"


def test_thermal_service_without_a_hal_tells_cached_temperatures_only(phone: Phone) -> None:
    phone.set("thermal_hal", False)
    text = shell(phone, "dumpsys thermalservice")
    assert "Cached temperatures:" in text and text.endswith("HAL Ready: false")


def test_settings_are_kept_told_and_refused(phone: Phone) -> None:
    assert shell(phone, "settings get global stay_on_while_plugged_in; settings get global none") == "0\nnull"
    shell(phone, "svc power stayon usb; settings put system screen_off_timeout 60000")
    assert phone.settings == {"global/stay_on_while_plugged_in": "2", "system/screen_off_timeout": "60000"}
    assert shell(phone, "settings delete system screen_off_timeout") == "Deleted 1 rows"
    assert phone.settings["system/screen_off_timeout"] is None
    phone.set("settings_writable", False)
    assert "SecurityException" in shell(phone, "settings put global low_power 1")
    assert "global/low_power" not in phone.settings


def test_debug_app_is_set_and_cleared(phone: Phone) -> None:
    shell(phone, "am set-debug-app -w --persistent org.example")
    assert (phone.debug_app, shell(phone, "settings get global wait_for_debugger")) == ("org.example", "1")
    shell(phone, "am clear-debug-app")
    assert phone.debug_app is None


def test_unknown_conditions_are_named(phone: Phone) -> None:
    with pytest.raises(KeyError, match="no condition temperature; there are: battery_celsius"):
        phone.set("temperature", 40)


def test_missing_chrome_is_not_listed_and_not_started(phone: Phone, site: Site) -> None:
    phone.set("chrome", None)
    assert "com.android.chrome" not in shell(phone, "pm list packages -e -U")
    assert shell(phone, "pm path com.android.chrome; echo $?") == "1"
    assert "Unable to find package" in shell(phone, "dumpsys package com.android.chrome")
    assert "Error type 3" in start(phone, site)


def test_fresh_chrome_shows_its_welcome_and_does_not_load_the_page(browsing_phone: Phone, site: Site) -> None:
    assert "Starting: Intent { act=android.intent.action.VIEW" in start(browsing_phone, site)
    assert "FirstRunActivity" in shell(browsing_phone, "dumpsys activity activities")
    assert pages(browsing_phone) == ["about:blank"]
    assert site.said.empty()


def test_page_is_loaded_through_the_reversed_port(browsing_phone: Phone, site: Site) -> None:
    skip_first_run(browsing_phone)
    start(browsing_phone, site)
    assert [site.said.get(timeout=15) for _ in range(2)] == ["GET /page", "adapter"]
    port = next(iter(browsing_phone.reverse)).removeprefix("tcp:")
    assert pages(browsing_phone) == [f"http://localhost:{port}/page"]
    assert "ChromeTabbedActivity" in shell(browsing_phone, "dumpsys activity activities")
    assert shell(browsing_phone, "pidof com.android.chrome") == str(browsing_phone.browser_pids()[0])
    assert "@chrome_devtools_remote" in shell(browsing_phone, "cat /proc/net/unix")
    names = [line.split()[-1] for line in shell(browsing_phone, "ps -A -o PID,RSS,NAME").splitlines()]
    assert {"com.android.chrome", "com.android.chrome:privileged_process0"} <= set(names)
    for line, words in {
        "dumpsys meminfo --package com.android.chrome": "TOTAL PSS:",
        "dumpsys gpu --gpumem": f"Proc {browsing_phone.browser_pids('gpu')[0]} total: 260679680",
        "dumpsys gpu --gpuwork": "\n0 10123 ",
    }.items():
        assert words in shell(browsing_phone, line)
    shell(browsing_phone, "am force-stop com.android.chrome")
    assert browsing_phone.browser_pids() == [] and shell(browsing_phone, "pidof com.android.chrome") == ""
    assert "reason=10 (USER REQUESTED)" in shell(browsing_phone, "dumpsys activity exit-info com.android.chrome")


def test_second_start_opens_one_more_page(browsing_phone: Phone, site: Site) -> None:
    browsing_phone.set("first_run_done", True)
    start(browsing_phone, site)
    assert "Warning: Activity not started" in start(browsing_phone, site)
    wait_until(lambda: len(pages(browsing_phone)) == 2, "the second page")


def test_locked_phone_hides_the_page_until_it_is_unlocked(browsing_phone: Phone, site: Site) -> None:
    browsing_phone.set("first_run_done", True)
    start(browsing_phone, site)
    assert [site.said.get(timeout=15) for _ in range(2)] == ["GET /page", "adapter"]
    browsing_phone.set("locked", True)
    assert site.said.get(timeout=10) == "hidden"
    shell(browsing_phone, "wm dismiss-keyguard")
    assert "mDreamingLockscreen=true" in shell(browsing_phone, "dumpsys window")
    browsing_phone.set("lock_secret", False)
    shell(browsing_phone, "wm dismiss-keyguard")
    assert site.said.get(timeout=10) == "visible"
    shell(browsing_phone, "input keyevent KEYCODE_HOME")
    assert site.said.get(timeout=10) == "hidden"


def test_browser_without_webgpu_has_no_adapter(browsing_phone: Phone, site: Site) -> None:
    browsing_phone.set("first_run_done", True)
    browsing_phone.set("webgpu", False)
    start(browsing_phone, site)
    assert [site.said.get(timeout=15) for _ in range(2)] == ["GET /page", "no adapter"]


def test_killed_browser_and_tab_are_remembered_with_their_reason(browsing_phone: Phone, site: Site) -> None:
    browsing_phone.set("first_run_done", True)
    start(browsing_phone, site)
    assert site.said.get(timeout=15) == "GET /page"
    browsing_phone.kill("renderer", "LOW_MEMORY")
    told = shell(browsing_phone, "dumpsys activity exit-info com.android.chrome")
    assert "process=com.android.chrome:sandboxed_process0" in told and "reason=3 (LOW_MEMORY)" in told
    os.kill(browsing_phone.browser_pids()[0], signal.SIGKILL)
    wait_until(lambda: shell(browsing_phone, "pidof com.android.chrome") == "", "the browser to be gone")
    killed = "process=com.android.chrome reason=2 (SIGNALED) subreason=0 (UNKNOWN) status=9"
    wait_until(
        lambda: killed in shell(browsing_phone, "dumpsys activity exit-info com.android.chrome"),
        "the browser's end to be on record",
    )
