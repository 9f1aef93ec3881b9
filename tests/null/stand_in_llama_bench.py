"""A stand-in for llama-bench: it understands the options, computes nothing and prints what a real one printed.

``--stand-in HOW`` comes before its own options. HOW: ``gpu`` (all on a GPU), ``to-and-fro`` (a weight type that the
backend lacks), ``few-layers``, ``no-gpu``, ``takes-gpu`` (although told not to), ``old`` (fields and words of 2024),
``crash``, ``signal``, ``hang``, ``slow`` (longer than a silence may be, but talking), ``babble``, ``flood``, ``other``
(another test than asked), ``orphan`` (leaves a process that holds its pipes), ``refuse`` (cannot load the model).
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

TEXTS = Path(__file__).with_name("llama_bench")
LOGS = {
    "gpu": "vulkan-tq2_0", "to-and-fro": "vulkan-tq1_0", "few-layers": "vulkan-tq2_0", "no-gpu": "cpu", "cpu": "cpu",
    "takes-gpu": "vulkan-tq2_0", "old": "cuda-2024",
}  # fmt: skip
NEW = ("backends", "devices", "n_depth", "n_cpu_moe", "load_mode", "fit_target", "fit_min_ctx", "tensor_buft_overrides")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--stand-in", default="gpu")
    parser.add_argument("--list-devices", action="store_true")
    parser.add_argument("-m", default="")
    for name in ("-p", "-n", "-d", "-r", "-ub", "-ngl"):
        parser.add_argument(name, type=int, default=0)
    parser.add_argument("-dev", default="auto")
    parser.add_argument("-o")
    parser.add_argument("-v", action="store_true")
    parser.add_argument("--progress", action="store_true")
    return parser.parse_args()


def main() -> None:
    given = arguments()
    if given.list_devices:
        print("Available devices:\n  Vulkan0: llvmpipe (LLVM 15.0.6, 256 bits) (2048 MiB, 2048 MiB free)")
        return
    assert given.o == "jsonl" and given.v and Path(given.m).read_bytes()[:4] == b"GGUF", "not what llama-bench is given"
    how = "cpu" if given.dev == "none" and given.stand_in != "takes-gpu" else given.stand_in
    misbehave(how)
    print("llama-bench: benchmark 1/1: starting", file=sys.stderr, flush=True)
    log = (TEXTS / f"{LOGS.get(how, 'vulkan-tq2_0')}.log").read_text(encoding="utf-8")
    if Path(given.m).stat().st_size < 1 << 22:  # the printed sizes are those of synthetic:125M
        log = log.replace("46.88 MiB", "0.25 MiB")
    if how == "few-layers":
        log = log.replace("offloaded 12/12", "offloaded 7/12")
    if how == "takes-gpu":
        log = log.replace("offloaded 12/12", "offloaded 0/12").replace("Vulkan0 model", "CPU model")
    for line in log.splitlines():
        if "benchmark 1/1" not in line:
            print(line, file=sys.stderr)
    for at in range(given.r):
        time.sleep(0.4 if how == "slow" else 0)
        print(f"llama-bench: benchmark 1/1: prompt run {at + 1}/{given.r}", file=sys.stderr, flush=True)
    print(json.dumps(result(given, how)), flush=True)


def misbehave(how: str) -> None:
    if how == "crash":
        print("ggml.c:1: GGML_ASSERT(n > 0) failed\nsome frame of a backtrace", file=sys.stderr, flush=True)
        sys.exit(3)
    if how == "refuse":
        print("llama_model_load: error loading model: unknown model architecture: 'x'\nfailed", file=sys.stderr)
        sys.exit(1)
    if how == "signal":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "hang":
        time.sleep(60)
    if how == "babble":
        print('{"samples_ns": "none"}')
        sys.exit()
    while how == "flood":
        print("x" * 65536)
    if how == "orphan":
        subprocess.Popen(["sleep", "61.25"])


def result(given: argparse.Namespace, how: str) -> dict[str, object]:
    values = json.loads((TEXTS / "result.json").read_text(encoding="utf-8"))
    values |= {"build_commit": "57d4c98", "build_number": 7336, "n_prompt": given.p, "n_gen": given.n}
    values |= {"n_depth": given.d, "n_gpu_layers": given.ngl, "devices": given.dev, "n_ubatch": given.ub or 512}
    values["samples_ns"] = [(1 + at) * 1_000_000 * (given.p + given.n) for at in range(given.r)]
    if how in ("no-gpu", "cpu") and given.dev != "none":
        values |= {"gpu_info": "", "backends": "CPU"}
    if how == "other":
        values["n_prompt"] = 7
    if how == "old":
        values = {name: value for name, value in values.items() if name not in NEW} | {"cuda": True, "vulkan": False}
        values["gpu_info"] = "NVIDIA H200"
    return values


main()
