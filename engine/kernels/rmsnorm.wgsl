// y = x / sqrt(mean(x^2) + eps) * w, a token a workgroup: x (M, K) -> y (M, K); with LAST only the chunk's last token -> y (1, K).
@group(0) @binding(auto) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(auto) var<storage, read> norm_weight: array<vec4<f32>>;
@group(0) @binding(auto) var<storage, read_write> y: array<vec4<f32>>;

#include "lib/norm_lanes.wgsl"

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    if (group.x >= step.count) { return; }
#if LAST
    let first = (step.count - 1u) * QUADS;
#else
    let first = group.x * QUADS;
#endif
    let factor = vec4<f32>(norm_factor(norm_lanes(first, thread).x));
    for (var quad = thread; quad < QUADS; quad += WG) {
        y[group.x * QUADS + quad] = mul4(mul4(x[first + quad], factor), norm_weight[quad]);
    }
}
