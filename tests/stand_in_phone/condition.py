"""Condition: everything about the stand-in phone that a test may change with ``Phone.set(name, value)``."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any


@dataclass
class Condition:
    """How the phone is. The defaults are a phone that lies unlocked on a desk, with a Chrome nobody ever opened."""

    battery_celsius: float = 29.1
    battery_percent: int = 67
    charging: bool = True
    cpu_celsius: float = 44.8
    skin_celsius: float = 31.4
    thermal_status: int = 0  # 0 none to 6 shutdown
    thermal_hal: bool = True  # False: only cached temperatures are told
    awake: bool = True  # the screen is on
    locked: bool = False
    lock_secret: bool = True  # a lock that only a person can open; False: a swipe or `wm dismiss-keyguard` opens it
    covered_by: str | None = None  # package/activity of another app that is in front
    chrome: str | None = "141.0.7390.122"  # its version; None: not installed
    first_run_done: bool = False  # somebody went through Chrome's welcome screens
    webgpu: bool = True  # False: the browser offers no adapter
    reverse: bool = True  # False: adbd refuses to reverse ports
    settings_writable: bool = True  # False: as on Xiaomi phones without "USB debugging (Security settings)"
    free_bytes: int | None = None  # room in the phone's storage; None: enough
    available_memory_bytes: int = 3_600_000_000
    gpu_memory_bytes: int | None = 260_679_680  # of the browser's GPU process; None: the driver does not tell
    gpu_busy: float = 0.25  # share of time that the GPU works for the browser
    gpu_work_errors: int = 0  # the driver's event errors for the browser

    def change(self, name: str, value: Any) -> None:
        """Set one field; KeyError with all names for an unknown one."""
        names = [field.name for field in fields(self)]
        if name not in names:
            raise KeyError(f"the stand-in phone has no condition {name}; there are: {', '.join(names)}")
        setattr(self, name, value)

    @property
    def shows_pages(self) -> bool:
        """Whether a page of the browser is visible."""
        return self.awake and not self.locked and self.covered_by is None
