"""The web player's server as a process that is asked by JSON lines (json_lines.py).

Requests: ``listen`` (host, port, https, names, images, silence_s); ``open`` (wait_s); ``load`` (plan, model, format);
``play`` (first, last, timing); ``read`` (slot, offset, bytes); ``choose`` and ``show``, forwarded as they are;
``close``. It knows models, because it makes their weights; the GPU is known to the page alone. It ends when its
requests end, even in the middle of one.
"""

from __future__ import annotations

import base64
import json
import os
import queue
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

from ...errors import PlayerError
from ...formats.model import open_model
from ...models.source import Source, open_files
from ...plan import Plan, Trace, validate
from ..json_lines import Answer, Answering, own_stdout
from .mailbox import Mailbox, Message
from .run import Bundle, Run
from .typed_json import read_as
from .weights import WeightImage

if TYPE_CHECKING:
    from .listener import Listener

T = TypeVar("T")

SILENCE_S = 20.0
HELLO_S = 60.0
READ_BYTES = 16 << 20  # asked of the page at once: its answers are bounded
MISSING = "the server for web players needs pip install 'tritmark[web]'"


@dataclass(frozen=True, kw_only=True)
class LoadAnswer:
    """What a page tells after loading."""

    load_ns: int
    compile_ns: int
    ledger: Mapping[str, int]
    ledger_peak_bytes: int


class Server(Answering):
    """What the process holds: a listening server and its one run."""

    def __init__(self) -> None:
        self._run: Run | None = None
        self._listener: Listener | None = None
        self._images = Path()

    def _on_listen(self, request: Mapping[str, Any]) -> Answer:
        if self._listener is not None:
            raise PlayerError("this process already listens; start another one")
        self._images = Path(request["images"])
        run = Run(Mailbox(float(request.get("silence_s", SILENCE_S))))
        host, https = request.get("host", "127.0.0.1"), bool(request.get("https", False))
        self._listener, authority = _listen(run, host, request.get("port", 0), https, tuple(request.get("names", ())))
        self._run = run
        scheme = "https" if https else "http"
        return {"port": self._listener.port, "path": run.path, "scheme": scheme, "authority": authority}

    def _on_open(self, request: Mapping[str, Any]) -> Answer:
        run, listener = self._listening()
        return {"caps": asdict(listener.run(run.mailbox.open(request.get("wait_s", HELLO_S))))}

    def _on_load(self, request: Mapping[str, Any]) -> Answer:
        run, _ = self._listening()
        if run.mailbox.caps is None:
            raise PlayerError("no page is open")
        plan = Plan.from_json(json.loads(Path(request["plan"]).read_text()))
        validate(plan, run.mailbox.caps)
        model, resident = open_model(request["model"]), request["format"].rpartition(">")[2]
        self._drop_bundle()
        source = Source(model, resident, open_files(request.get("files", {})))
        run.bundle = bundle = Bundle(plan, WeightImage(plan, source, self._images))
        try:
            answer = self._ask(
                "load", plan=f"plan/{bundle.hash}", weights="weights/", model=request["model"], format=request["format"]
            )
        except PlayerError:
            if bundle.image.failure is not None:  # the page only knows that it got no weights
                raise PlayerError(bundle.image.failure) from None
            raise
        return asdict(_checked(LoadAnswer, answer, "load"))

    def _on_play(self, request: Mapping[str, Any]) -> Answer:
        plan_hash = self._loaded().hash
        first, last, timing = request["first"], request["last"], request.get("timing", "wall")
        trace = self._ask("play", first=first, last=last, timing=timing).get("trace")
        if isinstance(trace, dict):
            trace = {**trace, "plan_hash": plan_hash}
        return {"trace": _checked(Trace, trace, "play").to_json()}

    def _on_read(self, request: Mapping[str, Any]) -> Answer:
        self._loaded()
        slot, offset, size = request["slot"], int(request["offset"]), int(request["bytes"])
        firsts = range(offset, offset + size, READ_BYTES) or [offset]  # the page refuses an empty read
        pieces = [self._read(slot, first, min(READ_BYTES, offset + size - first)) for first in firsts]
        return {"base64": base64.b64encode(b"".join(pieces)).decode()}

    def _on_choose(self, request: Mapping[str, Any]) -> Answer:
        return self._forward(request)

    def _on_show(self, request: Mapping[str, Any]) -> Answer:
        return self._forward(request)

    def _on_close(self, request: Mapping[str, Any]) -> Answer:
        self.closed = True
        if self._listener is not None and self._run is not None:
            self._listener.run(self._run.mailbox.close())
        return {}

    def end(self) -> None:
        """Whoever asked is gone: what the page has still to answer interests nobody. Called from another thread."""
        if self._listener is not None and self._run is not None:
            self._listener.tell(self._run.mailbox.fail, "the program that started this server has ended")

    def clean_up(self) -> None:
        """Leave nothing unfinished behind; the process ends now, so nothing else is waited for."""
        if self._run is not None and self._run.bundle is not None:
            self._run.bundle.image.stop()
        if self._listener is not None:
            self._listener.close()

    def _forward(self, request: Mapping[str, Any]) -> Answer:
        fields = {name: value for name, value in request.items() if name not in ("op", "id")}
        return self._ask(request["op"], **fields)

    def _ask(self, op: str, **fields: Any) -> Message:
        """What the page answered; PlayerError with its reason where it says that it failed."""
        run, listener = self._listening()
        answer = listener.run(run.mailbox.ask(op, fields))
        if answer.get("ok") is not True:
            raise PlayerError(str(answer.get("error", f"the page failed to {op} without a reason"))[:2000])
        return {name: value for name, value in answer.items() if name not in ("ok", "id")}

    def _read(self, slot: str, offset: int, size: int) -> bytes:
        text = self._ask("read", slot=slot, offset=offset, bytes=size).get("base64")
        try:
            data = base64.b64decode(str(text), validate=True)
        except ValueError:
            raise PlayerError("the page's answer to read is malformed: no base64") from None
        if len(data) != size:
            raise PlayerError(f"the page's answer to read has {len(data):,} bytes, not {size:,}")
        return data

    def _listening(self) -> tuple[Run, Listener]:
        if self._run is None or self._listener is None:
            raise PlayerError("the server does not listen yet")
        return self._run, self._listener

    def _loaded(self) -> Bundle:
        run, _ = self._listening()
        if run.bundle is None:
            raise PlayerError("no plan is loaded")
        return run.bundle

    def _drop_bundle(self) -> None:
        if self._run is not None and self._run.bundle is not None:
            self._run.bundle.image.close()
            self._run.bundle = None


