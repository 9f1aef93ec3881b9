"""LanSafari: the page comes over the network, by HTTPS from this computer, whose certificate the phone has to trust.

This is the fast route. Control and telemetry stay on the cable.
"""

from __future__ import annotations

import base64
import json
import plistlib
from collections.abc import Mapping
from typing import Any

from ..base import DeviceError
from ..browser.devtools import Page
from ..network import Doorbell, addresses
from .page_server import fetch
from .safari import Safari

ARRIVAL_S = 10.0
RING_S = 5.0
PROFILE = "/authority.mobileconfig"
SWITCH_ON = "Settings > General > About > Certificate Trust Settings: switch on '{name}'"
INSTALL = "Settings > General > VPN & Device Management > '{name}' > Install"
ROUTE = "the network route is closed"


class LanError(DeviceError):
    """The phone cannot load pages of this computer over the network; the message says why and what to do."""


class LanSafari(Safari):
    """Opens the page by its address in this computer's network."""

    def listen(self) -> Mapping[str, Any]:
        found = addresses()
        if not found:
            raise LanError(f"{ROUTE}: this computer is in no network; join the iPhone's")
        return {"host": "0.0.0.0", "https": True, "names": found}

    def _enter(self, page: Page, scheme: str, port: int, path: str) -> None:
        for address in addresses():
            url = f"{scheme}://{address}:{port}{path}"
            page.navigate(url)
            if _arrived(page, url):
                return
        raise LanError(f"{ROUTE}: {self._why_not(page, port)}")

    def _why_not(self, page: Page, port: int) -> str:
        """Tell an untrusted certificate from a network without a way."""
        if not _reaches(page):
            where = ", ".join(addresses())
            return (
                f"the iPhone does not reach this computer at {where}: join the same Wi-Fi with both (a guest network "
                "may keep them apart), and let the computer's firewall pass"
            )
        profile = fetch(port, PROFILE, https=True)
        about = plistlib.loads(profile)
        name = about["PayloadDisplayName"]
        if about["PayloadIdentifier"] in self._claim.cable.ask("profiles", udid=self._claim.udid)["profiles"]:
            return f"Safari does not trust this computer's certificate: {SWITCH_ON.format(name=name)}"
        if not self._claim.profile_sent:
            encoded = base64.b64encode(profile).decode()
            self._claim.cable.ask("install_profile", udid=self._claim.udid, base64=encoded)
            self._claim.profile_sent = True
        steps = f"{INSTALL.format(name=name)}, then {SWITCH_ON.format(name=name)}"
        return f"Safari does not trust this computer's certificate, which was now sent to the iPhone: {steps}"


def _arrived(page: Page, url: str) -> bool:
    """Whether the document is ours: Safari's own about a certificate has the same address, but not our scripts."""
    ours = f"[...document.scripts].some((script) => script.src.startsWith({json.dumps(url)}))"
    try:
        return bool(page.until(ours, ARRIVAL_S))
    except DeviceError:
        return False  # Safari's page about a certificate evaluates nothing


def _reaches(page: Page) -> bool:
    with Doorbell() as bell:
        for address in addresses():
            page.navigate(f"http://{address}:{bell.port}/")
            if bell.rang(RING_S):
                return True
    return False
