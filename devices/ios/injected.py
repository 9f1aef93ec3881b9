"""InjectedSafari: the player is put into a page of the internet; its data goes over the cable, through the debugger.

The slow route, which needs neither a network with this computer in it nor a certificate: a few MB a second.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from typing import Any

from ..base import DeviceError
from ..browser.devtools import Page
from .bundle import bundle
from .page_server import fetch
from .relay import Relay
from .safari import Safari

SECURE_PAGE = "https://example.com/"  # kept for documentation by IANA; small, and without scripts of its own
SECURE = "isSecureContext && location.protocol === 'https:' && document.readyState === 'complete'"
ARRIVAL_S = 20.0
ENTRY = "client.js"

# What page.js is to a page that the server serves: run the client, and tell the server if that cannot begin.
START = """
void (() => {{
  const fetch = globalThis.tritmarkFetch = tritmarkRelay.fetch;
  const base = {base};
  const {{ runClient }} = {client};
  const visible = () => document.visibilityState === "visible";
  runClient({{ base, gpu: navigator.gpu, fetch, agent: navigator.userAgent, visible }}).catch((error) => {{
    const headers = {{ "X-Tritmark-Page": {page}, "Content-Type": "application/json" }};
    return fetch(base + "hello", {{ method: "POST", headers, body: JSON.stringify({{ error: error.message }}) }});
  }});
}})()
"""


class InjectedSafari(Safari):
    """Puts the player into a page and carries its requests."""

    _relay: Relay | None = None

    def listen(self) -> Mapping[str, Any]:
        return {"host": "127.0.0.1"}

    def gone(self) -> str | None:
        """Here nothing goes on without the cable."""
        return None if self._relay is None else self._relay.failure

    def close(self) -> None:
        if self._relay is not None:
            self._relay.close()
        super().close()

    def _enter(self, page: Page, scheme: str, port: int, path: str) -> None:
        page.navigate(SECURE_PAGE)
        if not page.until(SECURE, ARRIVAL_S):
            raise DeviceError(f"the iPhone could not open {SECURE_PAGE}; without a secure page there is no WebGPU")
        base = f"{scheme}://127.0.0.1:{port}{path}"
        client = bundle(ENTRY, lambda file: _text(port, path + file))
        self._relay = Relay(page, base)
        page.evaluate(START.format(base=json.dumps(base), client=client, page=json.dumps(secrets.token_hex(8))))


def _text(port: int, path: str) -> str:
    """A file of the page."""
    return fetch(port, path).decode()
