"""What Android's commands print becomes numbers: outputs of Android 9 to 16 on Pixel, Samsung and Huawei phones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torn_texts import torn

from tritmark.devices.android import readings

PIXEL_14_BATTERY = """Current Battery Service state:
  AC powered: false
  USB powered: true
  Wireless powered: false
  Dock powered: false
  Max charging current: 500000
  Max charging voltage: 5000000
  Charge counter: 2483000
  status: 2
  health: 2
  present: true
  level: 67
  scale: 100
  voltage: 3964
  temperature: 337
  technology: Li-ion
  Charging state: 1
  Charging policy: 1
"""
SAMSUNG_13_BATTERY = """Current Battery Service state:
  AC powered: false
  USB powered: false
  Wireless powered: false
  Max charging current: 0
  Charge counter: 3104640
  status: 3
  health: 2
  present: true
  level: 80
  scale: 100
  voltage: 4103
  temperature: 291
  technology: Li-ion
  batteryMiscEvent: 0
  mSecPlugTypeSummary: 0
  LED Charging: true
  current now: -512
"""

SAMSUNG_12_THERMAL = """IsStatusOverride: false
ThermalEventListeners:
	callbacks: 1
	killed: false
	broadcasts count: -1
Thermal Status: 1
Cached temperatures:
	Temperature{mValue=0.0, mType=2, mName=SUBBAT, mStatus=0}
	Temperature{mValue=61.6, mType=0, mName=AP, mStatus=0}
	Temperature{mValue=23.8, mType=2, mName=BAT, mStatus=0}
HAL Ready: true
HAL connection:
	ThermalHAL 2.0 connected: yes
Current temperatures from HAL:
	Temperature{mValue=44.8, mType=0, mName=AP, mStatus=0}
	Temperature{mValue=33.7, mType=2, mName=BAT, mStatus=0}
	Temperature{mValue=38.4, mType=3, mName=SKIN, mStatus=1}
	Temperature{mValue=0.0, mType=2, mName=SUBBAT, mStatus=0}
	Temperature{mValue=41.2, mType=5, mName=PA, mStatus=0}
Current cooling devices from HAL:
	CoolingDevice{mValue=0, mType=2, mName=cpufreq-cpu0}
Temperature static thresholds from HAL:
	TemperatureThreshold{mType=3, mName=SKIN, mHotThrottlingThresholds=[NaN, 39.0]}
"""
PIXEL_15_THERMAL = """IsStatusOverride: false
Thermal Status: 0
Cached temperatures:
	Temperature{mValue=31.2, mType=3, mName=VIRTUAL-SKIN, mStatus=0}
HAL Ready: true
HAL connection:
	ThermalHAL AIDL 2  connected: yes
Current temperatures from HAL:
	Temperature{mValue=36.0, mType=0, mName=LITTLE, mStatus=0}
	Temperature{mValue=39.5, mType=0, mName=BIG, mStatus=0}
	Temperature{mValue=35.0, mType=1, mName=G3D, mStatus=0}
	Temperature{mValue=34.0, mType=10, mName=TPU, mStatus=0}
	Temperature{mValue=31.41, mType=3, mName=VIRTUAL-SKIN, mStatus=0}
	Temperature{mValue=NaN, mType=4, mName=usb_pwr_therm2, mStatus=0}
	Temperature{mValue=100.0, mType=8, mName=soc, mStatus=0}
	Temperature{mValue=4.1, mType=6, mName=vbat, mStatus=0}
Current cooling devices from HAL:
"""
HUAWEI_10_THERMAL = """Thermal Status: 0
Cached temperatures:
	Temperature{mValue=-99.9, mType=6, mName=TYPE_POWER_AMPLIFIER, mStatus=0}
HAL Ready: true
Current temperatures from HAL:
	Temperature{mValue=24.0, mType=1, mName=TYPE_CPU, mStatus=0}
	Temperature{mValue=24.4, mType=3, mName=TYPE_BATTERY, mStatus=0}
	Temperature{mValue=25.3, mType=4, mName=TYPE_SKIN, mStatus=0}
	Temperature{mValue=-99.9, mType=6, mName=TYPE_POWER_AMPLIFIER, mStatus=0}
"""
NO_HAL_THERMAL = """Thermal Status: 0
Cached temperatures:
	Temperature{mValue=25.5, mType=0, mName=cpu, mStatus=0}
HAL Ready: false
"""

MEMINFO_14 = """Applications Memory Usage (in Kilobytes):
Uptime: 86412021 Realtime: 91233210

