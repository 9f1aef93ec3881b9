"""Phones through the real adb server: what is found, what is wrong with it, and what can be done on a phone."""

from __future__ import annotations

import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from stand_in_phone import Phone, PretendedServer

from tritmark.devices import android
from tritmark.devices.android.adb import Adb
from tritmark.devices.android.claim import claim
from tritmark.devices.android.discovery import remedy
from tritmark.devices.android.files import PhoneShell, push
from tritmark.devices.android.signs import Listed
from tritmark.devices.base import DeviceError
from tritmark.devices.registry import sightings


@pytest.fixture
def shell(adb: Adb) -> Iterator[PhoneShell]:
    with PhoneShell(adb, claim(adb).journal) as shell:
        yield shell


def only_sighting() -> android.Sighting:
    (sighting,) = android.sightings()
    return sighting


def test_a_phone_that_is_ready_is_listed_with_what_it_is(phone: Phone):
    sighting = only_sighting()
    assert (sighting.device, sighting.state, sighting.remedy) == (f"android:{phone.serial}", "ready", None)
    assert "Android 14" in sighting.detail and "com.android.chrome" in sighting.detail
    assert android.open_device(None, 1.0).name == sighting.device


@pytest.mark.parametrize(
    ("state", "says"), [("unauthorized", "accept 'Allow USB debugging"), ("offline", "plug it in again")]
)
def test_a_phone_that_is_not_ready_is_listed_with_what_to_do(phone: Phone, state, says):
    phone.state(state)
    sighting = only_sighting()
    assert sighting.state == state and says in sighting.remedy
    for argument in (None, phone.serial):
        with pytest.raises(DeviceError, match=says) as caught:
            android.open_device(argument, 1.0)
        assert state in str(caught.value) and "\n" not in str(caught.value)
    phone.state("device")
    assert only_sighting().state == "ready"


def test_a_phone_without_permissions_comes_with_the_line_to_type():
    words = remedy(Listed("0123456789", "no permissions", None, None))
    assert 'SUBSYSTEM=="usb"' in words and "plugdev" in words and "adb kill-server" in words


@pytest.mark.parametrize("state", ["recovery", "bootloader", "authorizing", "sideload", "something new"])
def test_every_state_has_a_remedy(state):
    assert remedy(Listed("0123456789", state, None, None))


def test_without_a_phone_nothing_is_listed_and_opening_says_what_to_do(phone: Phone):
    phone.unplug()
    assert android.sightings() == []
    with pytest.raises(DeviceError, match="no Android phone is plugged in: connect one"):
        android.open_device(None, 1.0)


def test_of_several_phones_one_has_to_be_named(phone: Phone):
    with Phone() as other:
        phone.server.run("connect", other.serial)
        with pytest.raises(DeviceError, match="2 phones are ready; name one: --device android:"):
            android.open_device(None, 1.0)
        assert android.open_device(other.serial, 1.0).name == f"android:{other.serial}"
        with pytest.raises(DeviceError, match=r"no phone XYZ is plugged in; there are: .* \(device\)"):
            android.open_device("XYZ", 1.0)
        phone.server.run("disconnect", other.serial)


def test_an_adb_server_of_another_version_is_refused_before_anything_starts(monkeypatch):
    with PretendedServer(40) as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(DeviceError, match=r"has version 1\.0\.40, but .* has 1\.0\.\d+: type `adb kill-server`"):
            android.open_device(None, 1.0)
        assert only_sighting().state == "unavailable"


def test_another_program_on_the_servers_port_is_told(monkeypatch):
    class Web(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(64)
            self.request.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Web) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(server.server_address[1]))
        with pytest.raises(DeviceError, match="does not answer as an adb server does"):
            android.open_device(None, 1.0)
        server.shutdown()


def test_a_missing_adb_program_is_named(monkeypatch):
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(sock.getsockname()[1]))
    monkeypatch.setenv("ADBUTILS_ADB_PATH", "/nowhere/adb")
    assert "/nowhere/adb" in only_sighting().remedy


