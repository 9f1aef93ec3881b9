"""Apps: which Chromium-family browser of a phone runs the page, and whether it has WebGPU at all."""

from __future__ import annotations

from dataclasses import dataclass

from ..base import DeviceError
from .adb import Adb
from .signs import installed, major, version_name

MAIN = "com.google.android.apps.chrome.Main"
ANDROID = 12  # the first that Chrome has WebGPU on
CHROMIUM = 121  # the first Chrome with WebGPU on Android


@dataclass(frozen=True)
class App:
    """A browser on a phone. ``uid`` is its user id there."""

    package: str
    activity: str
    version: str | None
    uid: int | None


# The first that is installed is taken. All read Chrome's command-line file and offer Chrome's debugging socket.
KNOWN = {
    "com.android.chrome": MAIN,
    "com.chrome.beta": MAIN,
    "com.chrome.dev": MAIN,
    "com.chrome.canary": MAIN,
    "org.chromium.chrome": MAIN,
    "com.brave.browser": MAIN,
    "com.microsoft.emmx": "com.microsoft.ruby.Main",
}
OWN_VERSIONS = ("com.brave.browser",)  # their version says nothing about Chromium's


def installed_app(adb: Adb) -> App | None:
    """The first of the known browsers that is installed and not disabled."""
    packages = installed(adb.text("pm list packages -e -U"))
    for package, activity in KNOWN.items():
        if package in packages:
            version = version_name(adb.text(("dumpsys", "package", package)))
            return App(package, activity, version, packages[package])
    return None


def choose_app(adb: Adb) -> App:
    """The browser that runs the page; DeviceError where there is none or it cannot have WebGPU."""
    release, app = adb.text(("getprop", "ro.build.version.release")).strip(), installed_app(adb)
    if (major(release) or ANDROID) < ANDROID:
        raise DeviceError(
            f"the phone {adb.serial} runs Android {release}, where browsers have no WebGPU: update it to Android "
            f"{ANDROID} or newer (Settings, System, Software update)"
        )
    if app is None:
        raise DeviceError(f"the phone {adb.serial} has no Chrome: install Chrome from the Play Store and open it once")
    if app.package not in OWN_VERSIONS and (major(app.version) or CHROMIUM) < CHROMIUM:
        raise DeviceError(
            f"the phone {adb.serial} has {app.package} {app.version}, which has no WebGPU: update it to {CHROMIUM} "
            "or newer in the Play Store"
        )
    return app
