"""The wgpu player as a process that is asked by JSON lines (json_lines.py).

Requests: ``adapters``; ``open`` (adapter); ``load`` (plan, model, format, files); ``play`` (first, last, timing);
``read`` (slot, offset, bytes); ``close``.
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
from typing import Any

from ..errors import PlayerError
from ..formats.model import open_model
from ..models.source import Source, open_files
from ..plan import Plan
from .gpu import Gpu, adapters, open_gpu
from .json_lines import Answer, Answering, own_stdout
from .wgpu_player import Session, load


class Player(Answering):
    """What the process holds: an open GPU and the loaded Plan."""

    def __init__(self) -> None:
        self._gpu: Gpu | None = None
        self._session: Session | None = None

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
        source = Source(open_model(request["model"]), resident, open_files(request.get("files", {})))
        session = load(self._gpu, plan, source)
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


if __name__ == "__main__":
    Player().serve(sys.stdin, own_stdout())
    # Some drivers crash while they unload; everything was answered and freed by now.
    os._exit(0)
