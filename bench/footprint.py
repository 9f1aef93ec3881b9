"""Footprint: the bytes of a model in each format on a device, from its Plans alone: nothing runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tritmark.engine.errors import PlanError
from tritmark.engine.formats.blocks import row_bytes
from tritmark.engine.formats.model import Model, open_model
from tritmark.engine.plan import Caps, validate

from .case import Case
from .prepare import prepare

OPTIONS = ("tq1_0", "tq2_0", "tq1_0>tq2_0")
TERNARY = ("tq1_0", "tq2_0")
LORA = "lora:r8,c128"
GUARANTEED = {  # WebGPU's default limits, which every device keeps; offsets are aligned at most so coarsely
    "maxBufferSize": 268_435_456, "maxStorageBufferBindingSize": 134_217_728, "maxUniformBufferBindingSize": 65_536,
    "maxStorageBuffersPerShaderStage": 8, "maxComputeWorkgroupStorageSize": 16_384,
    "maxComputeInvocationsPerWorkgroup": 256, "maxComputeWorkgroupSizeX": 256,
    "maxComputeWorkgroupsPerDimension": 65_535, "minStorageBufferOffsetAlignment": 256,
    "minUniformBufferOffsetAlignment": 256, "maxBindGroups": 4,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Footprint:
    """``download_bytes``: the tensors of the file that is shipped; ``peak_bytes``: GPU buffers, at their peak over the
    workloads, None where ``refused`` says why the device cannot run one of them.
    """

    download_bytes: int
    peak_bytes: int | None = None
    refused: str | None = None


def footprints(model: str, workloads: Sequence[str], caps: Caps) -> dict[str, Footprint]:
    """Of each of OPTIONS. EngineError where the model cannot be read."""
    opened = open_model(model)
    return {option: _footprint(opened, model, option, workloads, caps) for option in OPTIONS}


def ternary_weights(model: str) -> int:
    """How many weights of a model the formats are about. EngineError where it cannot be read."""
    return sum(info.rows * info.cols for info in open_model(model).tensors.values() if info.type in TERNARY)


def workloads_of(mix: Mapping[str, float]) -> list[str]:
    """What a mix asks a device to hold at once: its prompt, its answer after the prompt, a step of fine-tuning."""
    found = []
    if mix.get("prefill"):
        found.append(f"prefill:{mix['prefill']:.0f}")
    if mix.get("decode"):
        depth = f"@{mix['prefill']:.0f}" if mix.get("prefill") else ""
        found.append(f"decode:{mix['decode']:.0f}{depth}")
    return [*found, LORA] if mix.get("train") else found


def caps_of(told: Mapping[str, Any] | None, device: str) -> Caps:
    """What a record says that its device can do; of a device that nobody asked, what all of them can."""
    if told is None:
        return Caps(adapter=device, backend="WebGPU", kind="unknown", driver="", dialect="tint", features=(),
                    language_features=(), limits=GUARANTEED)  # fmt: skip
    return Caps(**{**told, "features": tuple(told["features"]), "language_features": tuple(told["language_features"])})


def _footprint(opened: Model, model: str, option: str, workloads: Sequence[str], caps: Caps) -> Footprint:
    download = _download_bytes(opened, option.partition(">")[0])
    peak = 0
    for workload in workloads:
        try:
            plan = prepare(Case(model=model, format=option, workload=workload, device="host"), caps).plan
            validate(plan, caps)
        except PlanError as error:
            return Footprint(download_bytes=download, refused=f"{workload}: {error}")
        peak = max(peak, plan.peak_gpu_bytes)
    return Footprint(download_bytes=download, peak_bytes=peak or None)


def _download_bytes(model: Model, shipped: str) -> int:
    """All tensors, the ternary ones in the format that is shipped."""
    return sum(
        info.rows * row_bytes(shipped, info.cols) if info.type in TERNARY else info.nbytes
        for info in model.tensors.values()
    )