def _listen(run: Run, host: str, port: int, https: bool, names: tuple[str, ...]) -> tuple[Listener, str | None]:
    """A listener for ``run``, and the path of the certificate that a phone must trust where it is HTTPS."""
    try:
        from .listener import Listener
        from .server import make_app

        if not https:
            return Listener(make_app(run, {}), host, port), None
        from .authority import open_authority
    except ImportError as error:
        raise PlayerError(f"{MISSING} ({error.name} is missing)") from error
    authority = open_authority()
    return Listener(make_app(run, authority.responses()), host, port, authority.context(names)), str(authority.path)


def _checked(kind: type[T], answer: object, op: str) -> T:
    try:
        return read_as(kind, answer, op)
    except ValueError as error:
        raise PlayerError(f"the page's answer to {op} is malformed: {error}") from None


def _lines(server: Server, requests: TextIO) -> Iterator[str]:
    """Lines of ``requests``, read in a thread, so that their end is noticed while one is being answered."""
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def read() -> None:
        for line in requests:
            lines.put(line)
        lines.put(None)
        server.end()

    threading.Thread(target=read, daemon=True).start()
    return iter(lines.get, None)


if __name__ == "__main__":
    server = Server()
    try:
        server.serve(_lines(server, sys.stdin), own_stdout())
    finally:
        server.clean_up()
    # The thread that reads stdin may still wait for a line.
    os._exit(0)
