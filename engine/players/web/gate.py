"""The gate before everything the server serves: security headers on every answer, and no way in without the nonce.

It knows no endpoint. Nothing reads the Host header: no answer depends on it.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping

from starlette.datastructures import MutableHeaders
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Embedder-Policy": "require-corp",  # with the opener policy: steps of 5 us in performance.now()
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",  # the page's address is its key
    "X-Content-Type-Options": "nosniff",
}


class Gate:
    """Passes what lies under ``/r/<nonce>/`` to ``app``, by its path below there. ``public`` needs no nonce."""

    def __init__(self, app: ASGIApp, nonce: str, public: Mapping[str, Response]) -> None:
        self._app, self._nonce, self._public = app, nonce.encode(), public

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        _, _, nonce, rest = (path.split("/", 3) + [""] * 4)[:4]
        if path in self._public and scope["method"] == "GET":
            await self._public[path](scope, receive, _guarded(send))
        elif path == f"/r/{nonce}/{rest}" and secrets.compare_digest(nonce.encode(), self._nonce):
            await self._app({**scope, "path": f"/{rest}"}, receive, _guarded(send))
        else:
            await PlainTextResponse("not found", 404)(scope, receive, _guarded(send))


def _guarded(send: Send) -> Send:
    """``send`` with the security headers. A refusal closes its connection, so that no upload is read to its end."""

    async def send_guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers.update(HEADERS)
            if message["status"] >= 400:
                headers["Connection"] = "close"
        await send(message)

    return send_guarded
