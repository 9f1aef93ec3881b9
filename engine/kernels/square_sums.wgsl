// Sum of squares of CHUNK elements a workgroup, in the lane order of lib/lane_total.wgsl.
@group(0) @binding(auto) var<storage, read> x: array<f32>;
@group(0) @binding(auto) var<storage, read_write> sums: array<f32>;

#include "lib/lane_total.wgsl"

fn squared(at: u32) -> f32 {
    if (at >= ELEMENTS) { return 0.0; }
    return mul(x[at], x[at]);
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let first = group.x * CHUNK;
    var sum = vec4<f32>(0.0);
    for (var at = first + thread * 4u; at < first + CHUNK; at += 1024u) {
        sum = sealed4(sum + vec4<f32>(squared(at), squared(at + 1u), squared(at + 2u), squared(at + 3u)));
    }
    let total = lane_total(sum, thread);
    if (thread == 0u) { sums[group.x] = total; }
}
