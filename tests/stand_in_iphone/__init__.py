"""A stand-in for an iPhone, behind the real pymobiledevice3. See phone.py."""

from .phone import Phone

__all__ = ["Phone"]
