"""What this computer's own server for pages gives, fetched over loopback."""

from __future__ import annotations

import http.client
import ssl

from ..base import DeviceError

TIMEOUT_S = 10.0


def fetch(port: int, path: str, *, https: bool = False) -> bytes:
    """The body at ``path``; DeviceError where there is none. ``https``: its certificate is ours and not looked at."""
    connection = _encrypted(port) if https else http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        content = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise DeviceError(f"this computer's server does not answer: {error}") from error
    finally:
        connection.close()
    if response.status != http.client.OK:
        raise DeviceError(f"this computer's server has no {path.rpartition('/')[2]} (status {response.status})")
    return content


def _encrypted(port: int) -> http.client.HTTPConnection:
    unchecked = ssl.create_default_context()
    unchecked.check_hostname, unchecked.verify_mode = False, ssl.CERT_NONE
    return http.client.HTTPSConnection("127.0.0.1", port, timeout=TIMEOUT_S, context=unchecked)
