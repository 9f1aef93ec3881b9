"""State: what the stand-in iPhone is and how it is set up; tests change it while the phone is plugged in."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Any

BATTERY = {  # as an iPhone's IORegistry tells it: Temperature in 0.01 C, Voltage in mV, InstantAmperage in mA
    "CurrentCapacity": 81,
    "MaxCapacity": 100,
    "Temperature": 3049,
    "Voltage": 4188,
    "InstantAmperage": -352,
    "IsCharging": True,
    "ExternalConnected": True,
    "FullyCharged": False,
    "CycleCount": 112,
    "NominalChargeCapacity": 3480,
}


def _udid() -> str:
    return f"00008140-{secrets.token_hex(8).upper()}"


@dataclass
class State:
    """One phone. ``gate_s``: webinspectord turns away a client that comes sooner after the one before."""

    udid: str = field(default_factory=_udid)
    ios: str = "26.1"
    trusted: bool = True  # the person has tapped Trust
    inspector: bool = True  # Settings > Apps > Safari > Advanced > Web Inspector
    developer: bool = False  # Developer Mode
    locked: bool = False
    safari: bool = False  # Safari runs
    gate_s: float = 0.0
    battery: dict[str, Any] = field(default_factory=lambda: dict(BATTERY))
    profiles: dict[str, dict[str, Any]] = field(default_factory=dict)  # installed, by identifier
    trust_questions: int = 0  # how often a computer has asked to be trusted
    assertions: list[str] = field(default_factory=list)  # power assertions that are held

    def values(self) -> dict[str, Any]:
        """What lockdownd tells everybody; an iPhone that does not trust a computer tells it less than this."""
        told = {
            "DeviceClass": "iPhone",
            "DeviceName": "Stand-in",
            "ProductName": "iPhone OS",
            "ProductType": "iPhone17,1",
            "ProductVersion": self.ios,
            "BuildVersion": "23B85",
            "UniqueDeviceID": self.udid,
            "WiFiAddress": "02:00:00:00:00:01",
        }
        if self.trusted:
            told |= {"UniqueChipID": 2_821_000_000, "PasswordProtected": self.locked}
        return told
