"""Placement: where llama.cpp really put a model, read from what it logs, and whether that is what was asked for.

llama.cpp falls back to the processor in silence: without a usable GPU, for layers that do not fit, and operation by
operation where a backend lacks a weight type. This module knows the texts of its log (`load_tensors`,
`llama_kv_cache`, `sched_reserve` and their older names) and runs nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MIB = 1 << 20
LAYERS = re.compile(r"offloaded (\d+)/(\d+) layers to GPU")
SPLITS = re.compile(r"graph splits = (\d+)(?: \(with bs=\d+\), (\d+) \(with bs=1\))?")
BUFFER = re.compile(r"(\S+)\s+(?:(model|KV|RS|compute|output) )?buffer size\s*=\s*([\d.]+) MiB")
ROLES = {"": "weight", "model": "weight", "KV": "state", "RS": "state", "compute": "scratch", "output": "output"}
NO_GPU = "no usable GPU found"
SLACK_BYTES = 2 * MIB  # sizes are logged with two digits, mapped ones rounded to pages
OLD_BACKENDS = ("cuda", "vulkan", "kompute", "metal", "sycl", "gpu_blas", "opencl")  # booleans of builds before 2025


@dataclass(frozen=True, kw_only=True)
class Placement:
    """What a log says; sizes in bytes by (buffer type, role), as in ``("Vulkan0", "weight")``."""

    layers: tuple[int, int] | None  # on the GPU, of all
    splits: int | None  # of the graph: runs of operations on one backend
    buffers: Mapping[tuple[str, str], int]

    @property
    def ledger(self) -> dict[str, int]:
        """Bytes in GPU memory by role."""
        roles: dict[str, int] = {}
        for (place, role), size in self.buffers.items():
            if not on_host(place):
                roles[role] = roles.get(role, 0) + size
        return roles

    @property
    def gpus(self) -> list[str]:
        """Buffer types of GPUs that hold anything; mapped files of one GPU are no second one."""
        held = {place.removesuffix("_Mapped") for (place, _), size in self.buffers.items() if size}
        return sorted(place for place in held if not on_host(place))

    def head_on_host(self, tied: bool) -> bool:
        """Whether the processor does the last product, with the embedding: llama.cpp's graph of BitNet is so."""
        return tied and self.splits == 2 + len(self.gpus)

    @property
    def host_weight_bytes(self) -> int:
        return sum(size for (place, role), size in self.buffers.items() if role == "weight" and on_host(place))


def on_host(place: str) -> bool:
    """Whether a buffer type is memory of the processor: its own, that of its extensions, or staging for a GPU."""
    return place.startswith(("CPU", "AMX")) or place.endswith("_Host")


def read_placement(log: str) -> Placement:
    """The last load that a log tells of."""
    start = log.rfind("load_tensors: loading model tensors")
    log = log[max(start, 0) :]
    layers, splits = LAYERS.search(log), SPLITS.findall(log)
    buffers: dict[tuple[str, str], int] = {}
    for place, kind, mib in BUFFER.findall(log):
        key = (place, ROLES[kind])
        buffers[key] = buffers.get(key, 0) + round(float(mib) * MIB)
    return Placement(
        layers=(int(layers[1]), int(layers[2])) if layers else None,
        splits=max((int(count) for pair in splits for count in pair if count), default=None),
        buffers=buffers,
    )


def off_gpu(
    found: Placement, result: Mapping[str, Any], log: str, embedding_bytes: int, *, tied: bool
) -> str | None:
    """Why a run that was asked for the GPU did not happen there; None where everything says that it did.

    The input embedding always stays with the processor: one part of the graph there and one on each GPU are usual, and
    where the output head is the embedding (``tied``) one more for it.
    """
    if not names_gpu(result):
        return f"it names no GPU (backends: {result.get('backends') or 'none'}); its build lacks one or found none here"
    if NO_GPU in log:
        return f"it says '{NO_GPU}'"
    if found.layers is None:
        return "its log does not say how many layers went to the GPU, so nothing shows that any did"
    if found.layers[0] < found.layers[1]:
        return f"only {found.layers[0]} of {found.layers[1]} layers went to the GPU"
    signs = []
    beside = found.host_weight_bytes - embedding_bytes
    if beside > SLACK_BYTES:
        signs.append(f"{beside / MIB:,.0f} MiB of weights beside the embedding stayed with the processor")
    usual = 1 + max(1, len(found.gpus)) + tied
    if found.splits is not None and found.splits > usual:
        signs.append(f"its graph was cut into {found.splits} parts where {usual} are usual: operations went to and fro")
    return " and ".join(signs) or None


def on_gpu(found: Placement) -> str | None:
    """Why a run that was asked for the processor did not happen there alone."""
    if found.layers and found.layers[0]:
        return f"{found.layers[0]} of {found.layers[1]} layers went to the GPU"
    return f"{', '.join(found.gpus)} held buffers of it" if found.gpus else None


def names_gpu(result: Mapping[str, Any]) -> bool:
    """Whether a result line names a GPU, in today's fields or those of older builds."""
    if "backends" in result:
        return bool(result.get("gpu_info")) and result["backends"] not in ("", "CPU", "BLAS")
    return bool(result.get("gpu_info")) or any(result.get(name) for name in OLD_BACKENDS)
