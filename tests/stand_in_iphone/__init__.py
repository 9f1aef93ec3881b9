"""A stand-in for an iPhone, behind the real pymobiledevice3. See phone.py."""

from .phone import Phone
from .plugging import plugged_in

__all__ = ["Phone", "plugged_in"]
