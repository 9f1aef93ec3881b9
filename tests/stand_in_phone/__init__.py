"""A stand-in for an Android phone, behind the real adb server. See phone.py."""

from .phone import Phone
from .server import PretendedServer, adb_programs

__all__ = ["Phone", "PretendedServer", "adb_programs"]
