// Sum of magnitudes of CHUNK elements a workgroup, in the lane order of lib/lane_total.wgsl.
@group(0) @binding(auto) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(auto) var<storage, read_write> sums: array<f32>;

#include "lib/lane_total.wgsl"

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let first = group.x * (CHUNK / 4u);
    let end = min(first + CHUNK / 4u, QUADS);
    var magnitudes = vec4<f32>(0.0);
    for (var at = first + thread; at < end; at += 256u) { magnitudes = sealed4(magnitudes + abs(x[at])); }
    let total = lane_total(magnitudes, thread);
    if (thread == 0u) { sums[group.x] = total; }
}
