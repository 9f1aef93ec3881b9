"""The listening socket, and the thread in which an application is served on it."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError
from contextlib import suppress
from typing import Any, TypeVar

import uvicorn
from starlette.types import ASGIApp

from ...errors import PlayerError

T = TypeVar("T")

KEEP_ALIVE_S = 65
SHUTDOWN_S = 1
START_S = 10.0


class Listener:
    """Serves ``app`` on ``host``:``port`` (0: any free one) until closed; with ``tls`` over HTTPS."""

    def __init__(self, app: ASGIApp, host: str, port: int, tls: ssl.SSLContext | None = None) -> None:
        self._socket = _bind(host, port)
        self.port: int = self._socket.getsockname()[1]
        config = uvicorn.Config(
            app, log_config=None, access_log=False, log_level="warning", lifespan="off", ws="none", http="h11",
            loop="asyncio", proxy_headers=False, server_header=False, timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=SHUTDOWN_S,
        )  # fmt: skip
        config.load()
        config.ssl = tls
        self._server = uvicorn.Server(config)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._thread.start()
        if not self._started.wait(START_S):
            raise PlayerError(f"the server did not start within {START_S:g} s")

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._started.set()
        await self._server.serve(sockets=[self._socket])

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """The result of ``coroutine``, run in the server's event loop."""
        assert self._loop
        try:
            return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()
        except (CancelledError, RuntimeError) as error:  # the loop has been closed
            coroutine.close()
            raise PlayerError("the server has ended") from error

    def tell(self, function: Callable[..., object], *arguments: object) -> None:
        """Call ``function`` in the server's event loop, some time soon; nothing where that has ended."""
        assert self._loop
        with suppress(RuntimeError):  # the loop has been closed
            self._loop.call_soon_threadsafe(function, *arguments)

    def close(self) -> None:
        """End the server; a second call does nothing."""
        self._server.should_exit = True
        self._thread.join(2 * SHUTDOWN_S + 1)


def _bind(host: str, port: int) -> socket.socket:
    """A socket that listens already, so that nobody who knows the port is turned away before the thread runs."""
    if not 0 <= port < 1 << 16:
        raise PlayerError(f"there is no port {port}; choose one from 1 to 65535 (0: any free one)")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)
        try:
            if os.name == "posix":  # elsewhere the option would let two servers share the port
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
            listening.listen()
        except BaseException:
            listening.close()
            raise
        return listening
    except OSError as error:
        raise PlayerError(_why_not(host, port, error)) from error


def _why_not(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} of {host} is in use; end the program that uses it or choose another port (0: any free one)"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"port {port} of {host} may not be opened without root; choose one above 1023 (0: any free one)"
    return f"cannot listen on {host} port {port}: {error.strerror or error}; choose another address or port"
