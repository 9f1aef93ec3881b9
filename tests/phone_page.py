"""A web server of this computer that stands for the player's, and waiting for what happens on a phone."""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Callable
from types import TracebackType

WAIT_S = 30.0


class Site:
    """Serves one empty page at every path; ``asked`` are the paths that were."""

    def __init__(self) -> None:
        asked: list[str] = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.end_headers()
                self.wfile.write(b"<!doctype html><title>page</title>")

            def log_message(self, *words: object) -> None:
                pass

        self.asked = asked
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port: int = self._server.server_port

    def __enter__(self) -> Site:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


def wait_for(there: Callable[[], bool], what: str, timeout_s: float = WAIT_S) -> None:
    """Ask again and again; AssertionError that names ``what``."""
    deadline = time.monotonic() + timeout_s
    while not there():
        assert time.monotonic() < deadline, f"waited {timeout_s:g} s in vain for {what}"
        time.sleep(0.05)
