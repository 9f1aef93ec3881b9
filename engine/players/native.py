"""Everything that reaches past wgpu-py's public API into wgpu-native, in one place.

wgpu-py 0.32 spends 3.6 us to encode one dispatch; calling the same C functions directly takes 1.2 us, and a decode step
is some 120 dispatches. Its on_submitted_work_done_sync raises, and the length of a timestamp tick is not public. Its
shaders count the turns of every loop and clamp every index, which costs a third of a decode step on an H200.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import wgpu
from wgpu.backends.wgpu_native import _api, ffi, lib

__all__ = ["Launch", "encode", "handle", "timestamp_period_ns", "trusted_module", "wait", "wgpu"]


@dataclass(frozen=True)
class Launch:
    """A dispatch by its native handles. ``grid`` entries are numbers, or -1 - column of the step table."""

    pipeline: Any
    group: Any
    grid: tuple[int, int, int]
    label: str


def _parse_what_is_named(parser: Any) -> None:
    """Have cffi declare, for each type that it meets by name, only the types in that name.

    It declares all of the header's every time, 15-30 ms, and a process that opens a device and plays meets 45.
    """
    parse = parser._parse

    def parse_some(source: str) -> Any:
        words, every = set(re.findall(r"\w+", source)), parser._declarations
        parser._declarations = {name: told for name, told in every.items() if name.rpartition(" ")[2] in words}
        try:
            return parse(source)
        finally:
            parser._declarations = every

    parser._parse = parse_some


if hasattr(ffi, "_parser"):  # cffi's own matter: without it, all is as before
    _parse_what_is_named(ffi._parser)


def handle(resource: Any) -> Any:
    """The native handle of a wgpu-py object; the object must outlive it."""
    return resource._internal


def trusted_module(device: Any, label: str, code: str) -> Any:
    """A shader module without checks at run time: its loops must end and its indices stay inside."""
    text = _api.to_c_string_view(code)
    source = _api.new_struct_p("WGPUShaderSourceWGSL *", code=text)
    source[0].chain.next, source[0].chain.sType = ffi.NULL, lib.WGPUSType_ShaderSourceWGSL
    chain = ffi.cast("WGPUChainedStruct *", source)
    name = _api.to_c_string_view(label)
    descriptor = _api.new_struct_p("WGPUShaderModuleDescriptor *", nextInChain=chain, label=name)
    module = _api.libf.wgpuDeviceCreateShaderModuleTrusted(device._internal, descriptor, 0)
    if module == ffi.NULL:
        raise RuntimeError("the shader was refused without a word")
    return _api.GPUShaderModule(label, module, device)


def encode(compute_pass: Any, launches: Sequence[Launch], values: Sequence[int], step_offset: int) -> None:
    """Append ``launches`` to an open compute pass, their step row bound at ``step_offset``."""
    target = compute_pass._internal
    offsets = ffi.new("uint32_t[]", [step_offset])
    set_pipeline, set_group, dispatch = (
        lib.wgpuComputePassEncoderSetPipeline,
        lib.wgpuComputePassEncoderSetBindGroup,
        lib.wgpuComputePassEncoderDispatchWorkgroups,
    )
    current = None
    for launch in launches:
        if launch.pipeline is not current:
            current = launch.pipeline
            set_pipeline(target, current)
        set_group(target, 0, launch.group, 1, offsets)
        x, y, z = launch.grid
        dispatch(
            target, x if x >= 0 else values[-1 - x], y if y >= 0 else values[-1 - y], z if z >= 0 else values[-1 - z]
        )


def wait(device: Any) -> None:
    """Block until the device has done everything submitted to its queue."""
    lib.wgpuDevicePoll(device._internal, True, ffi.NULL)


def timestamp_period_ns(device: Any) -> float:
    """Nanoseconds of a timestamp tick; WebGPU's unit is the nanosecond, wgpu-native hands out raw ticks."""
    return float(lib.wgpuQueueGetTimestampPeriod(device.queue._internal))