** MEMINFO in pid 9120 [com.android.chrome] **
                   Pss  Private  Private  SwapPss      Rss     Heap     Heap     Heap
                 Total    Dirty    Clean    Dirty    Total     Size    Alloc     Free
                ------   ------   ------   ------   ------   ------   ------   ------
  Native Heap    12464    12420        0       60    13460    29379    20035     4718
        TOTAL    39321    17708    15740      545   124676    29379    20035     4718

 App Summary
                       Pss(KB)                        Rss(KB)
                        ------                         ------
           Java Heap:     2480                          18640
            Graphics:        0                              0
             Unknown:                                    4000

           TOTAL PSS:    39321            TOTAL RSS:   124676       TOTAL SWAP PSS:      545

 Objects
               Views:       24         ViewRootImpl:        3

** MEMINFO in pid 9302 [com.android.chrome:privileged_process0] **
 App Summary
           TOTAL PSS:   260679            TOTAL RSS:   301234       TOTAL SWAP PSS:        5
"""
MEMINFO_9 = """** MEMINFO in pid 9120 [com.android.chrome] **
          TOTAL   174545   143852    18736      303    92448    66591    25856

 App Summary
                       Pss(KB)
                        ------
           Java Heap:    15044
              System:    11957

               TOTAL:   174545       TOTAL SWAP PSS:      303
"""
PROCESSES = """  PID    RSS NAME
    1   8912 init
 9120 212345 com.android.chrome
 9302 301234 com.android.chrome:privileged_process0
 9400  98765 com.android.chrome:sandboxed_process0:org.chromium.content.app.SandboxedProcessService0:0
 9410  54321 com.android.chrome_zygote
 9500 123456 com.android.chromecast
 9600 123456 com.chrome.beta
