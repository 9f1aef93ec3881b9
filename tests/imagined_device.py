"""Caps of a device that does not exist: for Plans that no GPU plays."""

from tritmark.engine.plan import Caps

CAPS = Caps(
    adapter="imagined",
    backend="none",
    kind="discrete",
    driver="none",
    dialect="naga",
    features=("subgroup",),
    language_features=("packed_4x8_integer_dot_product",),
    limits={
        "maxBufferSize": 1 << 33,
        "maxStorageBufferBindingSize": 1 << 27,
        "maxUniformBufferBindingSize": 1 << 16,
        "maxStorageBuffersPerShaderStage": 8,
        "maxComputeWorkgroupStorageSize": 32768,
        "maxComputeInvocationsPerWorkgroup": 256,
        "maxComputeWorkgroupSizeX": 256,
        "maxComputeWorkgroupsPerDimension": 65535,
        "minStorageBufferOffsetAlignment": 256,
        "minUniformBufferOffsetAlignment": 256,
        "maxBindGroups": 4,
    },
)
