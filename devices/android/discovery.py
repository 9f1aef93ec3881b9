"""Discovery: which phones the adb server sees, and what a person has to do about one that is not ready."""

from __future__ import annotations

import os
from pathlib import Path

from ..base import DeviceError
from .adb import ALLOW, REPLUG
from .server import adb_client, explained
from .signs import Listed, listed

RULES = "/etc/udev/rules.d/51-android.rules"
REBOOT = "restart the phone into Android"
REMEDIES = {
    "unauthorized": ALLOW,
    "authorizing": ALLOW,
    "offline": REPLUG,
    "connecting": "wait a few seconds and try again",
    "recovery": REBOOT,
    "rescue": REBOOT,
    "sideload": REBOOT,
    "bootloader": REBOOT,
    "detached": "type `adb kill-server` and try again",
}
NONE = (
    "no Android phone is plugged in: connect one with a data cable, unlock it and switch on USB debugging in its "
    "Developer options (devices/android/README.md goes through this step by step)"
)


def remedy(phone: Listed) -> str | None:
    """What a person can do so that a phone becomes usable; None for one that is."""
    if phone.state == "device":
        return None
    if phone.state == "no permissions":
        return _udev_line(phone.port)
    return REMEDIES.get(phone.state, REPLUG)


def find(serial: str | None) -> Listed:
    """The phone with this serial number, or without one the only phone that is ready."""
    phones = listed_phones()
    named = [phone for phone in phones if serial in (None, phone.serial)]
    ready = [phone for phone in named if phone.state == "device"]
    if len(ready) == 1:
        return ready[0]
    if len(ready) > 1:
        choices = " or ".join(f"--device android:{phone.serial}" for phone in ready)
        raise DeviceError(f"{len(ready)} phones are ready; name one: {choices}")
    if named:
        raise DeviceError("; ".join(f"the phone {one.serial} is {one.state}: {remedy(one)}" for one in named))
    others = ", ".join(f"{phone.serial} ({phone.state})" for phone in phones)
    raise DeviceError(f"no phone {serial} is plugged in; there are: {others}" if others else NONE)


def listed_phones() -> list[Listed]:
    """Everything that the adb server lists."""
    client = adb_client()
    with explained(client.port), client.make_connection() as connection:
        connection.send_command("host:devices-l")
        connection.check_okay()
        return list(listed(connection.read_string_block()))


def _udev_line(port: str | None) -> str:
    """A command that lets a person's account use a phone's USB device (Linux)."""
    source = Path("/sys/bus/usb/devices", port or "", "idVendor")
    vendor = source.read_text().strip() if port and source.is_file() else "VENDOR"
    rule = f'SUBSYSTEM=="usb", ATTR{{idVendor}}=="{vendor}", MODE="0660", GROUP="plugdev", TAG+="uaccess"'
    user = os.environ.get("USER", "$USER")
    return (
        f"type `echo '{rule}' | sudo tee {RULES} && sudo udevadm control --reload && sudo usermod -aG plugdev {user}`"
        + (" (VENDOR: the four digits before the colon in the phone's line of `lsusb`)" if vendor == "VENDOR" else "")
        + ", log in again, plug the phone in again and type `adb kill-server`"
    )
