"""A stand-in for a player, for tests of the code around players: it speaks the protocol and computes nothing.

``--fail OP:HOW[:COUNT]`` makes the COUNT-th (default first) request of kind OP go wrong: ``exit`` (code 134 after a
line on standard error), ``signal``, ``hang``, ``babble`` (no JSON), ``refuse``; ``digest`` gives that play another
digest. ``--format F`` limits the failure to bundles of that format. ``--play-ms N`` is how long a step takes.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import signal
import sys
import time
from typing import Any

CAPS = {
    "adapter": "stand-in",
    "backend": "none",
    "kind": "cpu",
    "driver": "stand-in 1",
    "dialect": "naga",
    "features": [],
    "language_features": [],
    "limits": {},
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--fail", default="::")
    parser.add_argument("--format")
    parser.add_argument("--play-ms", type=float, default=0.2)
    options = parser.parse_args()
    op, how, count = (options.fail + ":1:1").split(":")[:3]
    seen, plan, shipped = 0, {}, None
    for line in sys.stdin:
        request = json.loads(line)
        if request["op"] == "close":
            return
        if request["op"] == "load":
            with open(request["plan"], encoding="utf-8") as file:
                plan, shipped = json.load(file), request["format"]
        wrong = request["op"] == op and options.format in (None, shipped)
        seen += wrong
        strike = wrong and seen == int(count or 1)
        if strike and how != "digest":
            fail(how)
        print(json.dumps({"ok": True, **answer(request, plan, options.play_ms, strike)}), flush=True)


def fail(how: str) -> None:
    if how == "hang":
        time.sleep(60)
    if how == "signal":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "exit":
        print("thread panicked\nwgpu error: device lost", file=sys.stderr, flush=True)
        os._exit(134)
    print(
        "hello" if how == "babble" else json.dumps({"ok": False, "error": "no\n  such thing", "kind": "PlayerError"}),
        flush=True,
    )
    sys.exit()


def answer(request: dict[str, Any], plan: dict[str, Any], step_ms: float, strike: bool) -> dict[str, Any]:
    ledger = {slot["role"]: slot["bytes"] for slot in plan.get("slots", [])}
    if request["op"] == "adapters":
        return {"adapters": [CAPS]}
    if request["op"] == "open":
        return {"caps": CAPS}
    if request["op"] == "load":
        return {"load_ns": 1000, "compile_ns": 2000, "ledger": ledger, "ledger_peak_bytes": sum(ledger.values())}
    if request["op"] == "read":
        return {"base64": base64.b64encode(bytes(request["bytes"])).decode()}
    steps = range(request["first"], request["last"])
    time.sleep(step_ms * len(steps) / 1000)
    step_ns = int(step_ms * 1e6)
    digests = {probe["name"]: "other" if strike else probe.get("expect") or "same" for probe in plan["probes"]}
    return {
        "trace": {
            "plan_hash": "",
            "player": "stand-in",
            "status": "ok",
            "reason": None,
            "timing": request["timing"],
            "wall_ns": step_ns * len(steps),
            "digests": digests,
            "ledger": ledger,
            "ledger_peak_bytes": sum(ledger.values()),
            "steps": [
                {
                    "step": at,
                    "end_ns": step_ns * (at + 1 - steps.start) if request["timing"] != "wall" else None,
                    "gpu_ns": None,
                }
                for at in steps
            ],
            "dispatches": [],
            "encode_ns": 7 * len(steps),
        }
    }


main()
