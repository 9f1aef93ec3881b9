"""What may be wrong with an iPhone, in the words a person can act on. No phone is asked here."""

from __future__ import annotations

GUIDE = "devices/ios/README.md goes through this step by step"
OLDEST_IOS = 26  # Safari's first version with WebGPU on phones

MISSING = "iPhones need pip install 'tritmark[ios]'"
NONE = f"no iPhone is plugged in: connect one with a data cable and unlock it ({GUIDE})"
GONE = "the iPhone is not plugged in any more, or its plug is loose: plug it in again"
NO_USBMUXD = (
    "nothing on this computer speaks to iPhones: on Linux type `sudo apt-get install usbmuxd`, on Windows install "
    "Apple Devices from the Microsoft Store; macOS has it built in"
)
NOT_TRUSTED = (
    "unlock the iPhone, tap Trust in the question it shows, and enter its code; plug it in again if it asks nothing"
)
DENIED = (
    "the iPhone was told not to trust this computer: Settings > General > Transfer or Reset iPhone > Reset > Reset "
    "Location & Privacy, then plug it in again and tap Trust"
)
LOCKED = "the iPhone is locked: unlock it and leave it on"
INSPECTOR_OFF = "on the iPhone: Settings > Apps > Safari > Advanced > Web Inspector: on"
TOO_OLD = f"iOS {OLDEST_IOS} is needed for WebGPU: Settings > General > Software Update"
NO_SAFARI = "Safari did not start: unlock the iPhone and open Safari by hand"
NO_TAB = "Safari shows no page: open any website in it, for instance https://example.com, and leave it in front"

BY_ERROR = {  # pymobiledevice3's classes
    "BadDevError": GONE,
    "ConnectionAbortedError": GONE,
    "ConnectionFailedError": GONE,
    "ConnectionFailedToUsbmuxdError": NO_USBMUXD,
    "ConnectionResetError": GONE,
    "ConnectionTerminatedError": GONE,
    "BrokenPipeError": GONE,
    "DeviceNotFoundError": GONE,
    "FatalPairingError": NOT_TRUSTED,
    "IncompleteReadError": GONE,
    "InvalidHostIDError": NOT_TRUSTED,
    "LaunchingApplicationError": NO_SAFARI,
    "MuxException": GONE,
    "NoDeviceConnectedError": NONE,
    "NotPairedError": NOT_TRUSTED,
    "PairingDialogResponsePendingError": NOT_TRUSTED,
    "PasscodeRequiredError": LOCKED,
    "PasswordRequiredError": LOCKED,
    "UserDeniedPairingError": DENIED,
    "WebInspectorNotEnabledError": INSPECTOR_OFF,
}


def told(kind: str, message: str) -> str:
    """One line for an error of pymobiledevice3, by the name of its class."""
    first = message.strip().partition("\n")[0]
    return BY_ERROR.get(kind) or f"the iPhone refused: {first or kind}"


def state(ios: str, trusted: bool, inspector: bool | None) -> tuple[str, str | None]:
    """What a phone is, and what to do where that is not ``ready``. ``inspector``: None where it could not be asked."""
    major = ios.partition(".")[0]
    if major.isdigit() and int(major) < OLDEST_IOS:
        return f"iOS too old ({OLDEST_IOS} needed for WebGPU)", TOO_OLD
    if not trusted:
        return "not trusted", NOT_TRUSTED
    if inspector is False:
        return "Web Inspector off", INSPECTOR_OFF
    return "ready", None
