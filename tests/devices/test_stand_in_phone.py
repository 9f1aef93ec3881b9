"""The stand-in phone is believed: both real adb programs and adbutils find a phone behind the real adb server."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from stand_in_phone import Phone, PretendedServer, adb_programs, fixtures
from stand_in_phone.waiting import wait_until

adbutils = pytest.importorskip("adbutils", reason="needs pip install 'tritmark[android]'")

MIB = 1 << 20
BLOCK = os.urandom(MIB)
phone, plugged_in = fixtures.phone, fixtures.plugged_in
every_adb = pytest.mark.parametrize("adb", adb_programs(), ids=lambda path: path.parents[1].name)


def device(phone: Phone) -> Any:
    return adbutils.AdbClient(socket_timeout=10).device(phone.serial)


def states() -> dict[str, str]:
    return {item.serial: item.state for item in adbutils.AdbClient().list()}


def adb(phone: Phone, *arguments: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
    command = [str(phone.server.program), "-s", phone.serial, *arguments]
    return subprocess.run(command, capture_output=True, timeout=20, check=False, **options)


@contextmanager
def sender(mebibytes: int) -> Iterator[int]:
    """A server on this computer that sends so much to each client; yields its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    client, _ = server.accept()
                    with client:
                        for _ in range(mebibytes):
                            client.sendall(BLOCK)
                except OSError:
                    if server.fileno() < 0:
                        return

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join(5)


