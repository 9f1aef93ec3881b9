"""A stand-in for an Android phone, behind the real adb server, adbutils and Chromium. `Phone` is what tests hold."""

from .browser import chromium
from .phone import Phone
from .server import AdbServer, PretendedServer, adb_programs

__all__ = ["AdbServer", "Phone", "PretendedServer", "adb_programs", "chromium"]
