"""The wgpu player as a process: one JSON request a line on stdin, one JSON answer a line on stdout.

Requests: ``adapters``; ``open`` (adapter); ``load`` (plan, model, format); ``play`` (first, last, timing); ``read``
(slot, offset, bytes); ``close``. An answer is ``{"ok": true, ...}`` or ``{"ok": false, "error": one line, "kind":
class}``.
A WebGPU library may abort the process it is in, so hosts keep it out of theirs.
"""

from __future__ import annotations

import base64
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from ..errors import EngineError, PlayerError
from ..formats.model import open_model
from ..models.source import Source
from ..plan import Plan
from .gpu import Gpu, adapters, open_gpu
from .wgpu_player import Session, load

Answer = dict[str, Any]


class Player:
    """What the process holds: an open GPU and the loaded Plan."""

    def __init__(self) -> None:
        self._gpu: Gpu | None = None
        self._session: Session | None = None
        self.closed = False

    def answer(self, line: str) -> Answer:
        """Do what the JSON object ``line`` asks; whatever is wrong with it or fails becomes the answer's error."""
        try:
            request = json.loads(line)
            handler = getattr(self, f"_on_{request.get('op')}", None) if isinstance(request, dict) else None
            if handler is None:
                raise PlayerError(f"unknown request {line.strip()[:80]}")
            return {"ok": True, **handler(request)}
        except MemoryError:
            return _failure(PlayerError("out of host memory while reading the weights"))
        except (KeyError, TypeError, ValueError) as error:
            return _failure(PlayerError(f"the request or its plan is malformed: {type(error).__name__} {error}"))
        except (EngineError, OSError) as error:
            return _failure(error)

    def _on_adapters(self, request: Mapping[str, Any]) -> Answer:
        return {"adapters": [asdict(caps) for caps in adapters()]}

    def _on_open(self, request: Mapping[str, Any]) -> Answer:
        self._gpu = open_gpu(request.get("adapter"), request.get("limits"))
        return {"caps": asdict(self._gpu.caps)}

    def _on_load(self, request: Mapping[str, Any]) -> Answer:
        if self._gpu is None:
            raise PlayerError("no adapter is open")
        self._close_session()
        plan = Plan.from_json(json.loads(Path(request["plan"]).read_text()))
        resident = request["format"].rpartition(">")[2]
        session = load(self._gpu, plan, Source(open_model(request["model"]), resident))
        self._session = session
        return {
            "load_ns": session.load_ns,
            "compile_ns": session.compile_ns,
            "ledger": session.ledger.by_role(),
            "ledger_peak_bytes": session.ledger.peak_bytes,
        }

    def _on_play(self, request: Mapping[str, Any]) -> Answer:
        return {
            "trace": self._loaded().play(request["first"], request["last"], request.get("timing", "wall")).to_json()
        }

    def _on_read(self, request: Mapping[str, Any]) -> Answer:
        data = self._loaded().read(request["slot"], request["offset"], request["bytes"])
        return {"base64": base64.b64encode(data).decode()}

    def _on_close(self, request: Mapping[str, Any]) -> Answer:
        self.closed = True
        self._close_session()
        return {}

    def _loaded(self) -> Session:
        if self._session is None:
            raise PlayerError("no plan is loaded")
        return self._session

    def _close_session(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None


def _failure(error: Exception) -> Answer:
    return {"ok": False, "error": " ".join(str(error).split()), "kind": type(error).__name__}


def serve(requests: TextIO, answers: TextIO) -> None:
    """Answer until the requests end or ask to close."""
    player = Player()
    for line in requests:
        print(json.dumps(player.answer(line)), file=answers, flush=True)
        if player.closed:
            return


if __name__ == "__main__":
    # Drivers print to stdout; answers keep a descriptor of their own.
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    serve(sys.stdin, channel)
    # Some drivers crash while they unload; everything was answered and freed by now.
    os._exit(0)
