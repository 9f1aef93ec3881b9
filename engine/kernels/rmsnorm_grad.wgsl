// dx (M, K) [+]= f w dy - x f^3 mean(x w dy), a token a workgroup; f is the norm's factor.
@group(0) @binding(auto) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(auto) var<storage, read> norm_weight: array<vec4<f32>>;
@group(0) @binding(auto) var<storage, read> dy: array<vec4<f32>>;
@group(0) @binding(auto) var<storage, read_write> dx: array<vec4<f32>>;

#include "lib/norm_lanes.wgsl"
#include "lib/lane_total.wgsl"

// Sum of x w dy, in the lane order of the sum of squares.
fn pulled(first: u32, thread: u32) -> f32 {
    var sum = vec4<f32>(0.0);
    for (var quad = thread; quad < QUADS; quad += NORM_LANES) {
        sum = sealed4(sum + mul4(mul4(dy[first + quad], norm_weight[quad]), x[first + quad]));
    }
    return lane_total(sum, thread);
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    if (group.x >= step.count) { return; }
    let first = group.x * QUADS;
    let factor = norm_factor(norm_lanes(first, thread).x);
    let pull = mul(mul(pulled(first, thread), INVERSE_K), mul(mul(factor, factor), factor));
    for (var quad = thread; quad < QUADS; quad += WG) {
        let at = first + quad;
        let value = sealed4(mul4(mul4(dy[at], norm_weight[quad]), vec4<f32>(factor)) - mul4(x[at], vec4<f32>(pull)));
#if ADDS
        dx[at] = dx[at] + value;
#else
        dx[at] = value;
#endif
    }
}
