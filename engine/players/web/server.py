"""What the server serves to a page: the page's own files, the Plan, weights by range, and the mailbox.

Everything lies under the run's nonce (gate.py). Paths are looked up in tables and never become file names. Uploads are
bounded, and one that is too long is refused before it is read.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from ...errors import PlayerError
from ...plan import Caps
from .gate import Gate
from .mailbox import Message, RefusalError
from .run import Bundle, Run
from .typed_json import read_as

TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
FILES = {path.name: path for path in Path(__file__).parent.iterdir() if path.suffix in TYPES}
PAGE_HEADER = "X-Tritmark-Page"
PAGE_ID = re.compile(r"[\w.-]{1,64}", re.ASCII)
RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)
ANSWER_BYTES = 64 << 20
HELLO_BYTES = 1 << 20
NOTE_BYTES = 1 << 16  # a sign of life, a farewell
CHUNK_BYTES = 1 << 20  # of a weight file: read and sent at once
READY_POLL_S = 0.005


def make_app(run: Run, public: Mapping[str, Response]) -> ASGIApp:
    """The application of one run; ``public`` are answers by path that need no nonce."""
    carrier, post = Carrier(run), Post(run)
    routes = [
        Route("/next", post.next),
        *(Route(f"/{name}", getattr(post, name), methods=["POST"]) for name in ("hello", "answer", "beat", "bye")),
        Route("/plan/{hash}", carrier.plan),
        Route("/weights/{file}", carrier.weights),
        Route("/", carrier.file),
        Route("/{name}", carrier.file),
    ]
    app = Starlette(routes=routes, exception_handlers={RefusalError: _refuse, ClientDisconnect: _ignore})
    app.router.redirect_slashes = False  # a redirect would repeat the Host header
    return Gate(app, run.nonce, public)


async def _refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, RefusalError)
    return PlainTextResponse(error.line, error.status)


async def _ignore(request: Request, error: Exception) -> Response:
    """The page went away while it posted; it will post again, or the mailbox will miss it."""
    return Response(status_code=400)


class Post:
    """The mailbox as a page reaches it."""

    def __init__(self, run: Run) -> None:
        self._mailbox = run.mailbox

    async def hello(self, request: Request) -> Response:
        page = _page(request)
        try:
            hello = await _object(request, HELLO_BYTES)
            if "error" in hello:
                self._mailbox.fail(f"the page cannot play: {str(hello['error'])[:400]}")
                return JSONResponse({})
            caps = read_as(Caps, hello.get("caps"), "caps")
        except (RefusalError, ValueError) as error:
            self._mailbox.fail(f"the page's hello is malformed: {error}")
            raise error if isinstance(error, RefusalError) else RefusalError(400, str(error)) from error
        self._mailbox.greet(page, caps)
        return JSONResponse({})

    async def next(self, request: Request) -> Response:
        self._mailbox.admit(_page(request))
        asked = await self._mailbox.next()
        return Response(status_code=204) if asked is None else JSONResponse(asked)

    async def answer(self, request: Request) -> Response:
        self._mailbox.admit(_page(request))
        try:
            answer = await _object(request, ANSWER_BYTES)
        except RefusalError as refusal:
            self._mailbox.fail(f"the page's answer was refused: {refusal}")
            raise
        self._mailbox.answer(answer)
        return Response(status_code=204)

    async def beat(self, request: Request) -> Response:
        self._mailbox.admit(_page(request))
        self._mailbox.beat(await _object(request, NOTE_BYTES))
        return Response(status_code=204)

    async def bye(self, request: Request) -> Response:
        """Browsers send it from a page that is being closed, which can set no header."""
        self._mailbox.admit(request.query_params.get("page") or _page(request))
        self._mailbox.bye()
        return Response(status_code=204)


class Carrier:
    """What a page fetches."""

    def __init__(self, run: Run) -> None:
        self._run = run

    async def file(self, request: Request) -> Response:
        """A file of the page. Served to the end of the process, so that a reloaded page can say what is wrong."""
        path = FILES.get(request.path_params.get("name", "index.html"))
        if path is None:
            raise RefusalError(404, "not found")
        return Response(path.read_bytes(), media_type=TYPES[path.suffix])

    async def plan(self, request: Request) -> Response:
        bundle = self._bundle()
        if request.path_params["hash"] != bundle.hash:
            raise RefusalError(404, "another plan is loaded")
        return Response(bundle.text, media_type="application/json")

    async def weights(self, request: Request) -> Response:
        bundle, file = self._bundle(), request.path_params["file"]
        size = bundle.image.size(file)
        if size is None:
            raise RefusalError(404, "the plan has no such weight file")
        wanted = request.headers.get("Range")
        first, last = _span(wanted, size)
        if wanted is not None and first >= last:
            return PlainTextResponse(f"the weight file has {size:,} bytes", 416, {"Content-Range": f"bytes */{size}"})
        headers = {"Accept-Ranges": "bytes", "Content-Length": str(last - first)}
        if wanted is not None:
            headers["Content-Range"] = f"bytes {first}-{last - 1}/{size}"
        page = request.headers.get(PAGE_HEADER)
        await self._ready(bundle, file, first, last, page)
        body = self._chunks(bundle, file, first, last, page)
        return StreamingResponse(body, 200 if wanted is None else 206, headers, "application/octet-stream")

    async def _ready(self, bundle: Bundle, file: str, first: int, last: int, page: str | None) -> None:
        """Wait until the bytes are made. A page that waits here is not silent."""
        try:
            while not bundle.image.ready(file, first, last):
                self._run.mailbox.hear(page or "")
                self._bundle()
                await asyncio.sleep(READY_POLL_S)
        except PlayerError as error:
            raise RefusalError(500, str(error)) from error

    async def _chunks(self, bundle: Bundle, file: str, first: int, last: int, page: str | None) -> AsyncIterator[bytes]:
        for offset in range(first, last, CHUNK_BYTES):
            yield bundle.image.read(file, offset, min(CHUNK_BYTES, last - offset))
            self._run.mailbox.hear(page or "")

    def _bundle(self) -> Bundle:
        if self._run.mailbox.failure is not None:
            raise RefusalError(410, self._run.mailbox.failure)
        if self._run.bundle is None:
            raise RefusalError(404, "no plan is loaded")
        return self._run.bundle


def _page(request: Request) -> str:
    """The page that asks, by its header."""
    page = request.headers.get(PAGE_HEADER, "")
    if not PAGE_ID.fullmatch(page):
        raise RefusalError(400, f"the header {PAGE_HEADER} is missing or malformed")
    return page


async def _object(request: Request, most_bytes: int) -> Message:
    """The JSON object that a page posted; RefusalError for anything else, and for more than ``most_bytes`` unread."""
    too_long = RefusalError(413, f"it is longer than {most_bytes:,} bytes")
    if int(request.headers.get("Content-Length", 0)) > most_bytes:
        raise too_long
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most_bytes:
            raise too_long
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RefusalError(400, f"it is no JSON ({type(error).__name__})") from error
    if not isinstance(found, dict):
        raise RefusalError(400, "it is no JSON object")
    return found


def _span(header: str | None, size: int) -> tuple[int, int]:
    """The bytes first..last (half open) that a Range header asks for; an empty span where there are no such bytes."""
    if header is None:
        return 0, size
    match = RANGE.fullmatch(header.strip())
    first, last = match.groups() if match else ("", "")
    if first:
        return int(first), min(int(last) + 1, size) if last else size
    return (max(0, size - int(last)), size) if last else (size, size)
