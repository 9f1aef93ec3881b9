"""llama-bench, of llama.cpp and of forks that keep its options (QVAC Fabric), as a runner.

One process measures one case, all repetitions of it. Its result line becomes a record's fields; what it logs shows
where it computed. This module knows its options and fields; what they mean beside ours stands in README.md.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tritmark.bench import provenance
from tritmark.devices.base import Device
from tritmark.engine.inference import Workload

from ..case import Case
from .base import FallbackError, RunnerError, Spec
from .model_file import ModelFile, ModelFiles
from .placement import Placement, off_gpu, on_gpu, read_placement
from .places import Place, place_of
from .process import Ended, ending, last_words

PROGRAM = "llama-bench"
CPU = "cpu"
ALL_LAYERS = 99
STAGE = f"{PROGRAM}: benchmark 1/1: "
OTHER_STAGES = 2  # beside the repetitions: load, warm-up
SETTINGS = (
    "backends", "cpu_info", "gpu_info", "devices", "n_threads", "n_batch", "n_ubatch", "n_gpu_layers", "flash_attn",
    "type_k", "type_v", "no_kv_offload", "use_mmap", "load_mode", "model_type", "model_size",
)  # fmt: skip


class LlamaBench:
    """One llama-bench, on the GPU or (``cpu``) on the processor alone."""

    def __init__(self, label: str, program: Path, timeout_s: float, *, cpu: bool) -> None:
        self.label = label
        self._program, self._timeout_s, self._cpu = program, timeout_s, cpu
        self._files = ModelFiles()
        self._places: dict[str, Place] = {}  # by device name

    def measure(self, case: Case, device: Device, tell: Callable[[str], None]) -> Mapping[str, Any]:
        if "activation" in case.options:
            raise RunnerError(f"{self.label} cannot be told an activation; leave --activation or this runner out")
        if case.workload.startswith("lora:"):
            raise RunnerError(f"{self.label} is measured at inference alone; leave {case.workload} or this runner out")
        workload = Workload.parse(case.workload)
        tell("model file")
        place = self._place(device)
        file = self._files.file(case.model, case.format)
        arguments = self._arguments(case, workload, place.model(file.path), self._choice(place, device))

        def hear(line: str) -> None:
            if line.startswith(STAGE):
                tell(line.removeprefix(STAGE))

        ended = place.run(arguments, self._timeout_s, case.repetitions + OTHER_STAGES, hear)
        result = parsed(ended, workload, case.repetitions)
        found = read_placement(ended.stderr)
        known = self._known(result, found, file)
        self._trust(result, found, ended.stderr, file, known)
        return {**known, **measured(result, workload), **watched(ended, place)}

    def close(self) -> None:
        for place in self._places.values():
            place.close()
        self._places.clear()
        self._files.close()

    def _place(self, device: Device) -> Place:
        if device.name not in self._places:
            self._places[device.name] = place_of(device, self._program)
        return self._places[device.name]

    def _choice(self, place: Place, device: Device) -> tuple[str, ...]:
        """Options that name the device: none for the processor's run, what ``host:PART`` asks for on a computer."""
        if self._cpu:  # without "-dev none" a GPU still takes part in large products
            return ("-ngl", "0", "-dev", "none")
        kind, _, part = device.name.partition(":")
        if kind != "host" or not part:
            return ("-ngl", str(ALL_LAYERS))
        ended = place.run(("--list-devices",), self._timeout_s, 1, lambda line: None)
        listed = [line.strip() for line in ended.stdout.splitlines() if line.startswith("  ") and ":" in line]
        chosen = [line.partition(":")[0] for line in listed if part.lower() in line.lower()]
        if not chosen:
            there = "; ".join(listed) or f"none{last_words(ended.stderr)}"
            raise RunnerError(f"{self.label} sees no device with {part!r} in its name, it lists: {there}")
        return ("-ngl", str(ALL_LAYERS), "-dev", chosen[0])

    def _arguments(self, case: Case, workload: Workload, model: str, choice: tuple[str, ...]) -> tuple[str, ...]:
        prompt, generate = (workload.tokens, 0) if workload.kind == "prefill" else (0, workload.tokens)
        depth = ("-d", str(workload.depth)) if workload.depth else ()
        chunk = ("-ub", str(case.options["chunk"])) if "chunk" in case.options else ()
        asked = ("-m", model, "-p", str(prompt), "-n", str(generate), "-r", str(case.repetitions))
        return (*asked, *depth, *chunk, *choice, "-o", "jsonl", "--progress", "-v")

    def _known(self, result: Mapping[str, Any], found: Placement, file: ModelFile) -> dict[str, Any]:
        """What is true of a run even where its numbers are not believed."""
        build = f"b{result['build_number']} ({result['build_commit']})"
        settings = {name: result[name] for name in SETTINGS if name in result}
        layers = f"{found.layers[0]}/{found.layers[1]}" if found.layers else None
        settings |= {"layers_on_gpu": layers, "graph_splits": found.splits, "file_sha256": file.sha256}
        settings |= {"head_on_processor": not self._cpu and found.head_on_host(file.tied)}
        ledger = None if self._cpu else found.ledger or None
        where = result.get("cpu_info" if self._cpu else "gpu_info") or result.get("cpu_info")
        return {
            "runner": f"{self.label} {build}",
            "player": PROGRAM,
            "model_sha256": file.model_sha256,
            "adapter": where,
            "driver": "CPU" if self._cpu else result.get("backends"),
            "ledger": ledger,
            "ledger_peak_bytes": sum(ledger.values()) if ledger else None,
            "versions": {**provenance.versions(), self.label.partition(":")[0]: build},
            "conditions": {"settings": settings},
        }

    def _trust(
        self, result: Mapping[str, Any], found: Placement, log: str, file: ModelFile, known: Mapping[str, Any]
    ) -> None:
        """FallbackError where it computed elsewhere than it was asked to."""
        wrong = on_gpu(found) if self._cpu else off_gpu(found, result, log, file.embedding_bytes, tied=file.tied)
        if wrong:
            asked, other = ("processor", "GPU") if self._cpu else ("GPU", "processor")
            raise FallbackError(f"it was asked for the {asked}, but the {other} took part: {wrong}", known)