"""
GPU_MEMORY = """Memory snapshot for GPU 0:
Global total: 391626752
Proc 9120 total: 1028096
Proc 9302 total: 123355136
Proc 600 total: 31166464
"""
GPU_MEMORY_16 = """Memory snapshot for GPU 0:
Global total: N/A, imported: N/A
Proc 9302 total: 2048, imported: 1024
"""
GPU_WORK = """GPU work information.
gpu_id uid total_active_duration_ns total_inactive_duration_ns
0 1000 0 0
0 10123 1234 123
1 10123 1000 0
[errors:3]0 1006 4567 456
"""
MEMORY = """MemTotal:       11704236 kB
MemFree:          412340 kB
MemAvailable:    5120000 kB
SwapTotal:       4194300 kB
"""


def test_battery_of_a_charging_pixel():
    assert readings.battery(PIXEL_14_BATTERY) == {
        "battery_percent": 67.0,
        "battery_celsius": 33.7,
        "battery_millivolts": 3964,
        "battery_microampere_hours": 2483000,
        "charging": True,
        "plugged": True,
    }


def test_battery_of_an_unplugged_samsung():
    values = readings.battery(SAMSUNG_13_BATTERY)
    assert values["charging"] is False and values["plugged"] is False
    assert values["battery_celsius"] == 29.1 and values["battery_millivolts"] == 4103


@pytest.mark.parametrize(("printed", "millivolts"), [("4123000", 4123), ("4", None), ("0", None), ("N/A", None)])
def test_battery_voltage_is_in_millivolts_or_absent(printed, millivolts):
    text = PIXEL_14_BATTERY.replace("voltage: 3964", f"voltage: {printed}")
    assert readings.battery(text).get("battery_millivolts") == millivolts


def test_battery_scale_need_not_be_a_hundred():
    assert readings.battery("level: 50\nscale: 200\n") == {"battery_percent": 25.0}


def test_thermal_prefers_what_sensors_say_now_to_what_is_cached():
    assert readings.thermal(SAMSUNG_12_THERMAL) == {
        "thermal_status": 1,
        "cpu_celsius": 44.8,
        "battery_celsius": 33.7,
        "skin_celsius": 38.4,
        "power_amplifier_celsius": 41.2,
    }


def test_thermal_tells_the_hottest_of_a_kind_and_no_voltages_or_charge_levels():
    values = {"thermal_status": 0, "cpu_celsius": 39.5, "gpu_celsius": 35.0, "tpu_celsius": 34.0, "skin_celsius": 31.41}
    assert readings.thermal(PIXEL_15_THERMAL) == values


def test_thermal_trusts_names_where_types_are_numbered_differently():
    values = {"thermal_status": 0, "cpu_celsius": 24.0, "battery_celsius": 24.4, "skin_celsius": 25.3}
    assert readings.thermal(HUAWEI_10_THERMAL) == values


def test_thermal_falls_back_to_cached_values():
    assert readings.thermal(NO_HAL_THERMAL) == {"thermal_status": 0, "cpu_celsius": 25.5}


def test_memory_of_all_processes_of_an_app_is_summed():
    kib = 1024
    expected = {"pss_bytes": 300000 * kib, "meminfo_rss_bytes": 425910 * kib, "swap_pss_bytes": 550 * kib}
    assert readings.process_memory(MEMINFO_14) == expected


def test_memory_on_an_older_android_has_no_resident_size():
    assert readings.process_memory(MEMINFO_9) == {"pss_bytes": 174545 * 1024, "swap_pss_bytes": 303 * 1024}


def test_memory_of_an_app_that_does_not_run_is_absent():
    assert readings.process_memory("No process found for: com.android.chrome\n") == {}


def test_processes_are_those_of_one_app_and_not_of_its_namesakes():
    found = readings.processes(PROCESSES, "com.android.chrome")
    assert sorted(found) == [9120, 9302, 9400, 9410]
    assert found[9302] == ("com.android.chrome:privileged_process0", 301234 * 1024)


def test_gpu_memory_is_that_of_the_given_processes():
    values = {"gpu_memory_bytes": 124383232, "gpu_memory_all_bytes": 391626752}
    assert readings.gpu_memory(GPU_MEMORY, [9120, 9302]) == values
    assert readings.gpu_memory(GPU_MEMORY, [7]) == {"gpu_memory_all_bytes": 391626752}


def test_gpu_memory_without_a_total():
    assert readings.gpu_memory(GPU_MEMORY_16, [9302]) == {"gpu_memory_bytes": 2048}
    assert readings.gpu_memory("Failed to initialize GPU memory\n", [1]) == {}


def test_gpu_work_adds_an_apps_gpus_and_does_not_believe_error_rows():
    assert readings.gpu_work(GPU_WORK, 10123) == 2234
    assert readings.gpu_work(GPU_WORK, 1006) is None
    assert readings.gpu_work(GPU_WORK, 5) is None
    assert readings.gpu_work("GPU work information is not available.\n", 10123) is None


@pytest.mark.parametrize(
    ("printed", "share"),
    [(" 667051 1007167\n", 66.2), ("0 0", 0.0), ("0 1000", 0.0), ("9 0", None), ("7", None), ("cat: denied", None)],
)
def test_adreno_counters_are_a_share(printed, share):
    assert readings.busy_share(printed) == share


@pytest.mark.parametrize(
    ("printed", "value"),
    [
        ("37\n", 37),
        ("37 %", 37),
        ("37%", 37),
        ("37@600000000Hz", 37),
        ("utilization: 42", 42),
        ("600", None),
        ("", None),
    ],
)
def test_utilisation_is_found_as_drivers_print_it(printed, value):
    assert readings.percent(printed) == value


@pytest.mark.parametrize(
    ("printed", "mhz"),
    [("1804800\n2188800\n", 2188.8), ("585000000", 585.0), ("848000", 848.0), ("702", 702.0), ("", None), ("x", None)],
)
def test_clocks_are_megahertz_whatever_the_driver_counts_in(printed, mhz):
    assert readings.clock_mhz(printed) == mhz


def test_memory_of_the_system():
    assert readings.system_memory(MEMORY) == {
        "available_memory_bytes": 5120000 * 1024,
        "total_memory_bytes": 11704236 * 1024,
    }


def test_identity_leaves_out_what_says_nothing():
    text = "[ro.product.model]: [Pixel 8]\n[ro.soc.model]: []\n[ro.build.version.release]: [14]\n[ro.x]: [y]\n"
    assert readings.properties(text) == {"model": "Pixel 8", "android": "14"}


def test_sections_of_an_output_are_told_apart():
    text = "noise\n=m=0\na\nb\n=m=1\n=m=2\nc\n"
    assert list(readings.sections(text, "=m=")) == [("0", "a\nb\n"), ("1", ""), ("2", "c\n")]


PARSERS: list[tuple[Callable[[str], Any], str]] = [
    (readings.battery, PIXEL_14_BATTERY),
    (readings.thermal, PIXEL_15_THERMAL),
    (readings.process_memory, MEMINFO_14),
    (lambda text: readings.processes(text, "com.android.chrome"), PROCESSES),
    (lambda text: readings.gpu_memory(text, [9302]), GPU_MEMORY),
    (lambda text: readings.gpu_work(text, 10123), GPU_WORK),
    (readings.busy_share, "667051 1007167"),
    (readings.percent, "37@600000000Hz"),
    (readings.clock_mhz, "1804800\n2188800\n"),
    (readings.system_memory, MEMORY),
    (readings.properties, "[ro.product.model]: [Pixel 8]"),
]


@given(st.sampled_from(PARSERS), st.data())
def test_no_text_makes_a_parser_fail(parser, data):
    read, sample = parser
    read(torn(sample, data))
