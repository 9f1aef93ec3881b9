"""Phone: the stand-in iPhone as tests hold it: usbmuxd, the phone's services, and a browser.

Only the phone is pretended. What talks to it is the real pymobiledevice3 in its own processes, and what the pages run
in is a real browser, though not WebKit. `environment` sends the programs of a test here, and away from the person's
files.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import plistlib
import signal
import tempfile
import threading
from collections.abc import Coroutine, Sequence
from functools import cache
from types import TracebackType
from typing import Any, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tritmark.devices.browser import chromium

from .lockdownd import Lockdownd
from .safari import Safari
from .services import Services
from .state import State
from .usbmuxd import Usbmuxd
from .webinspectord import Webinspectord

T = TypeVar("T")
TIMEOUT_S = 60.0
PAIR_RECORD = {"HostID": "HOST", "SystemBUID": "BUID", "HostCertificate": b"", "HostPrivateKey": b"", "EscrowBag": b""}


class Phone:
    """A phone that is plugged in while the ``with`` block runs; nothing of it is left afterwards."""

    def __init__(self, flags: Sequence[str] = chromium.GLES) -> None:
        """``flags``: of the browser; shaders compile far sooner on OpenGL ES than on SwiftShader."""
        program = chromium.find()
        assert program, "the stand-in iPhone needs a Chromium-family browser"
        self.state = State()
        self._program, self._flags = program, tuple(flags)
        self._services = Services(self.state)
        self._inspector = Webinspectord(self.state, self._services)
        names = {
            "com.apple.mobile.diagnostics_relay": self._services.diagnostics_relay,
            "com.apple.mobile.notification_proxy": self._services.notification_proxy,
            "com.apple.mobile.assertion_agent": self._services.assertion_agent,
            "com.apple.mobile.MCInstall": self._services.mobile_config,
            "com.apple.webinspector": self._inspector.serve,
        }
        self._inspector.launch = self._start_safari
        lockdownd = Lockdownd(self.state, _public_key(), names)
        self._usbmuxd = Usbmuxd(self.state, plistlib.dumps(PAIR_RECORD), lockdownd.serve)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="stand-in iPhone", daemon=True)

    def __enter__(self) -> Phone:
        self._home = tempfile.TemporaryDirectory(prefix="stand-in-iphone-")
        self._thread.start()
        self._run(self._start_safari())
        self._port = self._run(self._usbmuxd.start())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._run(self._usbmuxd.stop())
        self._run(self._end_safari())
        self._run(_cancel_all())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(TIMEOUT_S)
        self._loop.close()
        self._home.cleanup()

    @property
    def udid(self) -> str:
        return self.state.udid

    @property
    def environment(self) -> dict[str, str]:
        """Variables for every program of a test."""
        home = self._home.name
        folders = {f"XDG_{name}_HOME": f"{home}/{name.lower()}" for name in ("CONFIG", "DATA", "STATE", "CACHE")}
        return {"USBMUXD_SOCKET_ADDRESS": f"127.0.0.1:{self._port}", "HOME": home, **folders}

    def set(self, name: str, value: Any) -> None:
        """Change one field of `State`: trusted, inspector, ios, battery (merged), developer, gate_s."""
        assert hasattr(self.state, name), name
        setattr(self.state, name, {**self.state.battery, **value} if name == "battery" else value)
        if (name, value) == ("inspector", False):
            self._loop.call_soon_threadsafe(self._inspector.drop_clients)

    def unplug(self) -> None:
        """Pull the cable. The phone lives on, and its network too."""
        self._loop.call_soon_threadsafe(self._usbmuxd.unplug)

    def plug(self) -> None:
        self._usbmuxd.plugged = True

    def browser_pids(self) -> list[int]:
        return self._safari.pids()

    def crash_pages(self) -> None:
        """Kill the processes that compute for pages, as iOS does where memory runs out."""
        self._signal_pages(signal.SIGKILL)

    def close_tabs(self) -> None:
        self._run(self._safari.close_tabs())

    def open_tab(self) -> None:
        self._run(self._safari.open_tab())

    def reload(self) -> None:
        """As a person would, with the arrow beside the address."""
        self._run(self._safari.reload())

    def end_safari(self) -> None:
        """As a person would who swipes it away; whoever wants to see it again has to launch it."""
        self._run(self._end_safari())

    def lock(self) -> None:
        """The screen goes dark, and iOS lets pages compute no more."""
        self.state.locked = True
        self._signal_pages(signal.SIGSTOP)

    def unlock(self) -> None:
        self.state.locked = False
        self._signal_pages(signal.SIGCONT)

    def urls(self) -> list[str]:
        """Where Safari's tabs are."""
        return [tab.url for tab in self._safari.tabs.values()]

    def trust_authorities(self) -> None:
        """Switch on full trust for the certificates of all installed profiles; Safari starts anew."""
        payloads = (payload for profile in self.state.profiles.values() for payload in profile["PayloadContent"])
        pins = [_pin(payload["PayloadContent"]) for payload in payloads]
        self._flags = (*self._flags, f"--ignore-certificate-errors-spki-list={','.join(pins)}")
        self._run(self._end_safari())
        self._run(self._start_safari())

    def _signal_pages(self, number: signal.Signals) -> None:
        for pid in self._safari.renderers():
            os.kill(pid, number)

    async def _start_safari(self) -> None:
        self._safari = self._inspector.safari = Safari(self._program, self._flags, self._inspector.changed)
        await self._safari.start()
        self.state.safari = True
        await self._inspector.started()

    async def _end_safari(self) -> None:
        self.state.safari = False
        await self._safari.close()
        await self._inspector.ended()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(TIMEOUT_S)


async def _cancel_all() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


@cache
def _public_key() -> bytes:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.PKCS1)


def _pin(certificate: bytes) -> str:
    """What Chromium is told to let a certificate pass: the hash of its public key."""
    key = x509.load_der_x509_certificate(certificate).public_key()
    info = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(info).digest()).decode()