def open_runner(spec: Spec, timeout_s: float) -> LlamaBench:
    """RunnerError for an option or a file that cannot be meant."""
    if spec.option not in (None, CPU):
        raise RunnerError(f"runner {spec.label!r} is unknown; write {spec.name}=PATH or {spec.name}:{CPU}=PATH")
    if spec.path is None:
        raise RunnerError(f"runner {spec.label} needs the path of its {PROGRAM}, as in {spec.label}=bin/{PROGRAM}")
    path = Path(spec.path).expanduser()
    if not path.is_file():
        raise RunnerError(f"runner {spec.label}: there is no file {path}; give the path of its {PROGRAM}")
    return LlamaBench(spec.label, path.resolve(), timeout_s, cpu=spec.option == CPU)


def parsed(ended: Ended, workload: Workload, repetitions: int) -> dict[str, Any]:
    """The result line; RunnerError where there is none, or one about something else than was asked."""
    if ended.status != 0:
        raise RunnerError(f"{PROGRAM} failed: {ending(ended.status)}{last_words(ended.stderr)}")
    try:
        lines = [json.loads(line) for line in ended.stdout.splitlines() if line.startswith("{")]
        (result,) = lines
        samples = [int(sample) for sample in result["samples_ns"]]
        told = (int(result["n_prompt"]), int(result["n_gen"]), int(result.get("n_depth", 0)))
        build = {"build_number": result["build_number"], "build_commit": result["build_commit"]}
    except (ValueError, KeyError, TypeError) as error:
        start = " ".join(ended.stdout.split())[:80]
        raise RunnerError(f"{PROGRAM} printed no result line that can be read ({error!r}): {start!r}") from error
    prefill = workload.kind == "prefill"
    asked = (workload.tokens, 0, 0) if prefill else (0, workload.tokens, workload.depth)
    if told != asked or len(samples) != repetitions or min(samples, default=0) <= 0:
        raise RunnerError(
            f"{PROGRAM} answered something else than was asked: prompt, generated and depth {told} for {asked}, "
            f"{len(samples)} samples for {repetitions}"
        )
    return {**result, **build, "samples_ns": samples}


def measured(result: Mapping[str, Any], workload: Workload) -> dict[str, Any]:
    """Samples with our definitions. A decode sample of N passes is what we take after a first token."""
    prefill = workload.kind == "prefill"
    return {
        "samples_ns": tuple(result["samples_ns"]),
        "timing": "wall",
        "prompt_tokens": workload.tokens if prefill else workload.depth,
        "generated_tokens": None if prefill else workload.tokens + 1,
    }


def watched(ended: Ended, place: Place) -> dict[str, Any]:
    """What was seen from outside while it ran."""
    telemetry = place.telemetry()
    samples = [[t_ns, dict(values)] for t_ns, values in telemetry.samples]
    found = {"samples": samples, "methods": dict(telemetry.methods)} if samples else None
    return {"process_memory": ended.memory, "telemetry": found}
