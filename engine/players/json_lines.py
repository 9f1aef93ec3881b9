"""JSON lines: how a player's process is asked, one request a line on stdin, one answer a line on stdout.

A request is ``{"op": ..., ...}``. An answer is ``{"ok": true, ...}`` or ``{"ok": false, "error": one line, "kind":
class}``. Nothing here knows what requests there are.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from typing import Any, TextIO

from ..errors import EngineError, PlayerError

Answer = dict[str, Any]


class Answering:
    """Answers requests: a subclass has a method ``_on_<op>(request) -> Answer`` for each."""

    closed = False  # set by the request after which the process ends

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

    def serve(self, requests: Iterable[str], answers: TextIO) -> None:
        """Answer until the requests end or ask to close."""
        for line in requests:
            print(json.dumps(self.answer(line)), file=answers, flush=True)
            if self.closed:
                return


def _failure(error: Exception) -> Answer:
    return {"ok": False, "error": " ".join(str(error).split()), "kind": type(error).__name__}


def own_stdout() -> TextIO:
    """A channel for answers alone: what libraries print to stdout goes to stderr from now on."""
    sys.stdout.flush()
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return channel
