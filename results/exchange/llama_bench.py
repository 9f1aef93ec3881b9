"""llama-bench's results (``-o jsonl`` and ``-o json``) as records, and records as its test objects.

A test object is one test of ``-p N`` or ``-n N`` at ``-d D``, with ``samples_ns`` of every repetition and rates that
follow from them. The fields are those of llama.cpp's tools/llama-bench and of what its scripts/compare-llama-bench.py
asks for. What a test of it means beside ours stands in bench/runners/README.md.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Mapping
from typing import Any

from ..record import Record, RecordError
from .foreign import DEVICE, ID, UNNAMED, agree, field, imported, moment, numbers

TOOL = "llama-bench"
WORKLOAD = re.compile(r"(prefill|decode):(\d+)(?:@(\d+))?")
RUNNER = re.compile(r"b(\d+) \((\w+)\)")
FORMAT = re.compile(r"\b((?:TQ|IQ|Q|BF|F|I|MXFP|NVFP)\d[\w>]*)(?: - (Small|Medium|Large))?")
SIZES = {"Small": "_s", "Medium": "_m", "Large": "_l", None: ""}
ENGINE = "tritmark_runner"  # in files that we wrote: who measured
RATES_PRINTED = {"relative": 1e-3, "absolute": 2e-6}  # they have six decimals
ALL_LAYERS = 99  # what llama-bench says for "all on the GPU"
# What another program would miss where a record does not tell it. Empty and 0, not null: the comparison joins on them.
UNTOLD: Mapping[str, Any] = {
    "cpu_info": "", "gpu_info": "", "backends": "", "model_size": 0, "model_n_params": 0, "n_batch": 0, "n_ubatch": 0,
    "n_threads": 0, "cpu_mask": "", "cpu_strict": False, "poll": 0, "type_k": "", "type_v": "", "n_gpu_layers": 0,
    "split_mode": "", "main_gpu": 0, "no_kv_offload": False, "flash_attn": False, "devices": "", "tensor_split": "",
    "tensor_buft_overrides": "none", "use_mmap": False, "embeddings": False, "no_op_offload": 0,
}  # fmt: skip
RESULTS = ("n_prompt", "n_gen", "n_depth", "test_time", "avg_ns", "stddev_ns", "avg_ts", "stddev_ts", "samples_ns",
           "samples_ts")  # fmt: skip


def is_test(value: Any) -> bool:
    """Whether a value of JSON is a test object."""
    return isinstance(value, dict) and {"n_prompt", "n_gen"} <= value.keys()


def combined(test: Mapping[str, Any]) -> bool:
    """Of ``-pg``: prompt and generation in one time, which no rate of ours is made of."""
    return bool(test.get("n_prompt") and test.get("n_gen"))


def record_of(test: Mapping[str, Any]) -> Record:
    """The record of a test that is not `combined`; RecordError names the field that is wrong."""
    prompt, generated, depth = (field(test, name, int) for name in ("n_prompt", "n_gen", "n_depth"))
    prefill, count = prompt > 0, prompt or generated
    if count <= 0 or depth < 0:
        raise RecordError(f"n_prompt {prompt}, n_gen {generated}, n_depth {depth} is no test")
    samples = _samples(test, count)
    build = f"b{field(test, 'build_number', int)} ({field(test, 'build_commit', str)})"
    settings = {name: value for name, value in test.items() if name not in (*RESULTS, "model_filename", ID, ENGINE)}
    ours = {ID: test[ID]} if ID in test else {}
    runner = test.get(ENGINE) if ours else f"llama.cpp {build}"
    adapter = test.get("gpu_info") if test.get("n_gpu_layers") != 0 else ""
    case = {
        "model": field(test, "model_filename", str), "format": _format(test.get("model_type")), "device": DEVICE,
        "workload": f"{'prefill' if prefill else 'decode'}:{count}" + (f"@{depth}" if depth else ""),
        "runner": runner, "repetitions": len(samples), "options": {}, "settings": settings,
    }  # fmt: skip
    return imported(
        case, test, tool=TOOL, started_at=moment(test, "test_time"), runner=runner, player=TOOL,
        adapter=adapter or test.get("cpu_info") or None, driver=test.get("backends") if adapter else "CPU",
        prompt_tokens=prompt if prefill else depth, generated_tokens=None if prefill else generated + 1, timing="wall",
        schedule="own process", samples_ns=samples, conditions={"settings": settings, **ours},
    )  # fmt: skip


def test_of(record: Record) -> dict[str, Any] | None:
    """The test object of a measured prefill or decode; None of any other record."""
    workload = WORKLOAD.fullmatch(record.workload)
    if not workload or record.kind != "measured" or record.status != "ok" or not record.samples_ns:
        return None
    prefill = workload[1] == "prefill"
    count = (record.prompt_tokens or 0) if prefill else (record.generated_tokens or 1) - 1
    rates = [count * 1e9 / ns for ns in record.samples_ns]
    return {
        **UNTOLD,
        **_told(record),
        "model_filename": record.model,
        "n_prompt": count if prefill else 0,
        "n_gen": 0 if prefill else count,
        "n_depth": int(workload[3] or 0),
        "test_time": record.started_at,
        "avg_ns": round(statistics.mean(record.samples_ns)),
        "stddev_ns": round(_deviation(record.samples_ns)),
        "avg_ts": statistics.mean(rates),
        "stddev_ts": _deviation(rates),
        "samples_ns": list(record.samples_ns),
        "samples_ts": rates,
        ID: record.id,
        ENGINE: record.runner,
    }


def _told(record: Record) -> dict[str, Any]:
    """Everything but the results: of llama-bench's own rows what it said itself, of ours the nearest that we know."""
    build = RUNNER.search(record.runner or "")
    revision = (record.versions or {}).get("revision", "unknown")
    ours = {
        "build_commit": build[2] if build else revision[:8] + ("+" if revision.endswith("+") else ""),
        "build_number": int(build[1]) if build else 0,
        "gpu_info": record.adapter or "",
        "backends": record.driver or "",
        "model_type": f"{record.model} {record.format.upper()}",
        "model_size": (record.ledger or {}).get("weight", 0),
        "n_ubatch": record.case.get("options", {}).get("chunk", 0),
        "n_gpu_layers": ALL_LAYERS,
    }
    settings = (record.conditions or {}).get("settings", {})
    return {**ours, **{name: value for name, value in settings.items() if name in (*UNTOLD, *ours)}}


def _samples(test: Mapping[str, Any], count: int) -> tuple[int, ...]:
    samples = field(test, "samples_ns", list)
    if not samples or not all(type(ns) is int and ns > 0 for ns in samples):
        raise RecordError("samples_ns should be whole nanoseconds above 0, one a repetition")
    rates, printed = [count * 1e9 / ns for ns in samples], numbers(test, "samples_ts")
    if printed and not agree(rates, printed, **RATES_PRINTED):
        raise RecordError(
            f"samples_ns are no nanoseconds: {count} tokens in {samples[0]} ns are {rates[0]:.4g} tok/s, "
            f"samples_ts says {printed[0]:.4g}"
        )
    return tuple(samples)


def _format(told: Any) -> str:
    """The weight format that a model type names: "bitnet 2B TQ2_0 - 2.06 bpw ternary" is tq2_0."""
    found = FORMAT.search(told) if isinstance(told, str) else None
    return found[1].lower() + SIZES[found[2]] if found else UNNAMED


def _deviation(values: Any) -> float:
    return statistics.stdev(values) if len(values) > 1 else 0.0
