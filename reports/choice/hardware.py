"""What is known of hardware before anything ran on it: its class, and what a roofline needs.

A class is named for its driver. Its bandwidth is about that of the example; its balance, 32-bit operations a
second over bytes a second, is right to a factor of two at best, which is what the roofline is asked for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from tritmark.results.record import Record

from .. import stats

PUBLISHED = "published"  # the engine of printed figures


@dataclass(frozen=True, kw_only=True)
class HardwareClass:
    """``family``: what shares a driver's habits at large; ``balance``: operations a byte."""

    family: str
    processor: str  # "gpu" | "cpu"
    bytes_per_s: float
    balance: float
    example: str


CLASSES = {
    name: HardwareClass(family=family, processor=processor, bytes_per_s=speed, balance=balance, example=example)
    for name, family, processor, speed, balance, example in (
        ("desktop-nvidia", "nvidia", "gpu", 1008e9, 40, "RTX 4090"),
        ("desktop-amd", "amd", "gpu", 624e9, 30, "RX 7800 XT"),
        ("desktop-intel", "intel", "gpu", 560e9, 18, "Arc A770"),
        ("desktop-cpu", "x86", "cpu", 85e9, 15, "Threadripper 1920X"),
        ("apple", "apple", "gpu", 150e9, 20, "M3 Pro"),
        ("apple-cpu", "apple", "cpu", 150e9, 10, "M3 Pro"),
        ("phone-apple", "apple", "gpu", 60e9, 15, "iPhone 16"),
        ("phone-apple-cpu", "apple", "cpu", 60e9, 8, "iPhone 16"),
        ("phone-adreno", "phone", "gpu", 85e9, 20, "Galaxy S25"),
        ("phone-mali", "phone", "gpu", 68e9, 15, "Pixel 9"),
        ("phone-cpu", "phone", "cpu", 75e9, 8, "Galaxy S25"),
        ("software", "software", "cpu", 20e9, 8, "llvmpipe"),
    )
}
UNKNOWN = HardwareClass(family="unknown", processor="gpu", bytes_per_s=70e9, balance=15, example="")
NAMES = (  # what drivers and shops call them; the first that is found holds
    ("software", r"llvmpipe|swiftshader|lavapipe|software"),
    ("phone-adreno", r"adreno|qualcomm|galaxy-s2"),
    ("phone-mali", r"mali|pixel|immortalis"),
    ("phone-apple", r"iphone|ipad"),
    ("apple", r"apple|macbook|\bm[1-9]\b"),
    ("desktop-nvidia", r"nvidia|geforce|\brtx|\bgtx"),
    ("desktop-cpu", r"threadripper|ryzen|epyc|xeon|\bcore\b"),
    ("desktop-amd", r"\bamd\b|radeon|radv"),
    ("desktop-intel", r"intel|\barc\b"),
)
CPUS = {"phone-adreno": "phone-cpu", "phone-mali": "phone-cpu", "phone-apple": "phone-apple-cpu", "apple": "apple-cpu"}


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where something runs, as far as a prediction cares."""

    engine: str
    hardware: str  # of CLASSES, or "unknown"
    body: str  # the device; its processors and players are columns of it
    column: str
    bytes_per_s: float | None = None  # measured or stated; None: that of the class

    @property
    def known(self) -> HardwareClass:
        return CLASSES.get(self.hardware, UNKNOWN)

    @property
    def bandwidth(self) -> float:
        return self.bytes_per_s or self.known.bytes_per_s

    @cached_property
    def levels(self) -> tuple[tuple[str, ...], ...]:
        """Names of the groups it is in, from all there is to itself; prediction.SPREADS has a spread for each. Kernels
        make the ratio, so that all but the first two are of one engine.
        """
        engine, family, processor = self.engine, self.known.family, self.known.processor
        own = ((family,), (family, processor), (self.hardware,), (self.body,), (self.column,))
        return (), (family,), (engine,), *((engine, *name) for name in own)

    def is_akin(self, other: Place) -> bool:
        """Whether both are of one engine and family."""
        return self.levels[3] == other.levels[3]


def place_of(record: Record) -> Place:
    """Of a measured, predicted or published record."""
    gauge = (record.gauge or {}).get("copy_bytes_per_s")
    if record.figure is not None:
        body, _, processor = record.device.partition(" ")
        return Place(engine=PUBLISHED, hardware=class_of(body, processor), body=body, column=record.device)
    return Place(
        engine=stats.runner(record).split()[0],
        hardware=class_of(f"{record.adapter or ''} {record.driver or ''} {record.device}", _processor(record)),
        body=record.adapter or record.device,
        column=column_of(record),
        bytes_per_s=gauge,
    )


def column_of(record: Record) -> str:
    """Device and player (or other engine), as a report names them."""
    if record.figure is not None:
        return record.device
    by = record.runner or (f"web player ({record.device.partition(':')[0]})" if record.player == "web" else "")
    return f"{record.adapter or record.device}, {by}" if by else record.adapter or record.device


def class_of(text: str, processor: str = "") -> str:
    """Of CLASSES, by what is in the names; "unknown" where nothing is."""
    found = next((name for name, pattern in NAMES if re.search(pattern, text.lower())), "unknown")
    return CPUS.get(found, found) if processor.startswith("cpu") else found


def _processor(record: Record) -> str:
    return str((record.caps or {}).get("kind", ""))
