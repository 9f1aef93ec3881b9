"""Viewing: one page, served to the browsers of this computer and made anew when the files behind it have changed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock

from tritmark.results.record import RecordError

HOST = "127.0.0.1"
HEADERS = {
    "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin", "X-Frame-Options": "DENY",
}  # fmt: skip


class Viewing:
    """``make`` gives the page; it is asked again once a file of ``sources`` (folders and files) is another one."""

    def __init__(self, make: Callable[[], str], sources: Sequence[Path]) -> None:
        self._make, self._sources, self._lock = make, sources, Lock()
        self._seen: list[tuple[str, int, int]] | None = None
        self._page = b""

    def page(self) -> bytes:
        """RecordError where the records cannot be read now."""
        with self._lock:
            seen = self._stamp()
            if seen != self._seen:
                self._page = self._make().encode()
                self._seen = seen
            return self._page

    def _stamp(self) -> list[tuple[str, int, int]]:
        """Name, time and size of every file; before the page is made, so that a later change is a change."""
        files = [
            file for source in self._sources for file in (sorted(source.iterdir()) if source.is_dir() else [source])
        ]
        return [(str(file), (state := file.stat()).st_mtime_ns, state.st_size) for file in files]


def open_server(viewing: Viewing, port: int) -> ThreadingHTTPServer:
    """Listening on this computer alone; OSError where ``port`` is taken."""

    class Handler(BaseHTTPRequestHandler):
        server_version, sys_version = "tritmark", ""

        def do_GET(self) -> None:
            # A page of another site that calls itself by our address must not read the records.
            if self.headers.get("Host", "").partition(":")[0] not in (HOST, "localhost"):
                self._answer(403, "open the page as 127.0.0.1")
            elif self.path == "/":
                self._answer_page()
            else:
                self._answer(404, "there is nothing but the page at /")

        def _answer_page(self) -> None:
            try:
                page = viewing.page()
            except (RecordError, OSError) as error:
                print(f"tritmark: {error}", file=sys.stderr, flush=True)
                self._answer(500, f"{error}\n")
                return
            self._send(200, "text/html", page)

        def _answer(self, status: int, words: str) -> None:
            self._send(status, "text/plain", words.encode())

        def _send(self, status: int, kind: str, content: bytes) -> None:
            self.send_response(status)
            for name, value in {**HEADERS, "Content-Type": f"{kind}; charset=utf-8"}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *arguments: object) -> None:
            """Requests are not worth a line each."""

    server = ThreadingHTTPServer((HOST, port), Handler)
    server.daemon_threads = True
    return server
