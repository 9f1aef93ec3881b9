"""A GPU opened through wgpu: its Caps, and the device with everything the adapter offers."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..errors import PlayerError
from ..plan import Caps

_KINDS = {"DiscreteGPU": "discrete", "IntegratedGPU": "integrated", "CPU": "cpu"}
_WANTED = ("timestamp-query", "shader-f16", "shader-int64", "subgroup")
_LIMITS = (
    "maxBufferSize",
    "maxStorageBufferBindingSize",
    "maxUniformBufferBindingSize",
    "maxStorageBuffersPerShaderStage",
    "maxComputeWorkgroupStorageSize",
    "maxComputeInvocationsPerWorkgroup",
    "maxComputeWorkgroupSizeX",
    "maxComputeWorkgroupsPerDimension",
    "minStorageBufferOffsetAlignment",
    "minUniformBufferOffsetAlignment",
    "maxBindGroups",
)


@dataclass(frozen=True)
class Gpu:
    """An open device. ``period_ns``: nanoseconds of a timestamp tick."""

    caps: Caps
    device: Any
    period_ns: float


def adapters() -> Iterator[Caps]:
    """Caps of every adapter, without opening a device."""
    return (_caps(adapter) for adapter in _enumerate())


def open_gpu(adapter: str | None = None, limits: Mapping[str, int] | None = None) -> Gpu:
    """Open the adapter whose name contains ``adapter``, or the fastest kind there is.

    ``limits`` lowers limits of the Caps, to act as a smaller device. Raises PlayerError where no adapter fits.
    """
    found = list(_enumerate())
    if not found:
        raise PlayerError(
            "no GPU adapter: install a Vulkan driver (Debian: apt install mesa-vulkan-drivers), see tritmark doctor"
        )
    fitting = [a for a in found if adapter is None or adapter.lower() in _caps(a).adapter.lower()]
    if not fitting:
        names = ", ".join(dict.fromkeys(_caps(a).adapter for a in found))
        raise PlayerError(f"no adapter is called {adapter!r}; there are: {names}")
    best = min(
        fitting,
        key=lambda a: (("discrete", "integrated", "unknown", "cpu").index(_caps(a).kind), _caps(a).backend != "Vulkan"),
    )
    caps = _caps(best)
    device = _request(best)
    lowered = {name: min(value, caps.limits[name]) for name, value in (limits or {}).items()}
    from .native import timestamp_period_ns

    return Gpu(replace(caps, limits={**caps.limits, **lowered}), device, timestamp_period_ns(device))


def _enumerate() -> list[Any]:
    os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.gettempdir())
    from .native import wgpu

    backends = ("Vulkan", "Metal", "D3D12")
    return [a for a in wgpu.gpu.enumerate_adapters_sync() if a.info["backend_type"] in backends]


def _request(adapter: Any) -> Any:
    features = [name for name in _WANTED if name in adapter.features]
    limits = {_kebab(name): adapter.limits[_kebab(name)] for name in _LIMITS}
    try:
        return adapter.request_device_sync(required_features=features, required_limits=limits)
    except Exception as error:  # wgpu raises RuntimeError or its own classes, by version
        raise PlayerError(f"{adapter.info['device']} refused a device: {str(error).splitlines()[0]}") from error


def _caps(adapter: Any) -> Caps:
    info = adapter.info
    return Caps(
        adapter=info["device"],
        backend=info["backend_type"],
        kind=_KINDS.get(info["adapter_type"], "unknown"),
        driver=info["description"],
        dialect="naga",
        features=tuple(sorted(f for f in _WANTED if f in adapter.features)),
        language_features=("packed_4x8_integer_dot_product",),
        limits={name: adapter.limits[_kebab(name)] for name in _LIMITS},
    )


def _kebab(name: str) -> str:
    """WebGPU's camelCase limit name as wgpu-py spells it."""
    return "".join(f"-{c.lower()}" if c.isupper() else c for c in name)
