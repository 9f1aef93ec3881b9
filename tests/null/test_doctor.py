"""The doctor: each check on made-up readings, and the whole examination on this machine."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tritmark.bench import doctor
from tritmark.devices.base import DeviceError
from tritmark.devices.registry import Sighting

SOFTWARE = {"adapter": "llvmpipe", "backend": "Vulkan", "kind": "cpu", "driver": "Mesa 22.3"}
HARDWARE = {"adapter": "NVIDIA H200", "backend": "Vulkan", "kind": "discrete", "driver": "570.1"}


class Machine:
    """A device that only lists adapters; given an error, it raises it."""

    def __init__(self, *found: Mapping[str, Any], error: str | None = None) -> None:
        self._found, self._error = found, error

    def adapters(self) -> list[Mapping[str, Any]]:
        if self._error:
            raise DeviceError(self._error)
        return list(self._found)

    def conditions(self) -> Mapping[str, Any]:
        return {}


def pci(folder: Path, *devices: tuple[str, str]) -> Path:
    """A PCI bus with (class, vendor) per device."""
    for index, (kind, vendor) in enumerate(devices):
        (folder / f"0000:00:0{index}.0").mkdir()
        (folder / f"0000:00:0{index}.0" / "class").write_text(kind + "\n")
        (folder / f"0000:00:0{index}.0" / "vendor").write_text(vendor + "\n")
    return folder


def test_old_python_fails() -> None:
    assert doctor.python((3, 10, 4)).status == "fail"
    assert doctor.python((3, 11, 0)).status == "ok"


def test_hardware_adapter_is_fine() -> None:
    finding = doctor.adapters(Machine(SOFTWARE, HARDWARE), ["NVIDIA"])
    assert finding.status == "ok"
    assert "NVIDIA H200" in finding.detail
    assert finding.remedy is None


@pytest.mark.parametrize(("vendor", "driver"), [("NVIDIA", "nvidia-driver"), ("AMD", "RADV"), ("Intel", "ANV")])
def test_software_adapter_beside_hardware_names_the_driver_to_install(vendor: str, driver: str) -> None:
    finding = doctor.adapters(Machine(SOFTWARE), [vendor])
    assert finding.status == "warn"
    assert finding.remedy
    assert driver in finding.remedy


def test_software_adapter_without_hardware_warns_that_numbers_are_the_cpus() -> None:
    finding = doctor.adapters(Machine(SOFTWARE), [])
    assert finding.status == "warn"
    assert finding.remedy
    assert "CPU" in finding.remedy


@pytest.mark.parametrize("machine", [Machine(), Machine(error="the player died: exit code 134")])
def test_no_adapter_fails_and_names_mesa(machine: Machine) -> None:
    finding = doctor.adapters(machine, [])
    assert finding.status == "fail"
    assert finding.remedy
    assert "mesa-vulkan-drivers" in finding.remedy


def test_graphics_vendors_are_read_from_display_controllers_only(tmp_path: Path) -> None:
    bus = pci(tmp_path, ("0x030000", "0x8086"), ("0x030200", "0x10de"), ("0x020000", "0x1002"), ("0x038000", "0x1af4"))
    assert doctor.graphics_vendors(bus) == ["Intel", "NVIDIA"]


def test_machine_without_a_pci_bus_has_no_graphics_vendors(tmp_path: Path) -> None:
    assert doctor.graphics_vendors(tmp_path / "none") == []


def test_closed_render_node_warns_with_the_group_to_join(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "renderD128").touch()
    assert doctor.render_nodes(tmp_path).status == "ok"
    monkeypatch.setattr(doctor.os, "access", lambda *_: False)
    finding = doctor.render_nodes(tmp_path)
    assert finding.status == "warn"
    assert "render" in str(finding.remedy)


def test_missing_vulkan_loader_fails_on_linux_only(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(doctor.ctypes, "CDLL", refuse)
    assert doctor.vulkan_loader("Linux").status == "fail"
    assert doctor.vulkan_loader("Darwin").status == "ok"


def test_little_memory_warns() -> None:
    plenty = {"available_memory_bytes": 8 << 30, "total_memory_bytes": 16 << 30}
    assert doctor.memory(plenty).status == "ok"
    assert doctor.memory({**plenty, "available_memory_bytes": 1 << 30}).status == "warn"
    assert doctor.memory({}).status == "warn"


def test_little_disk_warns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for free, status in ((100 << 30, "ok"), (1 << 30, "warn")):
        monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _, free=free: SimpleNamespace(free=free))
        assert doctor.disk(tmp_path).status == status


def test_cache_folder_that_could_be_made_is_fine_and_is_not_made(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    assert doctor.cache(folder).status == "ok"
    assert not folder.exists()


def test_cache_folder_below_a_file_fails(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert doctor.cache(tmp_path / "file" / "tritmark").status == "fail"


def test_discharging_battery_warns() -> None:
    assert doctor.power({}).status == "ok"
    assert doctor.power({"battery": {"percent": 80.0, "plugged": True}}).status == "ok"
    assert doctor.power({"battery": {"percent": 80.0, "plugged": None}}).status == "ok"
    assert doctor.power({"battery": {"percent": 80.0, "plugged": False}}).status == "warn"


@pytest.mark.parametrize(
    ("governor", "profile", "status"),
    [
        ("performance", "balanced", "ok"),
        ("powersave", "", "warn"),
        ("schedutil", "low-power", "warn"),
        (None, "", "ok"),
    ],
)
def test_clocks_held_down_warn(governor: str | None, profile: str, status: str) -> None:
    assert doctor.clock({"cpu_governor": governor}, profile).status == status


def test_background_load_names_its_causes() -> None:
    assert doctor.load(3.0, []).status == "ok"
    finding = doctor.load(70.0, ["compiler"])
    assert finding.status == "warn"
    assert "compiler" in finding.detail


def test_busy_process_is_seen_and_this_one_is_not_counted() -> None:
    spinner = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        percent, names = doctor.busiest(0.5)
    finally:
        spinner.kill()
        spinner.wait()
    assert percent > 0
    assert any(name.startswith("python") for name in names)


def test_missing_extra_is_named() -> None:
    finding = doctor.hub(["json", "surely_not_installed"])
    assert finding.status == "warn"
    assert "surely_not_installed" in finding.detail


def test_phones_need_their_extras(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert "not installed" in doctor.phones().detail


@pytest.mark.parametrize(("state", "remedy", "status"), [("ready", None, "ok"), ("offline", "replug it", "warn")])
def test_a_phone_that_is_not_ready_warns(
    state: str, remedy: str | None, status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    phone = Sighting(device="android:R5CT", state=state, detail="", remedy=remedy)
    kinds = {"android": SimpleNamespace(sightings=lambda: [phone]), "ios": SimpleNamespace(sightings=list)}
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: object())
    monkeypatch.setattr(doctor, "provider", kinds.__getitem__)
    finding = doctor.phones()
    assert (finding.status, finding.detail, finding.remedy) == (status, f"android:R5CT ({state})", remedy)


def test_examination_finishes_with_a_remedy_for_every_failure() -> None:
    findings = doctor.examine(Machine())
    assert len({finding.name for finding in findings}) == len(findings)
    assert all(finding.remedy for finding in findings if finding.status == "fail")