def received(port: int) -> tuple[str, float]:
    """Digest of everything that a port sends, and the bytes per second, as a process of its own sees them."""
    program = (
        "import hashlib, socket, sys, time\n"
        "client = socket.create_connection(('127.0.0.1', int(sys.argv[1])), timeout=20)\n"
        "start, parts, buffer = time.monotonic(), [], bytearray(1 << 20)\n"
        "while size := client.recv_into(buffer): parts.append(bytes(buffer[:size]))\n"
        "seconds = time.monotonic() - start\n"
        "print(hashlib.sha256(b''.join(parts)).hexdigest(), sum(map(len, parts)) / seconds)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(port)], capture_output=True, text=True, check=True)
    digest, speed = done.stdout.split()
    return digest, float(speed)


@every_adb
def test_phone_is_listed_as_ready_with_its_model(plugged_in: Callable[..., Phone], adb: Path) -> None:
    phone = plugged_in(android="16", adb=adb)
    row = next(line for line in phone.server.run("devices", "-l").splitlines() if line.startswith(phone.serial))
    assert row.split()[1] == "device"
    assert "model:Pixel_9" in row
    assert set(device(phone).get_features().split(",")) == {"shell_v2", "cmd", "fixed_push_mkdir"}


@every_adb
def test_phone_that_nobody_has_allowed_is_unauthorized(plugged_in: Callable[..., Phone], adb: Path) -> None:
    phone = plugged_in(adb=adb)
    phone.state("unauthorized")
    assert states() == {phone.serial: "unauthorized"}
    with pytest.raises(adbutils.AdbError, match="unauthorized"):
        device(phone).shell("echo hello")
    phone.state("device")
    assert device(phone).shell("echo hello") == "hello"


@every_adb
def test_phone_that_stops_to_answer_is_offline(plugged_in: Callable[..., Phone], adb: Path) -> None:
    phone = plugged_in(adb=adb)
    phone.state("offline")
    assert states() == {phone.serial: "offline"}
    with pytest.raises(adbutils.AdbError, match="offline"):
        device(phone).shell("echo hello")
    phone.state("device")
    assert device(phone).shell("echo hello") == "hello"


@every_adb
def test_commands_keep_output_errors_and_status_apart(plugged_in: Callable[..., Phone], adb: Path) -> None:
    phone = plugged_in(adb=adb)
    done = device(phone).shell2("echo out; ls /data/local; cat /sys/none; exit 7", v2=True)
    assert (done.stdout, done.returncode) == ("out\ntmp\n", 7)
    assert done.stderr == "cat: /sys/none: No such file or directory\n"
    assert device(phone).shell2("false").returncode == 1
    assert phone.calls[0] == "echo out; ls /data/local; cat /sys/none; exit 7"


def test_commands_read_standard_input(phone: Phone) -> None:
    assert adb(phone, "shell", "cat > /sdcard/said; wc -c < /sdcard/said", input=BLOCK).stdout.strip() == b"1048576"
    assert (phone.files / "sdcard/said").read_bytes() == BLOCK
    assert adb(phone, "exec-out", "cat /sdcard/said").stdout == BLOCK


def test_pushed_program_runs_in_its_folder(phone: Phone, tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\necho $1 in $LD_LIBRARY_PATH; exit 3\n")
    device(phone).sync.push(program, "/data/local/tmp/new/program", 0o755)
    done = device(phone).shell2("cd /data/local/tmp/new && LD_LIBRARY_PATH=/data/local/tmp/new ./program here", v2=True)
    assert (done.stdout, done.returncode) == ("here in /data/local/tmp/new\n", 3)


@every_adb
def test_64_mebibytes_arrive_and_come_back_unchanged(
    plugged_in: Callable[..., Phone], adb: Path, tmp_path: Path
) -> None:
    phone = plugged_in(adb=adb)
    (tmp_path / "there").write_bytes(BLOCK * 64)
    assert "1 file pushed" in phone.server.run("-s", phone.serial, "push", f"{tmp_path}/there", "/data/local/tmp/x/big")
    assert (phone.files / "data/local/tmp/x/big").stat().st_size == 64 * MIB
    phone.server.run("-s", phone.serial, "pull", "/data/local/tmp/x/big", f"{tmp_path}/back")
    digests = {hashlib.sha256((tmp_path / name).read_bytes()).digest() for name in ("there", "back")}
    assert len(digests) == 1


def test_adbutils_pushes_lists_and_pulls(phone: Phone) -> None:
    sync = device(phone).sync
    sync.push(BLOCK, "/sdcard/block", 0o640, check=True)
    status = sync.stat("/sdcard/block")
    assert (status.mode & 0o777, status.size) == (0o640, MIB)
    assert {item.path for item in sync.list("/sdcard")} == {".", "..", "Download", "block"}
    assert sync.read_bytes("/sdcard/block") == BLOCK
    assert sync.stat("/sdcard/none").mode == 0


def test_full_storage_and_system_folders_take_no_file(phone: Phone, tmp_path: Path) -> None:
    (tmp_path / "block").write_bytes(BLOCK)
    phone.set("free_bytes", 100_000)
    words = phone.server.run("-s", phone.serial, "push", f"{tmp_path}/block", "/sdcard/block")
    assert "couldn't write file: No space left on device" in words
    assert not (phone.files / "sdcard/block").exists()
    words = phone.server.run("-s", phone.serial, "push", f"{tmp_path}/block", "/system/block")
    assert "couldn't create file: Read-only file system" in words


@every_adb
def test_reversed_port_carries_150_megabytes_a_second(plugged_in: Callable[..., Phone], adb: Path) -> None:
    """The best of some tries counts: what else this computer does is not the phone's fault."""
    phone, speeds = plugged_in(adb=adb), []
    with sender(mebibytes=128) as port:
        device(phone).reverse("tcp:0", f"tcp:{port}")
        (item,) = device(phone).reverse_list()
        assert phone.reverse == {item.remote: f"tcp:{port}"}
        while len(speeds) < 5 and max(speeds, default=0) < 150e6:
            digest, speed = received(int(item.remote.removeprefix("tcp:")))
            assert digest == hashlib.sha256(BLOCK * 128).hexdigest()
            speeds.append(speed)
    assert max(speeds) >= 150e6, speeds


def test_reversed_ports_are_removed_refused_and_lost_with_the_cable(phone: Phone) -> None:
    ours = device(phone)
    ours.reverse("tcp:0", "tcp:9")
    remote = ours.reverse_list()[0].remote
    with pytest.raises(adbutils.AdbError, match="cannot rebind"):
        ours.reverse(remote, "tcp:10", norebind=True)
    ours.reverse_remove(remote)
    assert phone.reverse == {}
    with pytest.raises(adbutils.AdbError, match="not found"):
        ours.reverse_remove(remote)
    ours.reverse("tcp:0", "tcp:9")
    phone.unplug()
    phone.plug()
    assert phone.reverse == {} and ours.reverse_list() == []
    phone.set("reverse", False)
    with pytest.raises(adbutils.AdbError, match="closed"):
        ours.reverse("tcp:0", "tcp:9")
    with pytest.raises(adbutils.AdbError, match="closed"):
        ours.create_connection("localabstract", "chrome_devtools_remote")  # no browser runs


def test_reversed_port_without_a_server_behind_it_hangs_up(phone: Phone) -> None:
    device(phone).reverse("tcp:0", "tcp:1")
    with socket.create_connection(("127.0.0.1", int(next(iter(phone.reverse)).removeprefix("tcp:")))) as client:
        client.settimeout(10)
        assert client.recv(1) == b""


def test_forwarded_port_leads_to_a_port_of_the_phone(phone: Phone) -> None:
    with sender(mebibytes=3) as port:
        assert received(device(phone).forward_port(port))[0] == hashlib.sha256(BLOCK * 3).hexdigest()


def test_pulled_cable_cuts_a_transfer_at_once(phone: Phone) -> None:
    with sender(mebibytes=100_000) as port:
        device(phone).reverse("tcp:0", f"tcp:{port}")
        address = ("127.0.0.1", int(next(iter(phone.reverse)).removeprefix("tcp:")))
        with socket.create_connection(address) as client:
            client.settimeout(5)
            client.recv(MIB)
            start = time.monotonic()
            phone.unplug()
            assert ends(client)
            assert time.monotonic() - start < 2
        assert states() == {}
        with pytest.raises(adbutils.AdbError, match="not found"):
            device(phone).shell("echo hello")
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(address)
    phone.plug()
    assert device(phone).shell("echo hello") == "hello"


def ends(client: socket.socket) -> bool:
    """Read until the connection ends, in good order or not; TimeoutError where nothing comes."""
    try:
        while client.recv(MIB):
            pass
    except ConnectionError:
        pass
    return True


def test_pulled_cable_ends_a_waiting_command(phone: Phone) -> None:
    waiting = subprocess.Popen([str(phone.server.program), "-s", phone.serial, "shell", "sleep 600"])
    wait_until(lambda: "sleep 600" in phone.calls, "the command to arrive")
    phone.unplug()
    waiting.wait(10)  # one adb program calls this success, the other does not


def test_two_phones_share_an_adb_server(plugged_in: Callable[..., Phone]) -> None:
    one, two = plugged_in(android="12"), plugged_in(android="16")
    assert states() == {one.serial: "device", two.serial: "device"}
    models = [device(each).shell("getprop ro.product.model") for each in (one, two)]
    assert models == ["SM-G991B", "Pixel 9"]


def test_server_of_another_version_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    with PretendedServer(version=40) as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        assert adbutils.AdbClient().server_version() == 40
        with pytest.raises(adbutils.AdbError, match="unknown host service"):
            adbutils.AdbClient().list()


@every_adb
def test_nothing_is_left_of_a_phone(adb: Path) -> None:
    with Phone(adb=adb) as phone:
        folder, home, port = phone.files.parent, phone.environment["HOME"], phone.server.port
        phone.server.run("-s", phone.serial, "shell", "sleep 600 > /dev/null 2>&1 &")
        wait_until(lambda: any("sleep" in each for each in commands(folder)), "the command to run")
        assert (Path(home) / ".android/adbkey").is_file()
    assert commands(folder) == [] and commands(Path(home)) == []
    assert not folder.exists() and not Path(home).exists()
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port))
    assert not [thread for thread in threading.enumerate() if "stand-in" in thread.name]


def test_nothing_is_left_of_a_phone_whose_test_was_killed() -> None:
    program = (
        f"import os, signal, sys; sys.path[:0] = {sys.path}\n"
        "from stand_in_phone import Phone\n"
        "phone = Phone().__enter__()\n"
        "phone.server.run('-s', phone.serial, 'shell', 'sleep 600 > /dev/null 2>&1 &')\n"
        "print(phone.files.parent, phone.server.home, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, check=False)
    folders = [Path(word) for word in done.stdout.split()]
    assert len(folders) == 2
    for folder in folders:
        wait_until(lambda folder=folder: not folder.exists() and not commands(folder), f"{folder} to be gone")


def commands(folder: Path) -> list[list[str]]:
    """Command lines of the running processes that were started with something of ``folder``."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE:
                said = " ".join([*process.cmdline(), *process.environ().values()])
                found += [process.cmdline()] if f"{folder}/" in said + "/" else []
        except psutil.Error:
            continue
    return found