def test_a_missing_extra_is_told_and_not_raised():
    script = (
        "import sys; sys.modules['adbutils'] = None\n"
        "from tritmark.devices import android\n"
        "print(android.sightings()[0].remedy)\n"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert said == "Android phones need pip install 'tritmark[android]'\n"


def test_looking_for_devices_of_any_kind_includes_phones(phone: Phone):
    assert f"android:{phone.serial}" in [sighting.device for sighting in sightings()]


def test_a_command_tells_its_status_and_both_outputs(adb: Adb):
    done = adb.shell("echo out; echo err >&2; exit 3")
    assert (done.status, done.stdout, done.stderr) == (3, "out\n", "err\n")
    assert adb.shell(["echo", "a b", "$HOME", "it's"]).stdout == "a b $HOME it's\n"


@pytest.mark.parametrize("command", ["sleep 30", "while true; do echo x; sleep 0.01; done"])
def test_a_command_that_takes_too_long_is_an_error(adb: Adb, command):
    started = time.monotonic()
    with pytest.raises(DeviceError, match="did not answer in time to run"):
        adb.shell(command, timeout_s=0.5)
    assert time.monotonic() - started < 5


def test_a_command_that_has_to_succeed_says_what_to_do_where_it_does_not(adb: Adb):
    with pytest.raises(DeviceError, match=r"refuses `cat /data/none` \(.*\): look there"):
        adb.must("cat /data/none", "look there")


def test_a_reversed_port_leads_to_this_computer(phone: Phone, adb: Adb):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        remote = adb.reverse(port)
        assert phone.reverse == {f"tcp:{remote}": f"tcp:{port}"} == adb.reverses()
        with socket.create_connection(("127.0.0.1", remote)) as there:
            here, _ = server.accept()
            with here:
                there.sendall(b"hello")
                assert here.recv(5) == b"hello"
    adb.remove_reverse(f"tcp:{remote}")
    assert phone.reverse == {}


def test_files_are_written_and_read(adb: Adb, tmp_path: Path):
    content = bytes(range(256)) * 1000
    (tmp_path / "a").write_bytes(content)
    with (tmp_path / "a").open("rb") as source:
        push(adb, source, "/data/local/tmp/a", 0o640)
    assert adb.read("/data/local/tmp/a") == (0o640, content)
    assert adb.read("/data/local/tmp/b") is None


def test_a_phone_that_does_not_take_a_file_says_why(phone: Phone, adb: Adb, tmp_path: Path):
    phone.set("free_bytes", 100_000)
    (tmp_path / "a").write_bytes(bytes(300_000))
    says = r"does not take /data/local/tmp/a \(.*No space left on device\): free some space"
    with (tmp_path / "a").open("rb") as source, pytest.raises(DeviceError, match=says):
        push(adb, source, "/data/local/tmp/a", 0o640)


def test_a_native_program_runs_in_a_folder_that_is_gone_afterwards(phone: Phone, adb: Adb, tmp_path: Path):
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\necho $1 $LD_LIBRARY_PATH\ncat data >&2\nexit 4\n")
    program.chmod(0o755)
    (tmp_path / "data").write_text("weights")
    with PhoneShell(adb, claim(adb).journal) as shell:
        shell.push(program, "program")
        shell.push(tmp_path / "data", "data")
        done = shell.run(["./program", "a b"], 10)
        assert (done.status, done.stderr) == (4, "weights") and done.stdout.startswith("a b /data/local/tmp/tritmark-")
        shell.remove("data")
        assert shell.run(["cat", "data"], 10).status == 1
    assert not list((phone.files / "data/local/tmp").iterdir())


def test_a_native_program_that_takes_too_long_is_ended_on_the_phone(shell: PhoneShell, tmp_path: Path):
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\nsleep 60\n")
    program.chmod(0o755)
    shell.push(program, "program")
    with pytest.raises(DeviceError, match=r"\./program took more than 1 s on the phone and was ended there"):
        shell.run(["./program"], 1.0)


def test_a_name_outside_of_the_folder_is_refused(shell: PhoneShell):
    for name in ("/data/x", "../x"):
        with pytest.raises(ValueError, match="not a name inside"):
            shell.remove(name)


def test_a_local_file_that_is_missing_is_named(shell: PhoneShell):
    with pytest.raises(DeviceError, match="cannot read /nowhere: No such file"):
        shell.push(Path("/nowhere"), "x")


@pytest.mark.device
def test_a_real_phone_answers(android_phone: Adb):
    assert int(android_phone.text("getprop ro.build.version.sdk")) >= 24
    assert android_phone.shell("exit 7").status == 7
