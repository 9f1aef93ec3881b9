// RMSNorm and int8 absmax quantisation, a token a workgroup: x (M, K) -> codes [M / 8][K / 4][8 tokens], scale (M), sum (M).
@group(0) @binding(auto) var<storage, read> x: array<vec4<f32>>;           // (M, K) as quads
@group(0) @binding(auto) var<storage, read> norm_weight: array<vec4<f32>>;
@group(0) @binding(auto) var<storage, read_write> q: array<u32>;
@group(0) @binding(auto) var<storage, read_write> act_scale: array<f32>;
@group(0) @binding(auto) var<storage, read_write> act_sum: array<i32>;

#include "lib/quantize.wgsl"

var<workgroup> code_sum: atomic<i32>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let token = group.x;
    if (token >= step.count) { return; }
    if (thread == 0u) { atomicStore(&code_sum, 0); }                      // visible after the barriers of norm_lanes
    let first = token * QUADS;
    let scale = code_scales(norm_lanes(first, thread));
    var sum = 0;
    for (var quad = thread; quad < PADDED_QUADS; quad += WG) {
        let packed = codes(first, quad, scale.x);
        q[(token / 8u * PADDED_QUADS + quad) * 8u + token % 8u] = packed.x;
        sum += i32(packed.y);
    }
    atomicAdd(&code_sum, sum);
    workgroupBarrier();
    if (thread == 0u) {
        act_scale[token] = scale.y;
        act_sum[token] = atomicLoad(&code_sum);
    }
}
